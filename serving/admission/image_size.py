"""How large an encoded image is, by its header: no pixel is decoded. Standard library only."""

import struct

# Start-of-frame markers of JPEG; C4, C8 and CC are something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a length.
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_MAX_SEGMENTS = 1000  # of a JPEG before its frame; cameras write ten. A million would take a second to skip


def image_pixels(data: bytes) -> int:
    """Width times height of a JPEG, PNG, GIF, WebP or BMP file.

    Returns:
        Pixels; 0 when the bytes are no such image, or end before they say.

    Raises:
        ValueError: The header of a JPEG does not come to an end.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            width, height = _jpeg(data)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            width, height = _webp(data)
        else:
            return 0
    except struct.error:  # it ends too soon
        return 0
    return abs(width * height)


def _jpeg(data: bytes) -> tuple[int, int]:
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = data.find(b"\xff", position)  # libjpeg skips rubbish between segments, too
        if position < 0:
            return 0, 0
        marker = data[position + 1] if position + 1 < len(data) else 0xD9
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        if marker in (0xD9, 0xDA):  # the image's end, or its pixels
            return 0, 0
        if marker in (0x00, 0xFF):
            position += 1
        elif marker in _ALONE:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    raise ValueError(f"a JPEG header with more than {_MAX_SEGMENTS} segments")


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
