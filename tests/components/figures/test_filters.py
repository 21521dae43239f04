"""Plots of receptive fields."""

import numpy as np
import pytest

from components.figures.filters import filters, projected_filters


def mosaic(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_filter_of_unit_stands_at_its_place_in_the_mosaic():
    kernel = np.arange(6.0 * 12).reshape(6, 12)
    canvas = mosaic(filters(kernel, (2, 3)))
    assert canvas.shape == (2 * 3 - 1, 10 * 4 - 1)
    np.testing.assert_array_equal(canvas[:2, 4:7], kernel[:, 1].reshape(2, 3))
    np.testing.assert_array_equal(canvas[3:, :3], kernel[:, 10].reshape(2, 3))


def test_filters_share_one_symmetric_scale_that_one_wild_weight_does_not_set():
    kernel = np.random.default_rng(0).normal(size=(64, 50))
    kernel[0, 0] = 1e6
    figure = filters(kernel, (8, 8, 1))
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high
    assert 2 < high < 4
    assert figure.axes[1].get_ylabel() == "weight"


def test_colour_filters_are_grey_where_the_weight_is_zero():
    kernel = np.zeros((3 * 4, 2))
    kernel[0, 0] = 5
    canvas = mosaic(filters(kernel, (2, 2, 3)))
    np.testing.assert_allclose(canvas[1, 1], 0.5)
    np.testing.assert_allclose(canvas[0, 0], [1, 0.5, 0.5])


@pytest.mark.parametrize("kernel", [np.zeros((4, 3)), np.full((4, 3), np.nan), np.full((4, 3), np.inf)])
def test_filters_of_a_ruined_training_can_be_drawn(kernel, drawn):
    assert drawn(filters(kernel, (2, 2))).std() > 0


def test_projected_filters_are_weights_through_all_layers_less_their_mean(texts):
    random = np.random.default_rng(4)
    kernels = [random.normal(size=shape) for shape in ((6, 5), (5, 4), (4, 3))]
    paths = np.einsum("va,ab,bh->vh", *kernels)
    figure = projected_filters(kernels, (2, 3), count=2)
    wanted = paths[:, 1] - paths.sum(axis=1) / 3
    np.testing.assert_allclose(mosaic(figure)[:, 4:7], wanted.reshape(2, 3), atol=1e-12)
    assert figure.axes[0].get_title() == "Filters of layer 3, projected to the pixels"
    assert "2 of 3 units, one scale for all" in texts(figure)
