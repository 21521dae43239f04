"""Damaged requests are answered or refused with a status that clients expect, and leave nothing behind."""

import asyncio
import collections
import contextlib
import json
import random
from math import isinf

import numpy as np
import orjson
import pytest

from serving.errors import Code, ServingError
from serving.rest.json_reader import JsonReader
from serving.rest.json_text import parse

CASES = pytest.mark.parametrize("count", [4000, pytest.param(100_000, marks=pytest.mark.slow)])


@pytest.mark.lengthy
@CASES
def test_no_request_breaks_the_server(count, rest_fakes, rest_mutations):
    client = rest_fakes.Client(max_body_bytes=20_000)

    async def run():
        statuses = collections.Counter()
        for case in rest_mutations.cases(1, count, "m"):
            reply = await client.send(case.method, case.target.decode("latin-1"), case.body, case.headers)
            statuses[reply.status] += 1
            assert reply.status in (200, 400, 404, 413, 501), (case, reply)
            assert reply.headers["content-type"] == "application/json", case
            if reply.status != 200:
                assert list(orjson.loads(reply.body)) == ["error"], case
            elif case.method != "OPTIONS":
                json.loads(reply.body.decode("utf-8", "surrogateescape"))
        return statuses

    statuses = asyncio.run(run())
    assert client.admission.in_progress == 0
    assert client.post({"instances": [1.0]}).json == {"predictions": [1.0]}
    assert statuses[200] > count / 20, statuses
    assert statuses[400] > count / 4, statuses


@pytest.mark.lengthy
@CASES
def test_both_parsers_agree(count, rest_mutations):
    """The tolerant reader reads everything that orjson reads, to the same values."""
    read = 0
    for case in rest_mutations.cases(2, count, "m"):
        try:
            tolerant = JsonReader(case.body).read()
        except ServingError as error:
            assert error.code is Code.INVALID_ARGUMENT
            assert error.message.startswith("JSON Parse error: ")
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(case.body)
            continue
        if not _repeats(case.body):  # in an inner object orjson takes the last
            np.testing.assert_equal(parse(case.body), tolerant)
            read += 1
    assert read > count / 5


def _repeats(body):
    repeated = []

    def note(pairs):
        repeated.append(len(dict(pairs)) != len(pairs))
        return dict(pairs)

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(body.decode("utf-8-sig", "surrogateescape"), object_pairs_hook=note)
    return any(repeated)


@CASES
def test_numbers_are_read_alike(count):
    """Numbers, well-formed and malformed, in a list with a NaN and in one without."""
    rng = random.Random(3)
    for _ in range(count):
        token = "".join(rng.choice("0123456789..eE+-") for _ in range(rng.randrange(1, 25)))
        try:
            expected = orjson.loads(f"[{token}]")[0]
        except orjson.JSONDecodeError:
            for text in (f"[{token}]", f"[NaN, {token}]", f'["x", {token}]'):
                with contextlib.suppress(ServingError):
                    assert isinf(parse(text.encode())[-1]), text
            continue
        for text in (f"[{token}]", f"[{token}, NaN]", f'[{token}, "\udcff"]'):
            value = parse(text.encode("utf-8", "surrogateescape"))[0]
            assert type(value) is type(expected), text
            assert value == expected, text
