"""Windows: their places, their dependence on seed and epoch, and their pixels, which are the prepared image's own."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.input_pipeline import crops, preprocessing
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.jpeg_cut import decode_cut, jpeg_cuts

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (12, 12, 3), np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
)


def encoded(array, kind, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def drawn(plan, image_size, epoch, count):
    blocks = plan.random_windows(image_size, tf.constant(epoch, tf.int64))
    return next(blocks.unbatch().batch(count).as_numpy_iterator())


def test_every_offset_and_both_sides_occur():
    windows = drawn(CropPlan((5, 6), seed=1), (8, 8), 0, 3000)
    places, counts = np.unique(windows[:, [0, 1, 4]], axis=0, return_counts=True)
    assert len(places) == 4 * 3 * 2
    assert places.max(axis=0).tolist() == [3, 2, 1]
    assert counts.min() > 70  # 125 expected, deviation 11
    assert (windows[:, 2:4] == (5, 6)).all()


def test_half_are_mirrored():
    assert abs(drawn(CropPlan((5, 6)), (8, 8), 0, 10_000)[:, 4].mean() - 0.5) < 0.02  # deviation 0.005


def test_seed_epoch_and_place_determine_a_window():
    plan = CropPlan((5, 6), seed=1)
    first = drawn(plan, (30, 30), 3, 2000)
    np.testing.assert_array_equal(first, drawn(CropPlan((5, 6), seed=1), (30, 30), 3, 2000))
    np.testing.assert_array_equal(first[:50], drawn(plan, (30, 30), 3, 50))
    assert (first[:976, :2] == first[1024:, :2]).all(axis=1).mean() < 0.02  # blocks differ
    for other in (drawn(plan, (30, 30), 4, 2000), drawn(CropPlan((5, 6), seed=2), (30, 30), 3, 2000)):
        assert (first[:, :2] == other[:, :2]).all(axis=1).mean() < 0.02


def test_the_centre_window():
    block = next(CropPlan((5, 6)).centre_windows((8, 10)).as_numpy_iterator())
    assert (block == (1, 2, 5, 6, 0)).all()
    block = next(CropPlan((5, 10), resized=True).centre_windows((8, 10)).as_numpy_iterator())
    assert (block == (1, 0, 5, 10, 0)).all()


def test_random_resized_windows_cover_the_areas_and_ratios():
    windows = drawn(CropPlan((50, 50), resized=True), (100, 100), 0, 5000)
    top, left, height, width, _ = windows.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 100).all()
    assert (left + width <= 100).all()
    area, ratio = height * width / 100**2, width / height
    assert 0.07 < area.min() < 0.1
    assert area.max() > 0.95
    assert abs(np.mean(area) - 0.53) < 0.03  # (0.08 + 1) / 2, less what is cut at the borders
    assert 0.72 < ratio.min() < 0.78
    assert 1.28 < ratio.max() < 1.38
    assert abs(np.mean(np.log(ratio))) < 0.02


@pytest.mark.parametrize("resized", [False, True])
def test_finishing_mirrors_and_resizes(resized):
    plan = CropPlan((6, 8), resized=resized)
    image = tf.constant(SMOOTH[:12, :16] if resized else SMOOTH[:6, :8])
    plain, mirrored = (plan.finish(image, tf.constant(flip)) for flip in (False, True))
    assert plain.shape == (6, 8, 3)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    expected = image
    if resized:
        expected = np.asarray(Image.fromarray(image.numpy()).resize((8, 6), Image.Resampling.BILINEAR))
    assert np.abs(plain.numpy().astype(int) - np.asarray(expected, int)).max() <= resized


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(SMOOTH, "JPEG", quality=90, subsampling=kind) for kind in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")),
        encoded(SMOOTH, "JPEG", "L"),
    ],
    ids=["4:4:4", "4:2:2", "4:2:0", "4:1:1", "grey"],
)
def test_a_window_of_a_stored_jpeg_is_that_of_the_whole_image(data):
    data = tf.constant(data)
    whole = preprocessing.prepare(data, (48, 48), 3).numpy()

    @tf.function
    def cut(window):
        return decode_cut(data, tf.nest.map_structure(lambda field: field[0], jpeg_cuts(window[None], 48)))

    # Every place across: whether a window begins or ends between two blocks of 8 or 16 pixels matters.
    for left in range(18):
        for top in (0, 7, left):
            expected = whole[top : top + 31, left : left + 31]
            np.testing.assert_array_equal(cut(tf.constant([top, left, 31, 31, 0])), expected)


@pytest.mark.parametrize(
    "data",
    [encoded(SMOOTH, "PNG"), encoded(SMOOTH, "JPEG", "L"), encoded(SMOOTH, "JPEG", "CMYK"),
     encoded(SMOOTH[:40], "JPEG"), encoded(SMOOTH, "JPEG", progressive=True), encoded(SMOOTH, "BMP")],
    ids=["PNG", "grey JPEG", "CMYK JPEG", "JPEG of another size", "progressive JPEG", "BMP"],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_of_anything_else_is_that_of_the_prepared_image(data, channels):
    expected = preprocessing.prepare(tf.constant(data), (48, 48), channels)[5:36, 9:29]
    cut = crops.prepare_window(tf.constant(data), tf.constant([5, 9, 31, 20, 0]), (48, 48), channels)
    np.testing.assert_array_equal(cut, expected)


def test_gathered_windows_are_slices():
    images = RNG.integers(0, 256, (7, 10, 12, 3), np.uint8)
    windows = np.array([(0, 0, 6, 5, 0), (4, 7, 6, 5, 1), (2, 3, 6, 5, 1)], np.int32)
    gathered = crops.gather_windows(tf.constant(images), tf.constant([6, 0, 6], tf.int64), tf.constant(windows), (6, 5))
    assert gathered.dtype == tf.uint8
    np.testing.assert_array_equal(gathered[0], images[6, :6, :5])
    np.testing.assert_array_equal(gathered[1], images[0, 4:10, 7:12][:, ::-1])
    np.testing.assert_array_equal(gathered[2], images[6, 2:8, 3:8][:, ::-1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_ten_crops_are_corners_centre_and_their_mirrors(dtype):
    images = RNG.integers(0, 256, (2, 9, 11, 3)).astype(dtype)
    ten = crops.ten_crops(images, (5, 6))
    assert ten.dtype == dtype
    assert ten.shape == (20, 5, 6, 3)
    corners = [images[:, :5, :6], images[:, :5, 5:], images[:, 4:, :6], images[:, 4:, 5:], images[:, 2:7, 2:8]]
    for place, corner in enumerate(corners):
        np.testing.assert_array_equal(ten[place::10], corner)
        np.testing.assert_array_equal(ten[place + 5 :: 10], corner[:, :, ::-1])


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        CropPlan((9, 8)).random_windows((8, 8), tf.constant(0, tf.int64))
    with pytest.raises(ValueError, match="does not fit"):
        CropPlan((8, 9)).centre_windows((8, 8))
    with pytest.raises(ValueError, match="do not fit"):
        crops.ten_crops(np.zeros((1, 8, 8, 3)), (9, 8))
    with pytest.raises(ValueError, match="at least 1 pixel"):
        CropPlan((0, 8))
