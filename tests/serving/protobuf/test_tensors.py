"""Conversion of TensorProto to NumPy and back, compared with TensorFlow's own C++ conversion."""

import math

import numpy as np
import pytest

from serving.errors import ServingError

tf = pytest.importorskip("tensorflow")

from tensorflow.core.framework import types_pb2  # noqa: E402
from tensorflow.core.framework.tensor_pb2 import TensorProto  # noqa: E402

from serving.protobuf.packed_fields import packed, varints  # noqa: E402
from serving.protobuf.tensors import fill, to_array  # noqa: E402

_LIMIT = 1 << 20
_RANDOM = np.random.default_rng(0)
_TYPES = [
    *("float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("bool", "half", "bfloat16", "complex64", "complex128", "string"),
]


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    dtype = tf.as_dtype(name)
    if dtype == tf.string:
        array = np.empty(shape, object)
        array.reshape(-1)[:] = [bytes(_RANDOM.integers(0, 256, 3, np.uint8)) for _ in range(math.prod(shape))]
        return array
    numbers = _RANDOM.normal(0, 1e3, shape)
    if dtype.is_integer:
        return _RANDOM.integers(dtype.min, dtype.max, shape, dtype.as_numpy_dtype, endpoint=True)
    if dtype.is_complex:
        return (numbers + 1j * _RANDOM.normal(0, 1, shape)).astype(dtype.as_numpy_dtype)
    return numbers > 0 if dtype == tf.bool else numbers.astype(dtype.as_numpy_dtype)


def reference(proto: TensorProto) -> np.ndarray:
    """The array that TensorFlow's C++ reads."""
    return tf.raw_ops.ParseTensor(serialized=proto.SerializeToString(), out_type=proto.dtype).numpy()


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and left.tolist() == right.tolist()


@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (0,), (2, 0, 3), (30, 20)])
@pytest.mark.parametrize("name", _TYPES)
def test_there_and_back(name, shape):
    array = values(name, shape)
    proto = TensorProto()
    fill(proto, array)
    assert not proto.tensor_content
    assert same(to_array(proto, "x", _LIMIT), array)
    assert np.array_equal(tf.make_ndarray(proto), array)
    if array.size > 1:
        assert same(reference(proto), array)


@pytest.mark.parametrize("name", _TYPES)
def test_content(name):
    array = values(name, (5, 4))
    proto = TensorProto(dtype=tf.as_dtype(name).as_datatype_enum)
    for length in array.shape:
        proto.tensor_shape.dim.add(size=length)
    if array.dtype == object:
        array[0, 0], array[1, 1] = b"", b"x" * 300
        lengths = [bytes([len(each)]) if len(each) < 128 else b"\xac\x02" for each in array.flat]
        proto.tensor_content = b"".join(lengths) + b"".join(array.flat)
    else:
        proto.tensor_content = array.tobytes()
        proto.int_val.append(3)  # the content wins
    assert same(to_array(proto, "x", _LIMIT), array)
    assert same(reference(proto), array)


@pytest.mark.parametrize("elements", [6, 600])
@pytest.mark.parametrize("given", [0, 1, 4, 300, 601])
@pytest.mark.parametrize("name", _TYPES)
def test_the_last_value_is_repeated(name, given, elements):
    proto = TensorProto()
    fill(proto, values(name, (given,)))
    del proto.tensor_shape.dim[:]
    proto.tensor_shape.dim.add(size=elements)
    assert same(to_array(proto, "x", _LIMIT), reference(proto))


def test_small_integers_wrap():
    proto = TensorProto(dtype=types_pb2.DT_UINT8, int_val=[-1, 256, 2**31 - 1])
    proto.tensor_shape.dim.add(size=3)
    assert to_array(proto, "x", _LIMIT).tolist() == [255, 0, 255]


def test_rare_types():
    array = np.array([1.5, -2.0], tf.dtypes.experimental.float8_e5m2.as_numpy_dtype)
    proto = TensorProto()
    fill(proto, array)
    assert np.array_equal(to_array(proto, "x", _LIMIT), array)


def bad(**fields) -> TensorProto:
    shape = fields.pop("shape", ())
    proto = TensorProto(**{"dtype": types_pb2.DT_FLOAT, **fields})
    for length in shape:
        proto.tensor_shape.dim.add(size=length)
    return proto


_MANY = 2**40
_BAD = {
    "no type": bad(dtype=0),
    "unknown type": bad(dtype=77),
    "a reference": bad(dtype=101, shape=[1]),
    "a resource": bad(dtype=types_pb2.DT_RESOURCE),
    "a variant": bad(dtype=types_pb2.DT_VARIANT, shape=[2]),
    "negative length": bad(shape=[-1]),
    "two negative lengths": bad(shape=[-2, -3]),
    "huge": bad(shape=[_MANY], float_val=[1]),
    "overflow": bad(shape=[2**62, 2**62, 16]),
    "empty, but huge": bad(shape=[0, _MANY]),
    "huge text": bad(shape=[1000], dtype=types_pb2.DT_STRING, string_val=[b"x" * 2000]),
    "huge and rare": bad(shape=[_MANY], dtype=types_pb2.DT_QINT8),
    "too many dimensions": bad(shape=[1] * 100),
    "short content": bad(shape=[2], tensor_content=b"1234567"),
    "long content": bad(shape=[2], tensor_content=b"123456789"),
    "no text in the content": bad(shape=[2], dtype=types_pb2.DT_STRING, tensor_content=b"\x01"),
    "text cut off": bad(shape=[1], dtype=types_pb2.DT_STRING, tensor_content=b"\xff\xff\xff\xff"),
    "text too long": bad(shape=[1], dtype=types_pb2.DT_STRING, tensor_content=b"\x05abc"),
}


@pytest.mark.parametrize("proto", _BAD.values(), ids=_BAD.keys())
def test_bad_tensors(proto):
    with pytest.raises(ServingError, match="tensor parsing error: x") as caught:
        to_array(proto, "x", _LIMIT)
    assert caught.value.code.name == "INVALID_ARGUMENT"


def test_unknown_rank():
    proto = bad(float_val=[1])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(ServingError, match="tensor parsing error: x"):
        to_array(proto, "x", _LIMIT)


def test_varints_in_several_chunks():
    numbers = [0, 1, 127, 128, 300, 2**32, 2**63 - 1, -1, -(2**63), 5] * 7
    proto = TensorProto(int64_val=numbers)
    encoded = packed(proto.SerializeToString(), TensorProto.INT64_VAL_FIELD_NUMBER)
    assert varints(encoded, chunk=16).astype(np.int64).tolist() == numbers
    assert varints(encoded).astype(np.int64).tolist() == numbers
    assert varints(memoryview(b"")).tolist() == []


def test_random_bytes_as_tensors():
    """Bytes that parse as a TensorProto give TensorFlow's array or the error above."""
    from google.protobuf.message import DecodeError

    proto, good = TensorProto(), 0
    seeds = [bad.SerializeToString() for bad in _BAD.values() if bad.dtype]
    for name in _TYPES:
        proto.Clear()
        fill(proto, values(name, (2, 3)))
        seeds.append(proto.SerializeToString())
    for _ in range(5000):
        body = bytearray(seeds[_RANDOM.integers(len(seeds))])
        for _ in range(_RANDOM.integers(1, 4)):
            body[_RANDOM.integers(len(body))] = _RANDOM.integers(256)
        try:
            proto = TensorProto.FromString(bytes(body))
            array = to_array(proto, "x", _LIMIT)
        except DecodeError:
            continue
        except ServingError as error:
            assert error.message.startswith("tensor parsing error: x")
            continue
        good += 1
        if array.size:
            assert repr(array.tolist()) == repr(np.asarray(reference(proto), array.dtype).tolist())  # NaN is NaN here
    assert good > 500
