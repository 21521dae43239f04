"""One look at an encoded image: is it one, is it whole, how large and how bright is it, and which bytes are kept.

Pillow looks, TensorFlow trains and serves, so what is accepted here must decode there. PNG and JPEG files are kept
byte for byte, because a client sends the same bytes to the served model; what `tf.io.decode_image` cannot read in grey
and in colour alike (GIF, BMP, TIFF, WebP, CMYK JPEG) is kept as PNG. Where a stored size is asked for,
everything is brought to it and kept as JPEG (`components.ingest.stored_image`). Orientation tags (EXIF) are ignored, as
TensorFlow does: width, height and pixels are those of the file as it is.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.ingest.stored_image import as_jpeg, central_square, draft

MAX_BYTES = 512 * 2**20  # a file above this is refused unread; 100 million pixels are at most 400 MB uncompressed
MAX_PIXELS = 100_000_000  # 10,000 x 10,000; the largest image of ImageNet has 13 million
MIN_SIDE = 2  # pixels; no crop, filter or statistic makes sense of a single row

# Verdicts of an image, as the manifest has them.
OK = "ok"
EMPTY = "empty"
NO_IMAGE = "no image"
DAMAGED = "damaged"
TOO_LARGE = "too large"
TOO_SMALL = "too small"

# Pillow only warns above 89 million pixels; the limit here refuses, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_JPEG = ("JPEG", "MPO")
_DRAFT_SIDE = 256  # pixels; smaller images are decoded in full size, which is quick
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")


class BrokenImage(ValueError):  # noqa: N818 - it says what the file is, as GateRefused says what the gate did
    """The bytes are not an image that can be trained on.

    Args:
        verdict: What is wrong, one of EMPTY, NO_IMAGE, DAMAGED, TOO_LARGE, TOO_SMALL.
        reason: The same in words, with the numbers.
    """

    def __init__(self, verdict: str, reason: str):
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


@dataclass(frozen=True)
class ImageInfo:
    """What is known of a whole image.

    Args:
        width: Pixels, of the file looked at.
        height: Pixels, of the file looked at.
        luminance: Mean grey level of what is kept, 0 (black) to 255 (white).
        data: The encoded bytes to keep, PNG or JPEG; the ones looked at wherever those are PNG or JPEG already, and
            of the stored size.
    """

    width: int
    height: int
    luminance: float
    data: bytes


def inspect_image(data: bytes, stored_size: int | None = None) -> ImageInfo:
    """Looks at encoded image bytes: first at the header only, then, where that is sane, decodes them to the last one.

    Args:
        data: The content of an image file of any format that Pillow reads.
        stored_size: Pixels; every image is kept as a square JPEG of this size, smaller ones enlarged as in AlexNet's
            paper, so that whoever reads them need not ask what they are. None keeps every size.

    Raises:
        BrokenImage: The bytes are empty, no image, truncated, damaged, of more than `MAX_PIXELS`, or less than
            `MIN_SIDE` pixels wide or high.
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
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        raise BrokenImage(DAMAGED, f"truncated or damaged {image.format}: {_one_line(error)}") from error
    return ImageInfo(width, height, luminance, kept)


def _open(data: bytes) -> Image.Image:
    """Reads the header and refuses what is not worth decoding."""
    if not data:
        raise BrokenImage(EMPTY, "the file has 0 bytes")
    try:
        image = Image.open(io.BytesIO(data))
    except Exception as error:  # not only UnidentifiedImageError: a header of the right kind can hold anything
        raise BrokenImage(NO_IMAGE, f"{len(data)} bytes that are no image of a known format") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BrokenImage(TOO_LARGE, f"{width} x {height} pixels, more than {MAX_PIXELS:,}")
    if min(width, height) < MIN_SIDE:
        raise BrokenImage(TOO_SMALL, f"{width} x {height} pixels, less than {MIN_SIDE} a side")
    return image


def _is_stored(image: Image.Image, size: int) -> bool:
    """Whether a file is already what `_squared` would make of it, up to the quality of its JPEG."""
    return image.size == (size, size) and image.format in _JPEG and _decodes_everywhere(image)


def _squared(image: Image.Image, size: int) -> tuple[bytes, float]:
    """The central square as JPEG of a size in pixels, and its mean grey level."""
    extent = draft(image, size)
    square = central_square(_first_frame(image), extent, size)
    return as_jpeg(square), float(np.asarray(_grey(square)).mean())


def _decodes_everywhere(image: Image.Image) -> bool:
    """Whether `tf.io.decode_image` reads the file into one channel and into three."""
    if image.format == "PNG":
        return True
    # TensorFlow refuses to make grey of CMYK; MPO is a JPEG with further pictures behind the first.
    return image.format in _JPEG and image.mode in ("L", "RGB")


def _first_frame(image: Image.Image) -> Image.Image:
    """The first frame in a mode of PNG; what is transparent in a GIF is black, as TensorFlow decodes it."""
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
    """Grey levels 0 to 255 of an image of any mode."""
    if image.mode in _SIXTEEN_BIT:
        # Pillow clips 16-bit levels at 255 where TensorFlow keeps their high byte.
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    return image.convert("L")


def _luminance(image: Image.Image) -> float:
    """Mean grey level; decodes the image wholly unless that was done before."""
    width, height = image.size
    if image.format in _JPEG and image.mode in ("L", "RGB") and min(image.size) >= _DRAFT_SIDE:
        # An eighth of the size still reads every byte and keeps the mean (to 1 level), in half the time.
        width, height = width // 8, height // 8  # without the blocks that hang over the edge
        image.draft("L", (width, height))
    image.load()
    return float(np.asarray(_grey(image))[:height, :width].mean())


def _check_png(data: bytes) -> None:
    """Follows the chunks to the last one: Pillow is content without it, and with wrong checksums; TensorFlow is not."""
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
    """Wants an end-of-image marker behind the last scan: Pillow is content without it, TensorFlow is not."""
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise ValueError("no end-of-image marker")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
