import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from serving.errors import Code, ServingError
from serving.rest.json_reader import JsonReader
from serving.rest.json_text import parse, request_object, shown


def error_of(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.message


@pytest.mark.parametrize("text", ["5", "[]", "{}", '{"a": {"b": [1, 2.5, -0.0, null, true, false, "x\\ny"]}}', " [1] "])
def test_both_ways_read_the_same(text):
    assert parse(text.encode()) == JsonReader(text.encode()).read() == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[NaN, Inf, Infinity, -Inf, -Infinity]", [np.nan, np.inf, np.inf, -np.inf, -np.inf]),
        ('["x", NaN, [Inf]]', ["x", np.nan, [np.inf]]),
        ("[NaN, 1, 2.5, null, true, 18446744073709551616]", [np.nan, 1, 2.5, None, True, 2.0**64]),
        ("\ufeff[1]", [1]),
        ('{"a": 1}X', {"a": 1}),
        ('{"instances": [1], "instances": [2]}', {"instances": [1]}),
        ('{"a": 1, "b": "a", "a": 2}', {"a": 1, "b": "a"}),
        ('{"signature_name": "x", "signature_name": "y", "inputs": 1}', {"signature_name": "x", "inputs": 1}),
        ("[2e308, -2e308]", [np.inf, -np.inf]),
        ('"\\ud83d\\ude00\\u00e9\\/\\b\\f\\n\\r\\t"', "😀é/\b\f\n\r\t"),
        ("[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
        ("[18446744073709551616, -9223372036854775809]", [2.0**64, -(2.0**63)]),
    ],
)
def test_takes_what_rapidjson_takes(text, value):
    read = parse(text.encode())
    np.testing.assert_equal(read, value)
    if isinstance(value, list):
        assert list(map(type, read)) == list(map(type, value))


def test_bytes_that_are_not_utf8_come_through():
    assert parse(b'{"inputs": "a\xffb"}')["inputs"].encode("utf-8", "surrogateescape") == b"a\xffb"


REFERENCE = json.loads(Path(__file__).with_name("rapidjson_reference.json").read_text())


@pytest.mark.lengthy
@pytest.mark.parametrize(("text", "error"), REFERENCE)
def test_rapidjsons_errors_and_offsets(text, error):
    body = text.encode("latin-1")
    if error:
        assert error_of(parse, body) == f"JSON Parse error: {error}"
    else:
        parse(body)


def test_an_empty_body():
    assert error_of(parse, b"") == "JSON Parse error: The document is empty"


def test_deliberate_differences_from_rapidjson():
    assert parse(b"[NaN, 0e400, 0.1, 123456789012345678901234567890]")[1:] == [
        0.0,
        0.1,
        123456789012345678901234567890.0,
    ]
    assert "Missing a comma" in error_of(parse, b"[NaN.5]")


def test_depth_costs_no_stack():
    deep = 100_000
    value = parse(b"[" * deep + b"]" * deep)
    for _ in range(deep - 1):
        assert len(value) == 1
        value = value[0]
    assert value == []
    assert "Invalid value" in error_of(parse, b'{"signature_name":' + b"[" * deep)
    assert "deeper than 1000." in error_of(JsonReader(b"[" * 1001, max_depth=1000).read)
    assert "Invalid value" in error_of(JsonReader(b"[" * 1000, max_depth=1000).read)


def test_an_endless_number_costs_no_time():
    assert "too big" in error_of(parse, b"[NaN, " + b"7" * 1_000_000 + b"]")


def test_what_a_request_must_be():
    assert request_object(b'{"instances": [1]}') == {"instances": [1]}
    assert error_of(request_object, b"[1]") == "JSON Value: [1] Is not object"
    message = error_of(request_object, b'{"signature_name": 5, "instances": [[1,2],[3,4],[5,6,7]]}')
    assert "'signature_name' key must be a string value." in message


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x\n", [], {}, [1, [2, {"a": None}]], {"b": [], "c": {}}])
def test_shown_values_are_json(value):
    assert orjson.loads(shown(value)) == value


def test_shown_values_are_short():
    assert len(shown([1.5] * 1_000_000)) == 256 + 3
    assert len(shown("x" * 1_000_000)) == 256 + 3
    assert shown([np.nan, np.inf, -np.inf]) == "[NaN, Infinity, -Infinity]"
    assert shown("\udcff") == '"?"'
    value = []
    for _ in range(100_000):
        value = [value]
    assert shown(value) == "[" * 256 + "..."
