"""Plots of reconstructions and codes."""

import numpy as np
import pytest

from components.figures import autoencoder_plots


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    return load_digits().data[:200] / 16


def test_reconstruction_stands_below_its_image(digits, texts):
    reconstructed = digits[::-1]
    figure = autoencoder_plots.reconstructions(digits, reconstructed, (8, 8), count=12)
    first, second = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    np.testing.assert_array_equal(first[:8, 9:17], digits[1].reshape(8, 8))
    np.testing.assert_array_equal(first[9:, 9:17], reconstructed[1].reshape(8, 8))
    np.testing.assert_array_equal(second[9:, :8], reconstructed[10].reshape(8, 8))
    assert second.shape == (17, 2 * 9 - 1)
    assert f"mean squared error of a pixel {np.mean((digits - reconstructed) ** 2):.4f}" in texts(figure)


def distances(points):
    return np.linalg.norm(points[:, None] - points, axis=-1)


def test_code_map_of_a_plane_in_many_dimensions_keeps_all_distances():
    random = np.random.default_rng(1)
    directions = np.linalg.qr(random.normal(size=(30, 2)))[0]
    codes = random.normal(size=(40, 2)) * [3, 1] @ directions.T + 7
    figure = autoencoder_plots.code_map(codes, np.arange(40) % 3, "abc")
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
    axes = autoencoder_plots.code_map(codes, classes, "0123456789").axes[0]
    assert [text.get_text() for text in axes.texts[:10]] == list("0123456789")
    places = np.array([text.get_position() for text in axes.texts[:10]])
    nearest = (distances(places) + 1e9 * np.eye(10)).min()
    assert nearest > 0.04 * np.ptp(codes, axis=0).max()


def test_more_classes_than_can_be_read_are_colours_only(texts):
    codes = np.random.default_rng(3).normal(size=(60, 2))
    figure = autoencoder_plots.code_map(codes, np.arange(60) % 30, [f"class {index}" for index in range(30)])
    assert not any("class" in text for text in texts(figure))


def test_codes_that_are_not_finite_are_left_out(texts):
    codes = np.eye(6)
    codes[2, 0] = np.nan
    figure = autoencoder_plots.code_map(codes, np.zeros(6, int), ["all"])
    assert len(figure.axes[0].collections[0].get_offsets()) == 5
    assert "5 images, codes of 6 units on their principal plane" in texts(figure)


@pytest.mark.parametrize(
    "codes", [np.zeros((5, 3)), np.arange(5.0)[:, None], np.full((5, 3), np.nan)], ids=["same", "one", "none"]
)
def test_code_map_without_a_plane_can_be_drawn(codes, drawn):
    figure = autoencoder_plots.code_map(codes, np.arange(5) % 2, [f"class {index}" for index in range(30)])
    assert drawn(figure).std() > 0
