"""Preprocessing: agrees with Pillow, and is the same for one image and for a batch."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.input_pipeline import preprocessing

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
)


def encoded(array, kind="PNG", mode=None, **options):
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def test_an_image_of_the_right_size_passes_unchanged():
    image = RNG.integers(0, 256, (8, 8), np.uint8)
    prepared = preprocessing.prepare(tf.constant(encoded(image)), (8, 8), 1)
    np.testing.assert_array_equal(prepared[..., 0], image)


def test_grey_stored_as_colour_keeps_its_levels():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    prepared = preprocessing.prepare(tf.constant(encoded(np.stack([levels] * 3, -1))), (16, 16), 1)
    np.testing.assert_array_equal(prepared[..., 0], levels)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGB"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("BMP", "RGB"),
     ("BMP", "L"), ("BMP", "RGBA"), ("GIF", "P"), ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK")],
)  # fmt: skip
def test_every_kind_of_file_becomes_the_same_shape(kind, mode):
    prepared = preprocessing.prepare(tf.constant(encoded(SMOOTH, kind, mode)), (24, 32), 3)
    assert prepared.shape == (24, 32, 3)
    assert prepared.dtype == tf.uint8


def test_resizing_agrees_with_pillow():
    prepared = preprocessing.prepare(tf.constant(encoded(SMOOTH)), (24, 32), 3)
    expected = Image.fromarray(SMOOTH).resize((32, 24), Image.Resampling.BILINEAR)  # Pillow's has antialiasing too
    assert np.abs(prepared.numpy().astype(int) - np.asarray(expected).astype(int)).mean() < 1


def test_the_centre_is_cut_out():
    image = np.zeros((10, 30), np.uint8)
    image[:, 10:20] = 255
    prepared = preprocessing.prepare(tf.constant(encoded(image)), (10, 10), 1)
    assert prepared.numpy().min() == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 9)])
def test_odd_sizes_reach_the_target(shape):
    prepared = preprocessing.prepare(tf.constant(encoded(np.full(shape, 77, np.uint8))), (16, 16), 3)
    assert (prepared.numpy() == 77).all()


def test_batch_equals_one_by_one():
    files = [encoded(SMOOTH), encoded(SMOOTH[:20]), encoded(SMOOTH, "JPEG"), encoded(SMOOTH, "BMP", "L")]
    batch = preprocessing.prepare_batch(tf.constant(files), (12, 12), 1)
    alone = [preprocessing.prepare(tf.constant(file), (12, 12), 1) for file in files]
    np.testing.assert_array_equal(batch, alone)
