import struct
import zlib

import numpy as np
import pytest

from serving.admission.limits import Limits
from serving.errors import Code, ServingError


def png(width, height):
    """A PNG that says it is so large; 60 bytes."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b""))]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def strings(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


LIMITS = Limits(max_rows=100, max_pixels=1_000_000)


def refused(inputs):
    with pytest.raises(ServingError) as caught:
        LIMITS.check(inputs)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return str(caught.value)


def test_what_is_within_the_limits_passes():
    LIMITS.check({"x": np.zeros((100, 3)), "y": np.float32(1), "image_bytes": strings(png(1000, 1000), b"text", b"")})


def test_too_many_rows():
    assert "input x has 101 rows, more than the 100" in refused({"x": np.zeros((101, 3))})


def test_too_many_pixels():
    text = refused({"image_bytes": strings(png(10, 10), png(30_000, 30_000))})
    assert "image 1 of input image_bytes has 900000000 pixels, more than the 1000000" in text
    assert "--max-image-pixels" in text


def test_a_bomb_inside_an_example_is_found():
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    example.features.feature["label"].int64_list.value.append(3)
    example.features.feature["image"].bytes_list.value.append(png(30_000, 30_000))
    assert "900000000 pixels" in refused({"inputs": strings(example.SerializeToString())})
    assert "900000000 pixels" in refused({"inputs": strings(b"\x10\x01" + example.SerializeToString())})


def test_a_header_without_end_is_refused():
    assert "more than 1000 segments" in refused({"x": strings(b"\xff\xd8\xff" + b"\xff\xe0\x00\x02" * 5000)})
