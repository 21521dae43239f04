"""JSON text to Python's objects and, for errors, back."""

from collections.abc import Iterator
from typing import Any

import orjson

from serving.errors import invalid
from serving.rest.json_reader import JsonReader

# TensorFlow Serving cuts the JSON in its errors after as many bytes.
_MAX_TEXT, _CUT = 256, "..."
_TYPE_NAMES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> Any:
    """The JSON document in a request's body, at orjson's speed where orjson takes it.

    Args:
        body: UTF-8.

    Returns:
        None, bool, int (only what fits into 64 bits), float, str, list, dict. Of a repeated key in the outermost object
        the first counts. Strings that were no UTF-8 hold lone surrogates ("surrogateescape").

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
    # No string but the keys and, perhaps, the signature's name: counting one character is 20 times as fast as counting
    # a word, and numbers are what makes a body long.
    if body.count(b'"') == 2 * (len(document) + (type(document.get("signature_name")) is str)):
        return False
    return any(body.count(b'"%b"' % key.encode()) > 1 for key in document)


def request_object(body: bytes) -> dict[str, Any]:
    """The object that every request's body must be.

    Raises:
        ServingError: INVALID_ARGUMENT: it is no JSON, no object, or its signature's name is no string.
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
    """RapidJSON's name of a value's type."""
    return str(value) if type(value) is bool else _TYPE_NAMES[type(value)]


def shown(value: Any) -> str:
    """A value as JSON for an error message, cut after 256 bytes; takes no longer for a large value."""
    text, length = [], 0
    for piece in _pieces(value):
        text.append(piece)
        length += len(piece)
        if length > _MAX_TEXT:
            return "".join(text)[:_MAX_TEXT] + _CUT
    return "".join(text)


def _pieces(value: Any) -> Iterator[str]:
    # Every level yields a character before the next begins, so that the reader stops it after 257 levels.
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
