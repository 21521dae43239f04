import io
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from components.figures import figures


def drawn(figure):
    """The figure's pixels, (height, width, 4), in [0, 1]."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


def texts(figure):
    found = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    return [*found, figure.get_suptitle(), figure.get_supxlabel()]


def mosaic(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    return load_digits().data[:200] / 16


def test_filter_of_unit_stands_at_its_place_in_the_mosaic():
    kernel = np.arange(6.0 * 12).reshape(6, 12)
    canvas = mosaic(figures.filters(kernel, (2, 3)))
    assert canvas.shape == (2 * 3 - 1, 10 * 4 - 1)
    np.testing.assert_array_equal(canvas[:2, 4:7], kernel[:, 1].reshape(2, 3))
    np.testing.assert_array_equal(canvas[3:, :3], kernel[:, 10].reshape(2, 3))


def test_filters_share_one_symmetric_scale_that_one_wild_weight_does_not_set():
    kernel = np.random.default_rng(0).normal(size=(64, 50))
    kernel[0, 0] = 1e6
    figure = figures.filters(kernel, (8, 8, 1))
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high
    assert 2 < high < 4
    assert figure.axes[1].get_ylabel() == "weight"


def test_colour_filters_are_grey_where_the_weight_is_zero():
    kernel = np.zeros((3 * 4, 2))
    kernel[0, 0] = 5
    canvas = mosaic(figures.filters(kernel, (2, 2, 3)))
    np.testing.assert_allclose(canvas[1, 1], 0.5)
    np.testing.assert_allclose(canvas[0, 0], [1, 0.5, 0.5])


@pytest.mark.parametrize("kernel", [np.zeros((4, 3)), np.full((4, 3), np.nan), np.full((4, 3), np.inf)])
def test_filters_of_a_ruined_training_can_be_drawn(kernel):
    assert drawn(figures.filters(kernel, (2, 2))).std() > 0


def test_reconstruction_stands_below_its_image(digits):
    reconstructed = digits[::-1]
    figure = figures.reconstructions(digits, reconstructed, (8, 8), count=12)
    first, second = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    np.testing.assert_array_equal(first[:8, 9:17], digits[1].reshape(8, 8))
    np.testing.assert_array_equal(first[9:, 9:17], reconstructed[1].reshape(8, 8))
    np.testing.assert_array_equal(second[9:, :8], reconstructed[10].reshape(8, 8))
    assert second.shape == (17, 2 * 9 - 1)
    assert f"mean squared error of a pixel {np.mean((digits - reconstructed) ** 2):.4f}" in texts(figure)


def test_confusion_colours_mistakes_by_their_share_of_the_true_class():
    figure = figures.confusion([[8, 2, 0], [0, 4, 0], [0, 0, 0]], ["a", "b", "class with a very long name"])
    shares = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    np.testing.assert_array_equal(shares, [[np.nan, 20, 0], [0, np.nan, 0], [0, 0, np.nan]])
    assert "top-1 error 14.29 % of 14 images" in texts(figure)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b", "class with a very long …"]
    assert drawn(figure).std() > 0


@pytest.mark.parametrize("matrix", [np.zeros((2, 2), int), np.eye(1, dtype=int), np.eye(200, dtype=int)])
def test_confusion_of_nothing_and_of_many_can_be_drawn(matrix):
    assert drawn(figures.confusion(matrix, [f"class {index}" for index in range(len(matrix))])).std() > 0


def test_gallery_shows_mistakes_only_and_the_most_confident_first(digits):
    images = digits[:4].reshape(4, 8, 8)
    figure = figures.failures(images, "abcd", "abdc", [0.9, 0.8, 0.4, 0.7], ["1", "2", "3", "x/" * 30 + "4.png"])
    shown = [text for text in texts(figure) if text]
    assert shown[:3] == ["is d", "said c, 70 %", "…" + ("x/" * 30 + "4.png")[-35:]]
    assert shown[3:6] == ["is c", "said d, 40 %", "3"]
    assert "2 of 2 mistakes among 4 images" in shown
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[3])


def test_gallery_takes_grey_and_colour_images_of_any_size():
    images = [np.zeros((3, 5), np.uint8), np.zeros((7, 2, 1)), np.ones((4, 4, 3))]
    assert drawn(figures.failures(images, [0, 1, 2], [1, 2, 0])).std() > 0


def test_gallery_of_a_perfect_model_says_so():
    figure = figures.failures([np.zeros((2, 2))], ["a"], ["a"])
    assert texts(figure)[-2:] == ["No mistakes", "among 1 images"]
    drawn(figure)


def test_no_pyplot_no_global_state():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def distances(points):
    return np.linalg.norm(points[:, None] - points, axis=-1)


def test_code_map_of_a_plane_in_many_dimensions_keeps_all_distances():
    random = np.random.default_rng(1)
    directions = np.linalg.qr(random.normal(size=(30, 2)))[0]
    codes = random.normal(size=(40, 2)) * [3, 1] @ directions.T + 7
    figure = figures.code_map(codes, np.arange(40) % 3, "abc")
    points = np.asarray(figure.axes[0].collections[0].get_offsets())
    np.testing.assert_allclose(distances(points), distances(codes), atol=1e-9)
    assert np.ptp(points[:, 0]) > np.ptp(points[:, 1])
    shares = [float(text.split()[0]) for text in (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel())]
    assert sum(shares) == pytest.approx(100, abs=1)
    colours = figure.axes[0].collections[0].get_facecolors()
    assert len(np.unique(colours, axis=0)) == 3
    np.testing.assert_array_equal(colours[0], colours[3])


def test_class_names_of_the_code_map_do_not_hide_each_other():
    random = np.random.default_rng(2)
    codes, classes = random.normal(size=(300, 2)), np.arange(300) % 10
    axes = figures.code_map(codes, classes, "0123456789").axes[0]
    assert [text.get_text() for text in axes.texts[:10]] == list("0123456789")
    places = np.array([text.get_position() for text in axes.texts[:10]])
    nearest = (distances(places) + 1e9 * np.eye(10)).min()
    assert nearest > 0.04 * np.ptp(codes, axis=0).max()


def test_more_classes_than_can_be_read_are_colours_only():
    codes = np.random.default_rng(3).normal(size=(60, 2))
    figure = figures.code_map(codes, np.arange(60) % 30, [f"class {index}" for index in range(30)])
    assert not any("class" in text for text in texts(figure))


def test_codes_that_are_not_finite_are_left_out():
    codes = np.eye(6)
    codes[2, 0] = np.nan
    figure = figures.code_map(codes, np.zeros(6, int), ["all"])
    assert len(figure.axes[0].collections[0].get_offsets()) == 5
    assert "5 images, 6 numbers each, seen in their principal plane" in texts(figure)


@pytest.mark.parametrize(
    "codes", [np.zeros((5, 3)), np.arange(5.0)[:, None], np.full((5, 3), np.nan)], ids=["same", "one", "none"]
)
def test_code_map_without_a_plane_can_be_drawn(codes):
    assert drawn(figures.code_map(codes, np.arange(5) % 2, [f"class {index}" for index in range(30)])).std() > 0
