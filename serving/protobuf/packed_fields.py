"""Packed fields of protobuf messages, all elements at once."""

import numpy as np

from serving.protobuf.wire import fields

_BYTES = 2  # wire type of strings, messages and packed numbers
_CHUNK = 1 << 20  # bytes decoded at a time: 40 MB of NumPy's temporaries


def packed(data: bytes, number: int) -> memoryview:
    """The bytes of a packed field in a message that the protobuf library has just written: it writes it once."""
    for each, value in fields(memoryview(data)):
        if each == number and isinstance(value, memoryview):
            return value
    return memoryview(b"")


def varints(data: memoryview) -> np.ndarray:
    """All numbers of a packed field of whole numbers: `uint64`, to be cast to the field's type."""
    raw = np.frombuffer(data, np.uint8)
    chunks, start = [], 0
    while start < len(raw):
        end = min(start + _CHUNK, len(raw))
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
    """A field of bytes: its tag (of a number below 16), its length, its value."""
    return bytes((number << 3 | _BYTES,)) + varint_bytes(len(value)) + value


def varint_bytes(value: int) -> bytes:
    """A number of 64 bits, as protobuf writes it: negative ones take 10 bytes."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= 0xFFFF_FFFF_FFFF_FFFF
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
