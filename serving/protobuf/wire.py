"""Reads protobuf messages field by field, without their classes, which would take TensorFlow's seconds to import."""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(data: memoryview, start: int) -> tuple[int, int]:
    """A number of 1 to 10 bytes, and where the next thing begins.

    Raises:
        ValueError: The data ends within it.
    """
    value = shift = 0
    for position in range(start, min(start + 10, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise ValueError("the data ends within a number")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of one message, as number and value; nested messages and strings are views of the data.

    Raises:
        ValueError: It is no message, or is cut short.
    """
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"field {number} is of no known kind")
        if position + size > len(data):
            raise ValueError(f"field {number} is cut short: {len(data) - position} of {size} bytes")
        yield number, data[position : position + size]
        position += size


def number(value: int | memoryview) -> int:
    """A field's value that must be a number.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(value, int):
        raise ValueError("expected a number")
    return value


def message(value: int | memoryview) -> memoryview:
    """A field's value that must be a message or a string.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, int):
        raise ValueError("expected a message")
    return value
