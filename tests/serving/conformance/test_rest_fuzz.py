"""Damaged requests over the network, with TensorFlow behind it: the server answers all of them, and lives on."""

import collections
import json
import os
import re

import pytest
import urllib3

# Of the model's own refusals, TensorFlow Serving calls some INTERNAL; ours must not.
FINE = {200, 400, 404, 413, 501} | ({500} if os.environ.get("VISION_TFX_SERVING_REST") else set())


@pytest.mark.parametrize("count", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_the_server_lives_on(count, rest, rest_mutations):
    statuses = collections.Counter()
    with urllib3.PoolManager(retries=False) as http:
        for case in rest_mutations.cases(4, count, "echoes"):
            # What cannot be written in a request line is the HTTP library's to refuse, not ours.
            if not re.fullmatch(rb"[!-~]+", case.target):
                continue
            target = rest + case.target.decode()
            reply = http.request(case.method, target, body=case.body, headers=dict(case.headers), timeout=60)
            statuses[reply.status] += 1
            assert reply.status in FINE, (case, reply.data)
            if reply.status != 200 and reply.data:
                assert list(json.loads(reply.data)) == ["error"], case
        reply = http.request("POST", f"{rest}/v1/models/echoes:predict", body=b'{"instances": [1.5]}')
        assert json.loads(reply.data) == {"predictions": [1.5]}
    assert statuses[200] > count / 20, statuses
