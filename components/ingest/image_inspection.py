"""Inspection of an encoded image: its format, integrity, size and luminance, and the bytes to store.

Pillow inspects, TensorFlow trains and serves, so an image that passes here must decode there. PNG and JPEG files are
stored byte for byte, because a client sends the same bytes to the served model. Images that `tf.io.decode_image` cannot
read in both grey and colour (GIF, BMP, TIFF, WebP, CMYK JPEG) are stored as PNG. With a stored size, every image
becomes a square JPEG of that size: ImageNet's 1.2 million photographs, 110 KB and 500 x 375 pixels in the mean, become
31 KB and 256 x 256. Orientation tags (EXIF) are ignored, as TensorFlow ignores them.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.features import DAMAGED, EMPTY, JPEG_QUALITY, NO_IMAGE, TOO_LARGE, TOO_SMALL

MAX_BYTES = 512 * 2**20  # larger files are rejected unread; 100 million pixels are at most 400 MB uncompressed
MAX_PIXELS = 100_000_000  # 10,000 x 10,000; the largest image of ImageNet has 13 million
MIN_SIDE = 2  # pixels; no crop, filter or statistic makes sense for a single row

# Pillow only warns above 89 million pixels; `_open` rejects above MAX_PIXELS before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_JPEG = ("JPEG", "MPO")
# Shorter side in pixels up to which luminance is measured at full size; larger JPEGs are decoded at an eighth.
_DRAFT_SIDE = 256
# A JPEG is decoded at a half, a quarter or an eighth of its size if that is at least this multiple of the stored size:
# then the decoder's averaging cannot be told from a resize.
_DRAFT = 2
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")


class BrokenImage(ValueError):  # noqa: N818 - named after the state of the file, not after an error of the code
    """Bytes that are not an image fit for training.

    Args:
        verdict: EMPTY, NO_IMAGE, DAMAGED, TOO_LARGE or TOO_SMALL of `components.features`.
        reason: Explanation with the measured values, for the quarantine file.
    """

    def __init__(self, verdict: str, reason: str):
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


@dataclass(frozen=True)
class ImageInfo:
    """Size and luminance of an intact image, and the bytes to store.

    Args:
        width: Width of the inspected file in pixels.
        height: Height of the inspected file in pixels.
        luminance: Mean grey level of the stored image, 0 (black) to 255 (white).
        data: Encoded bytes to store, PNG or JPEG; the inspected bytes themselves where no conversion is needed.
    """

    width: int
    height: int
    luminance: float
    data: bytes


def inspect_image(data: bytes, stored_size: int | None = None) -> ImageInfo:
    """Inspects the header, and if that is plausible decodes the image to its last byte.

    Args:
        data: Content of an image file in any format that Pillow reads.
        stored_size: Side in pixels of the square JPEG to store; smaller images are enlarged, as in AlexNet's paper, so
            that all stored images are alike. None keeps every image at its own size.

    Raises:
        BrokenImage: The bytes are empty, not an image, truncated, damaged, of more than `MAX_PIXELS`, or less than
            `MIN_SIDE` pixels wide or high.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("L", (60, 40), color=128).save(file, "PNG")
        >>> info = inspect_image(file.getvalue())
        >>> info.width, info.height, info.luminance, info.data == file.getvalue()
        (60, 40, 128.0, True)
        >>> inspect_image(file.getvalue()[:-1])
        Traceback (most recent call last):
        components.ingest.image_inspection.BrokenImage: truncated or damaged PNG: ...
    """
    image = _open(data)
    width, height = image.size
    try:
        if image.format == "PNG":
            _check_png(data)
        if image.format in _JPEG:
            _check_jpeg(data)
        if stored_size is not None and not _is_stored(image, stored_size):
            kept, luminance = _squared(image, stored_size)
        elif _decodes_everywhere(image):
            kept, luminance = data, _luminance(image)
        else:
            frame = _first_frame(image)
            kept, luminance = _as_png(frame), _luminance(frame)
    except Exception as error:  # Pillow's decoders raise errors of many types
        raise BrokenImage(DAMAGED, f"truncated or damaged {image.format}: {_one_line(error)}") from error
    return ImageInfo(width, height, luminance, kept)


def _open(data: bytes) -> Image.Image:
    """Reads the header and rejects images that must not be decoded."""
    if not data:
        raise BrokenImage(EMPTY, "the file has 0 bytes")
    try:
        image = Image.open(io.BytesIO(data))
    except Exception as error:  # UnidentifiedImageError, and others if the fields of a known header make no sense
        raise BrokenImage(NO_IMAGE, f"{len(data)} bytes that are not an image of a known format") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BrokenImage(TOO_LARGE, f"{width} x {height} pixels, more than {MAX_PIXELS:,}")
    if min(width, height) < MIN_SIDE:
        raise BrokenImage(TOO_SMALL, f"{width} x {height} pixels, less than {MIN_SIDE} a side")
    return image


def _is_stored(image: Image.Image, size: int) -> bool:
    """Returns whether a file already has the size and format that `_squared` would give it."""
    return image.size == (size, size) and image.format in _JPEG and _decodes_everywhere(image)


def _squared(image: Image.Image, size: int) -> tuple[bytes, float]:
    """Returns the central square as a JPEG of `size` pixels a side, and its mean grey level."""
    extent = draft(image, size)
    square = central_square(_first_frame(image), extent, size)
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue(), float(np.asarray(_grey(square)).mean())


def draft(image: Image.Image, size: int) -> tuple[float, float]:
    """Lets the decoder of a JPEG reduce it while decoding, by averaging pixels, which is faster than a resize.

    Args:
        image: Image of any format, not decoded yet.
        size: Side of the stored square in pixels.

    Returns:
        Width and height of the image in decoded pixels. They are fractions where the last block of pixels extends
        beyond the edge of the image.
    """
    drafted = image.draft(image.mode, (_DRAFT * size, _DRAFT * size))
    width, height = drafted[1][2:] if drafted else image.size
    return width, height


def central_square(frame: Image.Image, extent: tuple[float, float], size: int) -> Image.Image:
    """Cuts out the central square of a frame and resizes it with antialiasing.

    Args:
        frame: 8-bit image of any mode; transparency is dropped.
        extent: Width and height of the frame's content in pixels, see `draft`.
        size: Side of the result in pixels.

    Returns:
        An image of mode L or RGB.
    """
    width, height = extent
    side = min(extent)
    left, top = (width - side) / 2, (height - side) / 2
    opaque = frame.convert("L" if frame.mode in ("1", "L", "LA") else "RGB")
    return opaque.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def _decodes_everywhere(image: Image.Image) -> bool:
    """Returns whether `tf.io.decode_image` decodes the file to one channel and to three."""
    if image.format == "PNG":
        return True
    # TensorFlow does not convert CMYK to grey. MPO is a JPEG followed by further images.
    return image.format in _JPEG and image.mode in ("L", "RGB")


def _first_frame(image: Image.Image) -> Image.Image:
    """Returns the first frame in a mode of PNG; transparent pixels of a GIF become black, as in TensorFlow."""
    if image.format == "GIF":
        rgba = image.convert("RGBA")
        frame = Image.new("RGB", image.size)
        frame.paste(rgba, mask=rgba.getchannel("A"))
        return frame
    if image.mode in _SIXTEEN_BIT or image.mode == "F":
        return _grey(image)
    return image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else image.convert("RGB")


def _as_png(frame: Image.Image) -> bytes:
    buffer = io.BytesIO()
    frame.save(buffer, "PNG")
    return buffer.getvalue()


def _grey(image: Image.Image) -> Image.Image:
    """Converts an image of any mode to grey levels, 0 to 255."""
    if image.mode in _SIXTEEN_BIT:
        # Pillow clips 16-bit levels at 255; TensorFlow keeps their high byte.
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    return image.convert("L")


def _luminance(image: Image.Image) -> float:
    """Returns the mean grey level; decodes the whole image if that was not done before."""
    width, height = image.size
    if image.format in _JPEG and image.mode in ("L", "RGB") and min(image.size) >= _DRAFT_SIDE:
        # Decoding at an eighth of the size takes half the time, still reads every byte, and keeps the mean to 1 level.
        width, height = width // 8, height // 8  # without the blocks that extend beyond the edge
        image.draft("L", (width, height))
    image.load()
    return float(np.asarray(_grey(image))[:height, :width].mean())


def _check_png(data: bytes) -> None:
    """Checks all chunks up to the last: Pillow tolerates its absence and wrong checksums, TensorFlow does not."""
    start = 8
    kind = b""
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, start)
        kind = data[start + 4 : start + 8]
        end = start + 8 + length
        if struct.unpack_from(">I", data, end)[0] != zlib.crc32(memoryview(data)[start + 4 : end]):
            raise ValueError(f"wrong checksum in chunk {kind!r}")
        start = end + 4


def _check_jpeg(data: bytes) -> None:
    """Requires an end-of-image marker behind the last scan: Pillow tolerates its absence, TensorFlow does not."""
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise ValueError("no end-of-image marker")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
