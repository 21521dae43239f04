"""Accepted images decode in TensorFlow; broken ones are rejected, and absurdly large ones before they are decoded."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.features import DAMAGED, EMPTY, NO_IMAGE, TOO_LARGE, TOO_SMALL
from components.ingest.image_inspection import BrokenImage, inspect_image

Y, X = np.mgrid[0:40, 0:60]
PHOTO = Image.fromarray(np.stack([X * 4, Y * 6, (X + Y) * 2], -1).astype(np.uint8))
SIXTEEN_BIT = Image.fromarray((X * 1000).astype(np.uint16))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def one_colour_png(width, height):
    """A PNG of one bit a pixel, all of it zeros: 30,000 x 30,000 pixels are 112 MB that deflate to 0.1 MB."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


KEPT = {
    "large JPEG": encoded(PHOTO.resize((300, 257)), "JPEG"),
    "RGB JPEG": encoded(PHOTO, "JPEG"),
    "progressive JPEG": encoded(PHOTO, "JPEG", progressive=True),
    "grey JPEG": encoded(PHOTO.convert("L"), "JPEG"),
    "turned JPEG": encoded(
        PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    ),
    "JPEG and more": encoded(PHOTO, "JPEG") + b"more",
    "RGB PNG": encoded(PHOTO, "PNG"),
    "RGBA PNG": encoded(PHOTO.convert("RGBA"), "PNG"),
    "grey PNG": encoded(PHOTO.convert("L"), "PNG"),
    "grey PNG with alpha": encoded(PHOTO.convert("LA"), "PNG"),
    "palette PNG": encoded(PHOTO.quantize(64), "PNG"),
    "palette PNG with transparency": encoded(PHOTO.quantize(64), "PNG", transparency=3),
    "2-bit palette PNG": encoded(PHOTO.quantize(4), "PNG", bits=2),
    "1-bit PNG": encoded(PHOTO.convert("1"), "PNG"),
    "16-bit PNG": encoded(SIXTEEN_BIT, "PNG"),
}
REENCODED = {
    "CMYK JPEG": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "GIF": encoded(PHOTO, "GIF"),
    "GIF with transparency": encoded(PHOTO.quantize(64), "GIF", transparency=3),
    "animated GIF": encoded(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(180)]),
    "BMP": encoded(PHOTO, "BMP"),
    "grey BMP": encoded(PHOTO.convert("L"), "BMP"),
    "WebP": encoded(PHOTO, "WEBP", lossless=True),
    "TIFF": encoded(PHOTO, "TIFF"),
    "16-bit TIFF": encoded(SIXTEEN_BIT, "TIFF"),
    "float TIFF": encoded(Image.fromarray(X.astype(np.float32)), "TIFF"),
}


def decode(data, channels):
    return tf.io.decode_image(data, channels=channels, expand_animations=False).numpy()


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_png_and_jpeg_are_kept_byte_for_byte(data):
    assert inspect_image(data).data == data


@pytest.mark.parametrize("data", [*KEPT.values(), *REENCODED.values()], ids=[*KEPT, *REENCODED])
def test_accepted_images_decode_in_tensorflow_in_grey_and_in_colour(data):
    info = inspect_image(data)
    grey = decode(info.data, 1)
    assert grey.shape == (info.height, info.width, 1)
    assert decode(info.data, 3).shape == (info.height, info.width, 3)
    assert info.luminance == pytest.approx(grey.mean(), abs=1.0)


@pytest.mark.parametrize("name", ["GIF", "GIF with transparency", "animated GIF", "BMP", "WebP"])
def test_images_stored_as_png_have_the_pixels_that_tensorflow_decodes_from_the_original(name):
    data = REENCODED[name]
    np.testing.assert_array_equal(decode(inspect_image(data).data, 3), decode(data, 3))


def test_a_cmyk_jpeg_has_nearly_the_pixels_that_tensorflow_decodes_from_the_original():
    data = REENCODED["CMYK JPEG"]
    difference = decode(inspect_image(data).data, 3).astype(int) - decode(data, 3)
    assert np.abs(difference).mean() < 1.5  # levels: two JPEG decoders


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", EMPTY),
        (b"I am not a picture.\n", NO_IMAGE),
        (b"\x89PNG\r\n\x1a\n", NO_IMAGE),
        (KEPT["RGB JPEG"][: len(KEPT["RGB JPEG"]) // 2], NO_IMAGE),
        (KEPT["RGB JPEG"][:-60], DAMAGED),
        (KEPT["RGB JPEG"][:-2], DAMAGED),
        (KEPT["RGB JPEG"][:-2] + b"\0\0", DAMAGED),
        (KEPT["progressive JPEG"][:-100], DAMAGED),
        (KEPT["RGB PNG"][: len(KEPT["RGB PNG"]) // 2], DAMAGED),
        (KEPT["RGB PNG"][:-12], DAMAGED),
        (REENCODED["GIF"][: len(REENCODED["GIF"]) // 2], DAMAGED),
        (REENCODED["BMP"][:-600], DAMAGED),
        (encoded(PHOTO.resize((1, 1)), "PNG"), TOO_SMALL),
        (encoded(PHOTO.resize((60, 1)), "PNG"), TOO_SMALL),
    ],
)
def test_broken_images_are_rejected_with_a_reason(data, verdict):
    with pytest.raises(BrokenImage) as refusal:
        inspect_image(data)
    assert refusal.value.verdict == verdict
    assert refusal.value.reason


def test_a_damaged_bit_anywhere_in_a_png_is_found():
    data = KEPT["grey PNG"]
    for place in range(16, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 16
        with pytest.raises(BrokenImage):
            inspect_image(bytes(damaged))


def test_no_image_is_accepted_that_tensorflow_cannot_decode():
    random = np.random.default_rng(0)
    sources = [*KEPT.values(), *REENCODED.values()]
    for _ in range(1500):
        data = bytearray(sources[random.integers(len(sources))])
        place = int(random.integers(2, len(data)))
        match random.integers(4):
            case 0:
                data[place] = random.integers(256)
            case 1:
                del data[place:]
            case 2:
                data[place : place + 50] = bytes(len(data[place : place + 50]))
            case 3:
                del data[place : place + int(random.integers(1, 200))]
        try:
            kept = inspect_image(bytes(data)).data
        except BrokenImage:
            continue
        decode(kept, 1)
        decode(kept, 3)


def test_an_absurdly_large_image_is_rejected_before_it_is_decoded():
    data = one_colour_png(30_000, 30_000)
    started = time.monotonic()
    with pytest.raises(BrokenImage, match="30000 x 30000") as refusal:
        inspect_image(data)
    assert refusal.value.verdict == TOO_LARGE
    assert time.monotonic() - started < 0.1


def test_orientation_tags_are_ignored_as_in_tensorflow():
    info = inspect_image(KEPT["turned JPEG"])
    assert (info.width, info.height) == (60, 40)
    assert decode(info.data, 3).shape == (40, 60, 3)


def test_luminance_of_16_bit_levels_is_not_clipped():
    assert inspect_image(encoded(SIXTEEN_BIT, "PNG")).luminance == pytest.approx((X * 1000 // 256).mean(), abs=0.5)
