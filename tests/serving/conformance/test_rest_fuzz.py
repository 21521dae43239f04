"""Damaged requests over the network, on real models: the server answers all of them and keeps running."""

import collections
import contextlib
import http.client
import json
import os
import re
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.lengthy

# TensorFlow Serving reports some errors of the model as INTERNAL; ours must not.
FINE = {200, 400, 404, 413, 501} | ({500} if os.environ.get("VISION_TFX_SERVING_REST") else set())


@pytest.mark.parametrize("count", [1000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_the_server_lives_on(count, rest, rest_mutations):
    statuses = collections.Counter()
    with contextlib.closing(http.client.HTTPConnection(urlsplit(rest).netloc, timeout=60)) as connection:

        def ask(method, target, body, headers):
            connection.request(method, target, body, headers)  # reconnects if the server has closed the connection
            reply = connection.getresponse()
            return reply.status, reply.read()

        for case in rest_mutations.cases(4, count, "echoes"):
            # The HTTP library, not our code, refuses characters that a request line cannot contain.
            if not re.fullmatch(rb"[!-~]+", case.target):
                continue
            status, data = ask(case.method, case.target.decode(), case.body, dict(case.headers))
            statuses[status] += 1
            if not case.target.lower().startswith(b"/v1/"):
                assert status < 500, (case, data)
                continue
            assert status in FINE, (case, data)
            if status != 200 and data:
                assert list(json.loads(data)) == ["error"], case
        answer = ask("POST", "/v1/models/echoes:predict", b'{"instances": [1.5]}', {})
        assert (answer[0], json.loads(answer[1])) == (200, {"predictions": [1.5]})
    assert statuses[200] > count / 20, statuses
