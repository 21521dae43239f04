"""The examples of a classify or regress request: JSON to serialized `tf.Example`s."""

from collections.abc import Callable
from typing import Any

import numpy as np

from serving.errors import invalid
from serving.protobuf.packed_fields import tagged, varint_bytes
from serving.rest.json_arrays import decode_base64, is_base64
from serving.rest.json_text import shown, type_name

_EXAMPLES, _CONTEXT = "examples", "context"
_INT64, _FLOAT, _BYTES = "int64", "float", "bytes"
_MAX_INT64 = 2**63 - 1


def read_examples(document: dict[str, Any]) -> list[bytes]:
    """Reads the examples of a request.

    Args:
        document: `{"examples": [{feature: value or list, ...}, ...], "context": {...}}`, the latter for all examples.

    Returns:
        One serialized `tf.Example` per element of `examples`.

    Raises:
        ServingError: In TensorFlow Serving's words and order.
    """
    # Of two features with one name the last counts, so an example's own win over the context's.
    context = _serialized(document[_CONTEXT]) if _CONTEXT in document else b""
    if _EXAMPLES not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document[_EXAMPLES]
    if type(examples) is not list:
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return [context + _serialized(example) for example in examples]


def _serialized(value: Any) -> bytes:
    """An Example, written here: protobuf's class of it comes with all of TensorFlow."""
    if type(value) is not dict:
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    features = []
    for name, content in value.items():
        kind, values = _feature(name, content if type(content) is list else [content])
        feature = _LISTS[kind](values) if kind else b""
        # An entry of the map `features.feature`: key and value.
        features.append(tagged(1, tagged(1, name.encode("utf-8", "replace")) + tagged(2, feature)))
    return tagged(1, b"".join(features))


def _bytes_list(values: list[bytes]) -> bytes:
    return tagged(1, b"".join(tagged(1, value) for value in values))


def _float_list(values: list[float]) -> bytes:
    with np.errstate(over="ignore"):  # beyond the range of float is infinity
        return tagged(2, tagged(1, np.array(values, np.float64).astype("<f4").tobytes()))


def _int64_list(values: list[int]) -> bytes:
    return tagged(3, tagged(1, b"".join(map(varint_bytes, values))))


_LISTS: dict[str, Callable[[list], bytes]] = {_BYTES: _bytes_list, _FLOAT: _float_list, _INT64: _int64_list}


def _feature(name: str, content: list) -> tuple[str, list]:
    """The kind of a feature, "" for an empty one, and its values."""
    kind, values = "", []
    for value in content:
        its_kind, its_value = _element(name, value)
        if kind and its_kind != kind:
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {kind}")
        kind = its_kind
        values.append(its_value)
    return kind, values


def _element(name: str, value: Any) -> tuple[str, Any]:
    kind = type(value)
    if kind is float:
        return _FLOAT, value
    if kind in (int, bool):
        if value > _MAX_INT64:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return _INT64, int(value)
    if kind is str:
        return _BYTES, value.encode("utf-8", "surrogateescape")
    if is_base64(value):
        try:
            return _BYTES, decode_base64(value["b64"])
        except ValueError as error:
            raise invalid(f"Unable to base64 decode (feature {name}): {error}") from error
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
