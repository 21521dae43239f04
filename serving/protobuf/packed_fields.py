"""Packed fields of protobuf messages, read and written as whole arrays.

The protobuf library converts one element at a time: 78,400 floats take 3 ms instead of 0.03 ms.
"""

import numpy as np

from serving.protobuf.wire import BYTES, fields

CHUNK = 1 << 20  # bytes decoded at a time: 40 MB of NumPy's temporary arrays


def packed(data: bytes, number: int) -> memoryview:
    """Returns the bytes of a packed field, empty if the message does not have it.

    Args:
        data: A message that the protobuf library has just written, so that the field occurs at most once.
        number: Number of the field.
    """
    for each, value in fields(memoryview(data)):
        if each == number and isinstance(value, memoryview):
            return value
    return memoryview(b"")


def varints(data: memoryview, chunk: int = CHUNK) -> np.ndarray:
    r"""Decodes all numbers of a packed field of integers.

    >>> varints(memoryview(b"\x01\xac\x02")).tolist()
    [1, 300]

    Args:
        data: The bytes of the field.
        chunk: Number of bytes to decode at a time, at least 10.

    Returns:
        An array of `uint64`, to be cast to the type of the field.
    """
    raw = np.frombuffer(data, np.uint8)
    chunks, start = [], 0
    while start < len(raw):
        end = min(start + chunk, len(raw))
        while raw[end - 1] >= 0x80:
            end -= 1
        chunks.append(_varints(raw[start:end]))
        start = end
    return np.concatenate(chunks) if chunks else np.empty(0, np.uint64)


def _varints(raw: np.ndarray) -> np.ndarray:
    ends = np.flatnonzero(raw < 0x80)
    if len(ends) == len(raw):
        return raw.astype(np.uint64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    values = (raw[starts] & 0x7F).astype(np.uint64)
    longer = np.flatnonzero(ends > starts)
    shift = 1
    while len(longer):
        more = (raw[starts[longer] + shift] & 0x7F).astype(np.uint64)
        values[longer] |= more << np.uint64(7 * shift)
        longer = longer[ends[longer] > starts[longer] + shift]
        shift += 1
    return values


def tagged(number: int, value: bytes) -> bytes:
    r"""Encodes a field of bytes: tag, length, value.

    >>> tagged(1, b"hi")
    b'\n\x02hi'

    Args:
        number: Number of the field, below 16.
        value: Value of the field.
    """
    length, written = len(value), bytearray((number << 3 | BYTES,))
    while length >= 0x80:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    written.append(length)
    return bytes(written) + value
