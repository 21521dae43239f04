import contextlib
import io
import random
import struct
import time

import pytest
from PIL import Image

from serving.admission.image_size import image_pixels

KINDS = [
    ("PNG", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("GIF", {}),
    ("BMP", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"exif": b"Exif\0\0"}),
]


def encoded(kind, size=(321, 123), **options):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_the_header_tells_the_size(kind, options):
    assert image_pixels(encoded(kind, **options)) == 321 * 123


def test_a_thumbnail_is_not_the_image():
    thumbnail = encoded("JPEG", (16, 16))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = encoded("JPEG", (400, 300))
    assert image_pixels(whole[:2] + segment + whole[2:]) == 120_000


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF1234WEBP"]
)
def test_what_is_no_image_has_no_pixels(data):
    assert image_pixels(data) == 0


def test_broken_headers_do_no_harm():
    chance = random.Random(0)
    whole = [encoded(kind, **options) for kind, options in KINDS]
    for _ in range(20_000):
        data = bytearray(chance.choice(whole)[: chance.randrange(200)])
        for _ in range(chance.randrange(4) if len(data) > 12 else 0):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        with contextlib.suppress(ValueError):
            assert image_pixels(bytes(data)) >= 0


@pytest.mark.parametrize("filling", [b"\xff\xd8\xff", b"\xff\xe0\x00\x00", b"\xff", b"\x00"])
def test_an_endless_header_takes_no_time(filling):
    start = time.perf_counter()
    try:
        assert image_pixels(b"\xff\xd8\xff" + filling * 1_000_000) == 0
    except ValueError as error:
        assert "more than 1000 segments" in str(error)
    assert time.perf_counter() - start < 0.2
