import json
import re

import numpy as np
import orjson
import pytest

from serving.errors import ServingError
from serving.inference import Classification
from serving.rest.json_responses import write_classification, write_columns, write_error, write_regressions, write_rows
from serving.signature import TensorSpec

TYPE_NAMES = {"float32": "float", "float64": "double", "object": "string", "float16": "half"}


def strings(values):
    shape = np.shape(values)
    array = np.empty(int(np.prod(shape)), object)
    array[:] = [value.encode() for value in np.ravel(values)]
    return array.reshape(shape)


def write(by_row, **outputs):
    specs = {
        alias: TensorSpec(alias, "", array.dtype, 0, TYPE_NAMES.get(array.dtype.name, array.dtype.name), None)
        for alias, array in outputs.items()
    }
    return (write_rows if by_row else write_columns)(outputs, specs)


def rows(**outputs):
    return json.loads(write(True, **outputs))["predictions"]


def columns(**outputs):
    return json.loads(write(False, **outputs))["outputs"]


def refused(call, **outputs):
    with pytest.raises(ServingError) as caught:
        call(**outputs)
    return caught.value.message


def test_one_output():
    values = [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]]
    array = np.array(values, np.int32)
    assert rows(x=array) == columns(x=array) == values
    assert rows(x=np.arange(5)) == columns(x=np.arange(5)) == [0, 1, 2, 3, 4]


def test_bytes_are_base64():
    array = strings([["hello", "world"], ["tf", "serving"]])
    expected = [[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}], [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]
    assert rows(x_bytes=array) == columns(x_bytes=array) == expected
    assert rows(x=array) == [["hello", "world"], ["tf", "serving"]]
    assert rows(x_bytes=np.array([1, 2])) == [1, 2]


def test_several_outputs():
    outputs = {
        "double_scalar": np.array([8.0, 9.0]),
        "float": np.array([[0.1], [2.0]], np.float32),
        "float_scalar": np.array([0.1, 2.0], np.float32),
        "int": np.array([[[1, 2]], [[3, 4]]], np.int64),
        "str": strings([["foo", "bar"], ["baz", "bat"]]),
        "str_bytes": strings(["hello", "world"]),
        "bool": np.array([True, False]),
    }
    assert rows(**outputs) == [
        {
            "double_scalar": 8.0,
            "float": [0.1],
            "float_scalar": 0.1,
            "int": [[1, 2]],
            "str": ["foo", "bar"],
            "str_bytes": {"b64": "aGVsbG8="},
            "bool": True,
        },
        {
            "double_scalar": 9.0,
            "float": [2.0],
            "float_scalar": 2.0,
            "int": [[3, 4]],
            "str": ["baz", "bat"],
            "str_bytes": {"b64": "d29ybGQ="},
            "bool": False,
        },
    ]
    assert columns(**outputs) == {
        "double_scalar": [8.0, 9.0],
        "float": [[0.1], [2.0]],
        "float_scalar": [0.1, 2.0],
        "int": [[[1, 2]], [[3, 4]]],
        "str": [["foo", "bar"], ["baz", "bat"]],
        "str_bytes": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}],
        "bool": [True, False],
    }


def test_floats_are_short_and_have_a_point():
    values = np.array([9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5, 3, 0.2], np.float32)
    text = write(True, x=values).decode()
    tokens = re.search(r"\[(.*)\]", text)[1].split(",")
    assert all("." in token or "e" in token for token in tokens)
    assert max(map(len, tokens)) <= len("9000000.0")
    np.testing.assert_array_equal(np.array(tokens, np.float32), values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_come_back_exactly(dtype):
    random = np.random.default_rng(0).integers(0, 256, 8 * 5000, np.uint8).view(dtype)
    values = random[np.isfinite(random)]
    np.testing.assert_array_equal(np.array(rows(x=values), np.float64).astype(dtype), values)


def test_infinities_and_nan():
    array = np.array([[np.nan, np.inf], [3, -np.inf]], np.float32)
    assert write(True, x=array) == b'{"predictions":[[NaN,Infinity],[3.0,-Infinity]]}'
    assert write(False, x=array) == b'{"outputs":[[NaN,Infinity],[3.0,-Infinity]]}'
    text = write(True, a=np.array([np.nan, 1]), b=np.array([2, -np.inf], np.float32), s=strings(["null", "x"]))
    assert text == b'{"predictions":[{"a":NaN,"b":2.0,"s":"null"},{"a":1.0,"b":-Infinity,"s":"x"}]}'
    text = write(False, a=np.array(np.nan), s=strings(["null"]))
    assert text == b'{"outputs":{"a":NaN,"s":["null"]}}'


@pytest.mark.parametrize("type_name", ["int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool"])
def test_types(type_name):
    array = np.array([[0, 1], [1, 0]]).astype(type_name)
    assert rows(x=array) == array.tolist()
    assert columns(x=np.array(1, type_name)) == array[0, 1].item()


@pytest.mark.parametrize("type_name", ["complex64", "float16", "uint16"])
def test_types_that_json_lacks(type_name):
    message = refused(rows, x=np.zeros(2, type_name))
    assert f"Failed to write JSON value for tensor type: {TYPE_NAMES.get(type_name, type_name)}" in message


def test_shapes():
    assert columns(x=np.array(2.5, np.float32)) == 2.5
    assert columns(x=strings("a")) == "a"
    assert rows(x=np.zeros(0)) == []
    assert rows(x=np.zeros((0, 3)), y=np.zeros(0)) == []
    assert rows(x=np.zeros((2, 0, 3))) == [[], []]
    assert columns(a=np.zeros(2), b=np.zeros(3)) == {"a": [0, 0], "b": [0, 0, 0]}
    assert rows(x=np.arange(6.0).reshape(2, 3).T) == [[0, 3], [1, 4], [2, 5]]
    assert rows(x=np.arange(6.0).reshape(2, 3).T, y=np.arange(3)) == [
        {"x": [0, 3], "y": 0},
        {"x": [1, 4], "y": 1},
        {"x": [2, 5], "y": 2},
    ]


def test_rows_need_a_batch():
    assert "Tensor name: x has no shape information" in refused(rows, x=np.array(1))
    message = refused(rows, a=np.zeros((2, 3)), b=np.zeros((1, 3)))
    assert "Tensor name: b has inconsistent batch size: 1 expecting: 2" in message
    assert refused(rows) == refused(columns) == "Cannot convert empty tensor map to JSON"


def test_strings_that_are_not_utf8_are_written_unchanged():
    array = np.array([b'a\xff"', b"b"], object)
    assert write(True, x=array) == b'{"predictions":["a\xff\\"","b"]}'


def test_classes():
    classes = strings([["car", "bike", "bus"], ["car", "bike", "bus"]])
    scores = np.array([[0.2, 0.7, 0.1], [0.7, 0.1, np.nan]], np.float32)
    expected = b'{"results":[[["car",0.2],["bike",0.7],["bus",0.1]],[["car",0.7],["bike",0.1],["bus",NaN]]]}'
    assert write_classification(Classification(classes, scores)) == expected
    assert orjson.loads(write_classification(Classification(classes[:1], None))) == {
        "results": [[["car", 0.0], ["bike", 0.0], ["bus", 0.0]]]
    }
    assert write_classification(Classification(None, np.array([[12]], np.float32))) == b'{"results":[[["",12.0]]]}'
    for nothing in (Classification(None, None), Classification(None, np.zeros((0, 3), np.float32))):
        with pytest.raises(ServingError, match="empty ClassificationResults"):
            write_classification(nothing)


def test_regressions():
    values = np.array([0.2, np.inf, 1.0, -np.inf, np.nan], np.float32)
    assert write_regressions(values) == b'{"results":[0.2,Infinity,1.0,-Infinity,NaN]}'
    with pytest.raises(ServingError, match="empty RegressionResults"):
        write_regressions(values[:0])


def test_errors():
    assert write_error('a "b"') == b'{\n    "error": "a \\"b\\""\n}'
    assert orjson.loads(write_error("a\udcff\n")) == {"error": "a�\n"}
