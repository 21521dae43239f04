"""Images stored at one size: the central square, antialiased, from every format."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.features import DAMAGED
from components.ingest.image_inspection import BrokenImage, central_square, draft, inspect_image

SIZE = 64


def photo(width, height):
    """A smooth picture whose red tells the column and whose green the row, 0 to 255 from edge to edge."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / (width - 1), 255 * y / (height - 1), np.full((height, width), 90.0)], -1)
    return Image.fromarray(pixels.round().astype(np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stored(data):
    info = inspect_image(data, SIZE)
    return info, Image.open(io.BytesIO(info.data))


@pytest.mark.parametrize(("width", "height"), [(200, 100), (100, 200), (65, 65), (511, 300), (1999, 1033)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_shorter_side_becomes_the_stored_size_and_the_centre_is_kept(width, height, kind):
    options = {"quality": 95} if kind == "JPEG" else {}
    info, image = stored(encoded(photo(width, height), kind, **options))
    assert (image.format, image.size) == ("JPEG", (SIZE, SIZE))
    assert (info.width, info.height) == (width, height)
    side = min(width, height)
    pixels = np.asarray(image).astype(float)
    for axis, length, levels in ((1, width, pixels[..., 0].mean(0)), (0, height, pixels[..., 1].mean(1))):
        first = (length - side) / 2
        expected = 255 * (first + (np.arange(SIZE) + 0.5) * side / SIZE - 0.5) / (length - 1)
        assert np.abs(levels - expected).max() < 4, axis


def test_the_decoders_own_averaging_cannot_be_told_from_a_resize():
    data = encoded(Image.effect_mandelbrot((1600, 1200), (-2, -1.5, 1, 1.5), 100).convert("RGB"), "JPEG", quality=90)
    drafted, whole = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(data))
    extent = draft(drafted, SIZE)
    assert extent == (200, 150)
    fast = np.asarray(central_square(drafted, extent, SIZE)).astype(float)
    slow = np.asarray(central_square(whole, whole.size, SIZE)).astype(float)
    assert np.abs(fast - slow).mean() < 1.5


def test_fine_stripes_become_grey_not_other_stripes():
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    _, image = stored(encoded(Image.fromarray(stripes), "PNG"))
    pixels = np.asarray(image)
    assert image.mode == "L"
    assert 120 <= pixels[:, 2:-2].min() <= pixels[:, 2:-2].max() <= 135


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_of_the_stored_size_is_kept_byte_for_byte(mode):
    data = encoded(photo(SIZE, SIZE).convert(mode), "JPEG")
    assert inspect_image(data, SIZE).data == data


@pytest.mark.parametrize(
    ("size", "kind"), [((SIZE, 300), "JPEG"), ((40, 30), "JPEG"), ((SIZE, SIZE), "PNG"), ((40, 90), "GIF")]
)
def test_everything_else_becomes_a_jpeg_of_the_size(size, kind):
    info, image = stored(encoded(photo(*size), kind))
    assert (image.format, image.size) == ("JPEG", (SIZE, SIZE))
    assert (info.width, info.height) == size


LARGE = photo(150, 100)
FORMATS = {
    "CMYK JPEG": encoded(LARGE.convert("CMYK"), "JPEG"),
    "grey JPEG": encoded(LARGE.convert("L"), "JPEG"),
    "palette PNG": encoded(LARGE.quantize(64), "PNG"),
    "RGBA PNG": encoded(LARGE.convert("RGBA"), "PNG"),
    "1-bit PNG": encoded(LARGE.convert("1"), "PNG"),
    "16-bit PNG": encoded(Image.fromarray((np.arange(15000, dtype=np.uint16) * 4).reshape(100, 150)), "PNG"),
    "GIF": encoded(LARGE, "GIF"),
    "WebP": encoded(LARGE, "WEBP"),
}


@pytest.mark.parametrize("data", FORMATS.values(), ids=FORMATS)
def test_every_format_decodes_in_tensorflow_afterwards(data):
    info, image = stored(data)
    for channels in (1, 3):
        assert tf.io.decode_image(info.data, channels=channels).shape == (SIZE, SIZE, channels)
    assert info.luminance == pytest.approx(np.asarray(image.convert("L")).mean(), abs=1)


def test_the_colours_of_cmyk_are_those_of_the_picture():
    _, image = stored(FORMATS["CMYK JPEG"])
    _, expected = stored(encoded(LARGE, "PNG"))
    assert np.abs(np.asarray(image).astype(float) - np.asarray(expected)).mean() < 3


def test_a_truncated_image_is_found_although_it_is_decoded_small():
    data = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 900, 3), np.uint8)), "JPEG")
    with pytest.raises(BrokenImage) as broken:
        inspect_image(data[: len(data) // 2], SIZE)
    assert broken.value.verdict == DAMAGED
