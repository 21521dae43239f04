"""Reader of protobuf's wire format, field by field.

We keep our own because the protobuf library needs the classes of the messages, and those of a SavedModel's graph come
only with TensorFlow, whose import takes seconds. It also finds one field without parsing the others.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def varint(data: memoryview, start: int) -> tuple[int, int]:
    r"""Reads a varint of 1 to 10 bytes.

    >>> varint(memoryview(b"\xac\x02next"), 0)
    (300, 2)

    Args:
        data: The bytes.
        start: Offset of the first byte.

    Returns:
        The number, and the offset behind it.

    Raises:
        ValueError: The data ends within the number.
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
    r"""Yields the fields of one message, each as its number and its value.

    >>> [(number, bytes(value)) for number, value in fields(memoryview(b"\x0a\x02hi\x12\x00"))]
    [(1, b'hi'), (2, b'')]

    Args:
        data: The message.

    Yields:
        The number of a field, and its value: an int for a varint, else a view of the data.

    Raises:
        ValueError: The data is not a message, or is truncated.
    """
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = varint(data, position)
            yield number, value
            continue
        if kind == BYTES:
            size, position = varint(data, position)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"field {number} has the unknown wire type {kind}")
        if position + size > len(data):
            raise ValueError(f"field {number} is truncated: {len(data) - position} of {size} bytes")
        yield number, data[position : position + size]
        position += size


def number(value: int | memoryview) -> int:
    """Returns the value of a field that must be a number.

    Raises:
        ValueError: It is not a number.
    """
    if not isinstance(value, int):
        raise ValueError("expected a number")
    return value


def message(value: int | memoryview) -> memoryview:
    """Returns the value of a field that must be a message or a string.

    Raises:
        ValueError: It is a number.
    """
    if isinstance(value, int):
        raise ValueError("expected a message")
    return value
