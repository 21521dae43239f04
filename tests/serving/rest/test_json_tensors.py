import json
import math
import random

import numpy as np
import pytest

from serving.errors import Code, ServingError
from serving.rest.json_arrays import decode_base64
from serving.rest.json_tensors import read_tensors
from serving.rest.json_text import parse
from serving.signature import TensorSpec

DTYPES = {"float": "float32", "double": "float64", "string": "object", "half": "float16", "bfloat16": "uint16"}


def specs(**type_names):
    return {
        alias: TensorSpec(alias, f"{alias}:0", np.dtype(DTYPES.get(name, name)), 0, name, None)
        for alias, name in type_names.items()
    }


def read(text, **type_names):
    return read_tensors(parse(text.encode()), specs(**type_names))


def array(text, type_name):
    return read(text, x=type_name).arrays["x"]


def error(text, code=Code.INVALID_ARGUMENT, **type_names):
    with pytest.raises(ServingError) as caught:
        read(text, **(type_names or {"x": "int32"}))
    assert caught.value.code is code
    return caught.value.message


def same(received, expected, dtype):
    assert received.dtype == dtype
    np.testing.assert_array_equal(received, expected)


class TestTypes:
    def test_integers(self):
        same(array('{"instances": [[1,2],[3,4],[5,6]]}', "int32"), [[1, 2], [3, 4], [5, 6]], np.int32)

    @pytest.mark.parametrize("type_name", ["float", "double"])
    def test_decimals_may_be_written_as_integers(self, type_name):
        dtype = np.dtype(DTYPES[type_name])
        received = array('{"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]}', type_name)
        same(received, np.array([1, 2, 3, 4, 5.003, 0.007, 0], dtype), dtype)

    def test_range_of_float(self):
        received = array('{"instances": [1e39, -1e39, 1e-60, -1e-60, 16777217, 3.4028235e38]}', "float")
        same(received, np.array([np.inf, -np.inf, 0, -0.0, 16777216, np.finfo("f").max], "f"), np.float32)
        assert math.copysign(1, received[3]) == -1

    def test_nan_is_a_number(self):
        for type_name in ("float", "double"):
            received = array('{"instances": [NaN, Infinity, -Infinity, Inf, 1]}', type_name)
            np.testing.assert_array_equal(received, [np.nan, np.inf, -np.inf, np.inf, 1])

    @pytest.mark.parametrize(
        ("type_name", "lowest", "highest"),
        [
            ("int32", -(2**31), 2**31 - 1),
            ("int64", -(2**63), 2**63 - 1),
            ("uint32", 0, 2**32 - 1),
            ("uint64", 0, 2**64 - 1),
        ],
    )
    def test_ranges_of_integers(self, type_name, lowest, highest):
        same(array(f'{{"instances": [{lowest}, {highest}]}}', type_name), [lowest, highest], type_name)
        for beyond in (lowest - 1, highest + 1):
            assert f"is not of expected type: {type_name}" in error(f'{{"instances": [1, {beyond}]}}', x=type_name)

    @pytest.mark.parametrize("type_name", ["int8", "uint8", "int16"])
    def test_small_integers_wrap_within_32_bits(self, type_name):
        expected = np.array([1, 70000], np.int32).astype(type_name)
        same(array('{"instances": [1, 70000]}', type_name), expected, type_name)
        assert "is not of expected type" in error(f'{{"instances": [{2**31}]}}', x=type_name)

    @pytest.mark.parametrize("wrong", ["1.0", "true", "null", '"1"', "{}", '{"b64": "AA=="}', "1e2"])
    @pytest.mark.parametrize("type_name", ["int8", "uint8", "int16", "int32", "int64", "uint32", "uint64"])
    def test_integers_are_integer_tokens(self, type_name, wrong):
        assert f"is not of expected type: {type_name}" in error(f'{{"inputs": [1, {wrong}]}}', x=type_name)

    @pytest.mark.parametrize("wrong", ["true", "null", '"1"', "{}"])
    @pytest.mark.parametrize("type_name", ["float", "double"])
    def test_decimals_are_numbers(self, type_name, wrong):
        assert f"is not of expected type: {type_name}" in error(f'{{"inputs": [1.5, {wrong}]}}', x=type_name)

    def test_booleans(self):
        same(array('{"instances": [true, false]}', "bool"), [True, False], bool)
        for wrong in ("0", "1.0", '"true"', "null"):
            assert "is not of expected type: bool" in error(f'{{"instances": [true, {wrong}]}}', x="bool")

    def test_message_of_a_wrong_type(self):
        message = error('{"inputs": ["x"]}', x="float")
        assert message == 'JSON Value: "x" Type: String is not of expected type: float'

    @pytest.mark.parametrize("type_name", ["half", "bfloat16", "uint16", "complex64"])
    def test_types_that_json_cannot_send(self, type_name):
        message = error('{"inputs": [1.5]}', Code.UNIMPLEMENTED, x=type_name)
        assert message.startswith(f"Conversion of JSON Value: 1.5 to type: {type_name}")
        message = error('{"instances": [1.5]}', x=type_name)
        assert "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of" in message


class TestStrings:
    def test_text(self):
        received = array('{"instances": ["a", "ö", ""]}', "string")
        assert received.tolist() == [b"a", "ö".encode(), b""]

    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ('[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]', (2,)),
            ('[[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]', (2, 1)),
            ('[{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]', (1, 2, 1)),
            ('["hello", {"b64": "d29ybGQ="}]', (2,)),
        ],
    )
    def test_base64(self, text, shape):
        received = array(f'{{"instances": {text}}}', "string")
        assert received.shape == shape
        assert received.ravel().tolist() == [b"hello", b"world"]

    def test_base64_scalar(self):
        received = array('{"inputs": {"b64": "aGVsbG8="}}', "string")
        assert received.shape == ()
        assert received[()] == b"hello"

    @pytest.mark.parametrize("text", ["aGVsbG8=", "aGVsbG8", " aGVs\nbG8= ", "aGVsbG8."])
    def test_base64_as_abseil_reads_it(self, text):
        assert decode_base64(text) == b"hello"

    @pytest.mark.parametrize("text", ["a", "aGVsbG8==", "aG=sbG8=", "aGVs?G8=", "aGVsbG8=aGVs", "_-==", "é", "QQ="])
    def test_invalid_base64(self, text):
        assert "Unable to base64 decode" in error(json.dumps({"instances": ["x", {"b64": text}]}), x="string")

    def test_objects_that_are_not_base64(self):
        assert "not formatted correctly for base64 data" in error('{"inputs": ["a", {"b64": 1}]}', x="string")
        assert "not formatted correctly for base64 data" in error('{"inputs": [["a"], [{"c": "a"}]]}', x="string")


class TestRows:
    def test_named(self):
        text = """{"instances": [
            {"i": [[1,2],[3,4],[5,6]], "s": ["foo", "bar"], "f": [1.0, NaN], "d": [NaN]},
            {"i": [[7,8],[9,0],[1,2]], "s": ["baz", "bat"], "f": [2.0, Infinity], "d": [2.0]}]}"""
        tensors = read(text, i="int32", s="string", f="float", d="double")
        assert (tensors.by_row, tensors.rows) == (True, 2)
        same(tensors.arrays["i"], [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]], np.int32)
        assert tensors.arrays["s"].tolist() == [[b"foo", b"bar"], [b"baz", b"bat"]]
        same(tensors.arrays["f"], [[1, np.nan], [2, np.inf]], np.float32)
        same(tensors.arrays["d"], [[np.nan], [2]], np.float64)

    def test_one_input_may_be_named(self):
        same(array('{"instances": [{"x": 1.5}, {"x": 2.5}]}', "float"), [1.5, 2.5], np.float32)

    def test_base64_wins_over_an_input_of_that_name(self):
        assert read('{"instances": [{"b64": "QQ=="}]}', b64="string").arrays["b64"].tolist() == [b"A"]
        same(read('{"instances": [{"b64": [1]}]}', b64="int32").arrays["b64"], [[1]], np.int32)
        assert "Expecting object" in error('{"instances": [{"b64": ["a"]}, {"b64": "QQ=="}]}', b64="string")

    def test_empty_lists_have_shapes(self):
        assert array('{"instances": [[], []]}', "float").shape == (2, 0)
        assert array('{"instances": [[[]], [[]]]}', "half").shape == (2, 1, 0)

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ('{"instances": 1}', "Expecting 'instances' to be an list/array"),
            ('{"instances": {"x": 1}}', "Expecting 'instances' to be an list/array"),
            ('{"instances": []}', "No values in 'instances' array"),
            ('{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances' keys to exist"),
            ("{}", "Missing 'inputs' or 'instances' key"),
            ('{"instances": [[1,2],[3,4],[5,6,7]]}', "Expecting tensor size: 2 but got: 3"),
            ('{"instances": [[1,2],[3,4],[[5,6]]]}', "Expecting shape [2] but got: [1,2]"),
            ('{"instances": [1, [1]]}', "Expecting shape [] but got: [1]"),
            ('{"instances": [[1,2],["a","b"]]}', "not of expected type: int32"),
            ('{"instances": [[1,2],["a","b"]]}', "Failed to process element: 1 of 'instances' list. Error: "),
            ('{"instances": [[[1],[2,3]]]}', "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
            ('{"instances": [[1,[2]]]}', "Encountered list at unexpected level: 1 expected < 1"),
            ('{"instances": [[[1],2]]}', "JSON Value: 2 found at incorrect level: 2 in the JSON DOM"),
            ('{"instances": [{"y": 1}]}', "JSON object: does not have named input: y"),
            ('{"instances": [{"x": 1, "y": 1}]}', "Failed to process element: 0 key: y of 'instances' list. Error: "),
            ('{"instances": [{"x": 1}, {}]}', "Failed to process element: 1 of 'instances' list. JSON object: {} keys"),
            ('{"instances": [{"x": 1}, 5]}', "Expecting object but got list at item 1 of input list"),
            ('{"instances": [5, {"x": 1}]}', "Expecting value/list but got object at item 1 of input list"),
        ],
    )
    def test_errors(self, text, part):
        assert part in error(text)

    def test_errors_with_several_inputs(self):
        two = {"int_tensor": "int32", "str_tensor": "string"}
        rows = '{"instances": [%s]}'
        good = '{"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"]}'
        deeper = '{"int_tensor": [[[7,8],[9,0],[1,2]]], "str_tensor": ["baz", "bat"]}'
        longer = '{"int_tensor": [[1,2],[3,4],[5,6],[7,8]], "str_tensor": ["foo", "bar"]}'
        assert "Expecting shape [3,2] but got: [1,3,2]" in error(rows % f"{good}, {deeper}", **two)
        assert "Expecting tensor size: 8 but got: 6" in error(rows % f"{longer}, {good}", **two)
        assert "Expecting object but got list at item 1" in error(rows % f"{good}, [1, 20, 30], {deeper}", **two)
        assert "instances is a plain list, but expecting list of objects" in error(rows % "1", **two)
        assert "keys must be equal to: int_tensor,str_tensor" in error(rows % '{"int_tensor": 1}', **two)


class TestColumns:
    def test_named_or_bare(self):
        for text in ('{"inputs": {"x": [[[1,2],[3,4],[5,6]]]}}', '{"inputs": [[[1,2],[3,4],[5,6]]]}'):
            tensors = read(text, x="int32")
            assert (tensors.by_row, tensors.rows) == (False, 1)
            same(tensors.arrays["x"], [[[1, 2], [3, 4], [5, 6]]], np.int32)

    def test_several(self):
        text = '{"inputs": {"i": [[1,2]], "s": ["foo", "bar"], "b": {"b64": "aGVsbG8="}, "unknown": 5}}'
        arrays = read(text, i="int32", s="string", b="string").arrays
        assert list(arrays) == ["i", "s", "b"]
        assert arrays["b"].shape == ()
        assert arrays["b"][()] == b"hello"

    def test_scalar(self):
        received = array('{"inputs": 5}', "double")
        assert received.shape == ()
        assert received == 5

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ('{"inputs": {"y": 1}}', "Missing named input: x in 'inputs' object."),
            ('{"inputs": {"x": "a"}}', 'JSON Value: "a" Type: String is not of expected type: int32'),
            ('{"inputs": [[], 1]}', "found at incorrect level"),
            ('{"inputs": [[1, 2], [3]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ],
    )
    def test_errors(self, text, part):
        assert part in error(text)

    def test_several_must_be_named(self):
        for bare in ("1", "[1]", '{"b64": "QQ=="}'):
            message = error(f'{{"inputs": {bare}}}', a="string", b="string")
            assert "inputs is a plain value/list, but expecting an object" in message


def test_a_signature_without_inputs():
    with pytest.raises(ServingError, match="Failed to get input map for signature"):
        read_tensors({"inputs": 1}, {})


@pytest.mark.lengthy
def test_depth_is_limited_by_numpy():
    assert array('{"inputs": ' + "[" * 64 + "1" + "]" * 64 + "}", "float").ndim == 64
    for deep in (65, 5000, 200_000):
        nested = "[" * deep + "1" + "]" * deep
        for text in (f'{{"inputs": {nested}}}', f'{{"instances": {nested}}}', f'{{"inputs": [1, {nested}]}}'):
            assert error(text, x="float")


# TensorFlow Serving's algorithm, value by value, as an independent definition of the accepted values.


class RefusedError(Exception):
    pass


def slow_shape(value):
    return [len(value), *(slow_shape(value[0]) if value else [])] if isinstance(value, list) else []


def slow_fill(value, level, shape, name, found):
    if isinstance(value, list):
        if level >= len(shape) or len(value) != shape[level]:
            raise RefusedError
        for each in value:
            slow_fill(each, level + 1, shape, name, found)
    elif level != len(shape):
        raise RefusedError
    else:
        found.append(slow_leaf(value, name))


def slow_leaf(value, name):
    if name == "string" and isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str):
        try:
            return decode_base64(value["b64"])
        except ValueError:
            raise RefusedError from None
    kind = {"float": (int, float), "int32": int, "uint64": int, "bool": bool, "string": str}[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and name != "bool"):
        raise RefusedError
    lowest, beyond = {"int32": (-(2**31), 2**31), "uint64": (0, 2**64)}.get(name, (-math.inf, math.inf))
    if name != "string" and not lowest <= value < beyond:
        raise RefusedError
    return value.encode() if name == "string" else value


def slow_read(document, names):
    def tensor(value, name):
        found, shape = [], slow_shape(value)
        slow_fill(value, 0, shape, name, found)
        return shape, found

    def is_object(value):
        return isinstance(value, dict) and not (list(value) == ["b64"] and isinstance(value["b64"], str))

    if "inputs" in document:
        value = document["inputs"]
        if not is_object(value):
            if len(names) > 1:
                raise RefusedError
            value = {next(iter(names)): value}
        if not names.keys() <= value.keys():
            raise RefusedError
        return {alias: tensor(value[alias], name) for alias, name in names.items()}
    rows = document["instances"]
    if not isinstance(rows, list) or not rows:
        raise RefusedError
    if not is_object(rows[0]):
        if len(names) > 1 or any(map(is_object, rows)):
            raise RefusedError
        rows = [{next(iter(names)): row} for row in rows]
    elif not all(is_object(row) and row.keys() == names.keys() for row in rows):
        raise RefusedError
    answer = {}
    for alias, name in names.items():
        tensors = [tensor(row[alias], name) for row in rows]
        if any(shape != tensors[0][0] for shape, _ in tensors):
            raise RefusedError
        answer[alias] = [len(rows), *tensors[0][0]], [leaf for _, leaves in tensors for leaf in leaves]
    return answer


def some_value(rng, name, depth):
    if depth and rng.random() < 0.5:
        length = rng.randrange(3)
        first = some_value(rng, name, depth - 1)
        return [first if rng.random() < 0.7 else some_value(rng, name, depth - 1) for _ in range(length)]
    if rng.random() < 0.07:
        name = rng.choice(["float", "int32", "uint64", "bool", "string", "null", "object"])
    return {
        "float": rng.choice([1.5, 2, -3.0, 1e39]),
        "int32": rng.choice([1, -5, 2**31, 2**31 - 1]),
        "uint64": rng.choice([1, 2**64 - 1, 2**63, -1]),
        "bool": rng.random() < 0.5,
        "string": rng.choice(["a", "ö", {"b64": "QQ=="}, {"b64": "Q"}]),
        "null": None,
        "object": rng.choice([{}, {"b64": 1}, {"a": 1}, {"b64": "QQ==", "a": 1}]),
    }[name]


def some_document(rng, names):
    def one():
        if len(names) > 1 or rng.random() < 0.3:
            row = {alias: some_value(rng, name, 2) for alias, name in names.items() if rng.random() < 0.95}
            return {**row, "other": 1} if rng.random() < 0.05 else row
        return some_value(rng, next(iter(names.values())), 2)

    if rng.random() < 0.3:
        return {"inputs": one()}
    first = one()
    return {"instances": [first if rng.random() < 0.6 else one() for _ in range(rng.randrange(4))]}


@pytest.mark.parametrize("cases", [5000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_fast_and_slow_agree(cases):
    rng = random.Random(0)
    taken = 0
    for case in range(cases):
        kinds = ["float", "int32", "uint64", "bool", "string"]
        names = {alias: rng.choice(kinds) for alias in "abc"[: rng.choice([1, 1, 2, 3])]}
        document = some_document(rng, names)
        try:
            expected = slow_read(document, names)
        except RefusedError:
            with pytest.raises(ServingError) as caught:
                read_tensors(document, specs(**names))
            assert caught.value.code is Code.INVALID_ARGUMENT, (case, document, caught.value.message)
            continue
        taken += 1
        arrays = read_tensors(document, specs(**names)).arrays
        for alias, (shape, leaves) in expected.items():
            assert list(arrays[alias].shape) == shape, (case, document)
            if names[alias] == "float":
                with np.errstate(over="ignore"):
                    leaves = np.array(leaves, np.float64).astype(np.float32).tolist()
            assert arrays[alias].ravel().tolist() == leaves, (case, document)
    assert cases / 5 < taken < cases * 4 / 5
