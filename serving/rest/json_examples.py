"""Conversion of the examples in a classify or regress request from JSON to serialized `tf.Example`s."""

from typing import Any

from serving.errors import invalid
from serving.rest.json_arrays import decode_base64, is_base64
from serving.rest.json_text import shown, type_name

_EXAMPLES, _CONTEXT = "examples", "context"
_INT64, _FLOAT, _BYTES = "int64", "float", "bytes"
_MAX_INT64 = 2**63 - 1


def read_examples(document: dict[str, Any]) -> list[bytes]:
    """Reads the examples of a request.

    Args:
        document: `{"examples": [{feature: value or list, ...}, ...], "context": {...}}`; the optional context holds
            features of all examples.

    Returns:
        One serialized `tf.Example` per element of `examples`.

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's message for the first error in its order of checks.
    """
    # If a feature occurs twice, the last one counts, so that an example's own features override the context's.
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
    from tensorflow.core.example.example_pb2 import Example

    if type(value) is not dict:
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    example = Example()
    for name, content in value.items():
        kind, values = _feature(name, content if type(content) is list else [content])
        feature = example.features.feature[name.encode("utf-8", "replace").decode()]
        if kind:
            getattr(feature, f"{kind}_list").value.extend(values)
    return example.SerializeToString()


def _feature(name: str, content: list) -> tuple[str, list]:
    """Returns the kind of a feature, "" for an empty one, and its values."""
    kind, values = "", []
    for element in content:
        element_kind, value = _element(name, element)
        if kind and element_kind != kind:
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {kind}")
        kind = element_kind
        values.append(value)
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
