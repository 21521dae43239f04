"""Size of an encoded image, read from its header without decoding pixels. Standard library only.

Pillow and packages such as imagesize would be dependencies of the server for this one function. The function must also
end within microseconds on hostile headers, which the limit of segments ensures.
"""

import struct

# Start-of-frame markers of JPEG; C4, C8 and CC have other meanings.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a length.
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_MAX_SEGMENTS = 1000  # of a JPEG before its frame; cameras write ten, and a million would take a second to skip


def image_pixels(data: bytes) -> int:
    """Returns width times height of a JPEG, PNG, GIF, WebP or BMP file.

    Args:
        data: The encoded image, or at least its header.

    Returns:
        Number of pixels; 0 if the bytes are not such an image, or end before the size.

    Raises:
        ValueError: The header of a JPEG has more than 1,000 segments.

    Example:
        >>> image_pixels(b"GIF89a" + struct.pack("<HH", 640, 480))
        307200
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
    except struct.error:  # the bytes end before the size
        return 0
    return abs(width * height)


def _jpeg(data: bytes) -> tuple[int, int]:
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = data.find(b"\xff", position)  # libjpeg also skips garbage between segments
        if position < 0:
            return 0, 0
        marker = data[position + 1] if position + 1 < len(data) else 0xD9
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        if marker in (0xD9, 0xDA):  # end of the image, or start of its pixels
            return 0, 0
        if marker in (0x00, 0xFF):
            position += 1
        elif marker in _ALONE:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    raise ValueError(f"the JPEG header has more than {_MAX_SEGMENTS} segments")


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
