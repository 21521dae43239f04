import json

import numpy as np
import orjson
import pytest

from serving.errors import Code, ServingError
from serving.rest.json_reader import MAX_DEPTH, Reader
from serving.rest.json_text import parse, request_object, shown


def error_of(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.message


@pytest.mark.parametrize("text", ["5", "[]", "{}", '{"a": {"b": [1, 2.5, -0.0, null, true, false, "x\\ny"]}}', " [1] "])
def test_both_ways_read_the_same(text):
    assert parse(text.encode()) == Reader(text.encode()).read() == json.loads(text)


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The document is empty"),
        (" \n", "The document is empty. at offset: 2"),
        ("instances = [1, 2]", "Invalid value. at offset: 0"),
        ("nul", "Invalid value. at offset: 0"),
        ("[NaN, nul]", "Invalid value. at offset: 6"),
        ("[1,]", "Invalid value. at offset: 3"),
        ("[-]", "Invalid value. at offset: 1"),
        ("[1e400]", "Number too big to be stored in double. at offset: 1"),
        ("[NaN, Inf, 1e400]", "Number too big to be stored in double. at offset: 11"),
        (f"[NaN, {'9' * 5000}]", "Number too big to be stored in double. at offset: 6"),
        ("[1.]", "Miss fraction part in number. at offset: 1"),
        ("[1.e5]", "Miss fraction part in number. at offset: 1"),
        ("[1e]", "Miss exponent in number. at offset: 1"),
        ("[1E+]", "Miss exponent in number. at offset: 1"),
        ("[01]", "Missing a comma or ] after an array element. at offset: 2"),
        ("[1 2]", "Missing a comma or ] after an array element. at offset: 3"),
        ("[1", "Missing a comma or ] after an array element. at offset: 2"),
        ('{"a": 1', "Missing a comma or } after an object member. at offset: 7"),
        ('{"a": 1,}', "Missing a name for object member. at offset: 8"),
        ("{1: 2}", "Missing a name for object member. at offset: 1"),
        ('{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        ('["a', "Missing a closing quotation mark in string. at offset: 3"),
        ('["a\0"]', "Missing a closing quotation mark in string. at offset: 3"),
        ('["a\1"]', "Invalid encoding in string. at offset: 3"),
        ('["\\x"]', "Invalid escape character in string. at offset: 2"),
        ('["\\u12"]', "Incorrect hex digit after \\u escape in string. at offset: 2"),
        ('["\\ud83d"]', "The surrogate pair in string is invalid. at offset: 2"),
        ('["\\ud83d\\u0041"]', "The surrogate pair in string is invalid. at offset: 2"),
        ('["\\udc00"]', "The surrogate pair in string is invalid. at offset: 2"),
    ],
)
def test_rapidjsons_errors(text, message):
    assert error_of(parse, text.encode()) == f"JSON Parse error: {message}"


def test_depth_costs_no_stack():
    deep = 100_000
    value = parse(b"[" * deep + b"]" * deep)
    for _ in range(deep - 1):
        assert len(value) == 1
        value = value[0]
    assert value == []
    assert "Invalid value" in error_of(parse, b'{"signature_name":' + b"[" * deep)
    assert f"deeper than {MAX_DEPTH}" in error_of(parse, b"[" * (MAX_DEPTH + 1))


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
