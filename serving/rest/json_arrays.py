"""Conversion of one JSON value to one array, at NumPy's speed, and TensorFlow Serving's error if it does not fit."""

import binascii
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from serving.errors import Code, ServingError, invalid
from serving.rest.json_text import shown, type_name
from serving.signature import TensorSpec

MAX_RANK = 64  # of a NumPy array
_SPACES = str.maketrans("", "", " \t\n\r\v\f")
_INT32 = (-(2**31), 2**31 - 1)
# Ranges of integers. TensorFlow Serving checks the small types as 32-bit integers and lets them wrap afterwards.
_RANGES = {
    "int8": _INT32,
    "uint8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS = {"float", "double"}
_BOOL, _STRING = "bool", "string"


def to_array(value: Any, spec: TensorSpec) -> np.ndarray | None:
    """Converts a JSON value to an array.

    Args:
        value: A scalar, or nested lists of scalars.
        spec: Input whose type the array gets; the shape is that of the value.

    Returns:
        The array; None if the lists are uneven or a scalar has the wrong type, of which `explain` raises the error.
    """
    flat = _flat(value)
    if flat is None:
        return None
    shape, leaves = flat
    array = _typed(leaves, spec)
    return None if array is None else array.reshape(shape)


def _flat(value: Any) -> tuple[list[int], list] | None:
    shape: list[int] = []
    level = [value]
    while type(level[0]) is list:
        length = len(level[0])
        shape.append(length)
        if len(shape) > MAX_RANK:
            return None
        if len(level) == 1:
            level = level[0]
        else:
            # Three passes in C take 20 ns per element in total.
            if set(map(type, level)) != {list} or set(map(len, level)) != {length}:
                return None
            level = list(chain.from_iterable(level))
        if not level:
            break
    return shape, level


def _typed(leaves: list, spec: TensorSpec) -> np.ndarray | None:
    kinds = set(map(type, leaves))
    name = spec.type_name
    if name in _FLOATS:
        return _floats(leaves, spec.dtype) if kinds <= {float, int} else None
    if name == _STRING:
        return _strings(leaves, kinds)
    if name == _BOOL:
        return np.array(leaves, bool) if kinds <= {bool} else None
    if name in _RANGES:
        return _integers(leaves, spec) if kinds <= {int} else None
    return None if leaves else np.empty(0, spec.dtype)


def _floats(leaves: list, dtype: np.dtype) -> np.ndarray:
    array = np.array(leaves, np.float64)
    if dtype == np.float64:
        return array
    with np.errstate(over="ignore"):  # numbers out of range become infinite, as in TensorFlow Serving
        return array.astype(dtype)


def _integers(leaves: list, spec: TensorSpec) -> np.ndarray | None:
    lowest, highest = _RANGES[spec.type_name]
    try:
        array = np.array(leaves, np.int64)
    except OverflowError:  # only uint64 has larger values
        if highest < 2**64 - 1 or min(leaves) < 0:
            return None
        return np.array(leaves, np.uint64)
    if array.size and (array.min() < lowest or array.max() > highest):
        return None
    return array.astype(spec.dtype)


def _strings(leaves: list, kinds: set[type]) -> np.ndarray | None:
    array = np.empty(len(leaves), object)
    if kinds == {str}:
        array[:] = [text.encode("utf-8", "surrogateescape") for text in leaves]
        return array
    if not kinds <= {str, dict}:
        return None
    try:
        array[:] = [_bytes(leaf) for leaf in leaves]
    except (LookupError, ValueError, TypeError):
        return None
    return array


def _bytes(leaf: Any) -> bytes:
    if type(leaf) is str:
        return leaf.encode("utf-8", "surrogateescape")
    if not is_base64(leaf):
        raise LookupError
    return decode_base64(leaf["b64"])


def is_base64(value: Any) -> bool:
    """Whether a value is {"b64": "..."}, which stands for a string."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def decode_base64(text: str) -> bytes:
    """Decodes base64 text as Abseil does: white space is skipped, and padding is either correct or omitted.

    >>> decode_base64("aGk"), decode_base64("aG k=")
    (b'hi', b'hi')

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        text = text.translate(_SPACES).replace(".", "=")
        if "=" not in text:
            text += "=" * (-len(text) % 4)
        return binascii.a2b_base64(text, strict_mode=True)


def explain(value: Any, spec: TensorSpec, max_rank: int = MAX_RANK) -> tuple[int, list[int]]:
    """Checks a value in TensorFlow Serving's order and raises the first error.

    Args:
        value: Value that `to_array` refused, or an element of it.
        spec: Input that the value is for.
        max_rank: Most levels of lists.

    Returns:
        The number of scalars and the shape, if the value by itself has no error.

    Raises:
        ServingError: The error, with TensorFlow Serving's message.
    """
    shape = _first_shape(value, spec, max_rank)
    return _walk(value, 0, shape, spec), shape


def _first_shape(value: Any, spec: TensorSpec, max_rank: int) -> list[int]:
    shape: list[int] = []
    while type(value) is list:
        shape.append(len(value))
        if len(shape) > max_rank:
            raise invalid(f"tensor parsing error: {spec.alias}: lists are nested deeper than {MAX_RANK}")
        if not value:
            break
        value = value[0]
    return shape


def _walk(value: Any, level: int, shape: Sequence[int], spec: TensorSpec) -> int:
    rank = len(shape)
    if type(value) is not list:
        if level != rank:
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{rank}"
            )
        _check_leaf(value, spec)
        return 1
    if level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    return sum(_walk(each, level + 1, shape, spec) for each in value)


def _check_leaf(value: Any, spec: TensorSpec) -> None:
    name = spec.type_name
    if type(value) is dict and name == _STRING:
        if not is_base64(value):
            raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
        try:
            decode_base64(value["b64"])
        except ValueError as error:
            raise invalid(f"Unable to base64 decode (input {spec.alias}): {error}") from error
    elif name not in _FLOATS and name not in _RANGES and name not in (_BOOL, _STRING) and type(value) is not dict:
        raise ServingError(
            Code.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(value)} to type: {name}; send it over gRPC"
        )
    elif not _fits(value, name):
        raise invalid(f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {name}")


def _fits(value: Any, name: str) -> bool:
    kind = type(value)
    if name in _RANGES:
        lowest, highest = _RANGES[name]
        return kind is int and lowest <= value <= highest
    if name in _FLOATS:
        return kind in (int, float)
    return kind is {_BOOL: bool, _STRING: str}.get(name)
