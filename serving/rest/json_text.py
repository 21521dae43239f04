"""Conversion of JSON text to Python objects and, for error messages, back."""

from collections.abc import Iterator
from typing import Any

import orjson

from serving.errors import invalid
from serving.rest.json_reader import JsonReader

# TensorFlow Serving truncates the JSON in its errors to this many bytes.
_MAX_TEXT, _ELLIPSIS = 256, "..."
_TYPE_NAMES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> Any:
    """Parses the JSON document in a request's body, at orjson's speed if orjson accepts it.

    >>> parse(b'{"instances": [1, 2.5]}'), parse(b"[NaN]")
    ({'instances': [1, 2.5]}, [nan])

    Args:
        body: The body, in UTF-8.

    Returns:
        None, bool, int (of at most 64 bits), float, str, list or dict. If a key is repeated in the outermost object,
        its first value counts. Bytes that are not UTF-8 become lone surrogates ("surrogateescape").

    Raises:
        ServingError: INVALID_ARGUMENT "JSON Parse error: ...".
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return JsonReader(body).read()
    if type(document) is dict and _may_repeat_a_key(body, document):
        return JsonReader(body).read()
    return document


def _may_repeat_a_key(body: bytes, document: dict) -> bool:
    # Quick check: there are no strings besides the keys and, possibly, the signature's name. Counting one character is
    # 20 times as fast as counting a word, and long bodies mostly consist of numbers.
    if body.count(b'"') == 2 * (len(document) + (type(document.get("signature_name")) is str)):
        return False
    return any(body.count(b'"%b"' % key.encode()) > 1 for key in document)


def request_object(body: bytes) -> dict[str, Any]:
    """Parses the JSON object in a request's body.

    Raises:
        ServingError: INVALID_ARGUMENT if it is not JSON or not an object, or if its `signature_name` is not a string.
    """
    document = parse(body)
    if type(document) is not dict:
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    if type(document.get("signature_name", "")) is not str:
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def type_name(value: Any) -> str:
    """Returns RapidJSON's name of a value's type."""
    return str(value) if type(value) is bool else _TYPE_NAMES[type(value)]


def shown(value: Any) -> str:
    """Formats a value as JSON for an error message, truncated to 256 bytes, in a time that does not grow with it.

    >>> shown({"a": [1, float("nan")]})
    '{"a": [1, NaN]}'
    """
    text, length = [], 0
    for piece in _pieces(value):
        text.append(piece)
        length += len(piece)
        if length > _MAX_TEXT:
            return "".join(text)[:_MAX_TEXT] + _ELLIPSIS
    return "".join(text)


def _pieces(value: Any) -> Iterator[str]:
    # Each level yields a character before the next one begins, so that `shown` stops after 257 levels.
    if type(value) is list:
        yield "["
        for i, each in enumerate(value):
            yield ", " if i else ""
            yield from _pieces(each)
        yield "]"
    elif type(value) is dict:
        yield "{"
        for i, (key, each) in enumerate(value.items()):
            yield f"{', ' if i else ''}{_scalar(key)}: "
            yield from _pieces(each)
        yield "}"
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if type(value) is str:
        value = value[: _MAX_TEXT + 1].encode("utf-8", "replace").decode()
    elif type(value) is float and value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return orjson.dumps(value).decode()
