"""Plots of a classifier's mistakes."""

import sys

import numpy as np
import pytest

from components.figures import classifier_plots


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    return load_digits().data[:200] / 16


def test_confusion_colours_mistakes_by_their_share_of_the_true_class(drawn, texts):
    figure = classifier_plots.confusion([[8, 2, 0], [0, 4, 0], [0, 0, 0]], ["a", "b", "class with a very long name"])
    shares = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    np.testing.assert_array_equal(shares, [[np.nan, 20, 0], [0, np.nan, 0], [0, 0, np.nan]])
    assert "top-1 error 14.29 % of 14 images" in texts(figure)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b", "class with a very long …"]
    assert drawn(figure).std() > 0


@pytest.mark.lengthy
@pytest.mark.parametrize("matrix", [np.zeros((2, 2), int), np.eye(1, dtype=int), np.eye(200, dtype=int)])
def test_confusion_of_nothing_and_of_many_can_be_drawn(matrix, drawn):
    assert drawn(classifier_plots.confusion(matrix, [f"class {index}" for index in range(len(matrix))])).std() > 0


def test_gallery_shows_mistakes_only_and_the_most_confident_first(digits, texts):
    images = digits[:4].reshape(4, 8, 8)
    figure = classifier_plots.gallery(
        images, "abcd", "abdc", [0.9, 0.8, 0.4, 0.7], ["1", "2", "3", "x/" * 30 + "4.png"]
    )
    shown = [text for text in texts(figure) if text]
    assert shown[:3] == ["true: d", "pred: c, 70 %", "…" + ("x/" * 30 + "4.png")[-35:]]
    assert shown[3:6] == ["true: c", "pred: d, 40 %", "3"]
    assert "2 of 2 mistakes among 4 images" in shown
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[3])


def test_gallery_takes_grey_and_colour_images_of_any_size(drawn):
    images = [np.zeros((3, 5), np.uint8), np.zeros((7, 2, 1)), np.ones((4, 4, 3))]
    assert drawn(classifier_plots.gallery(images, [0, 1, 2], [1, 2, 0])).std() > 0


def test_gallery_of_a_perfect_model_says_so(drawn, texts):
    figure = classifier_plots.gallery([np.zeros((2, 2))], ["a"], ["a"])
    assert texts(figure)[-2:] == ["No mistakes", "among 1 images"]
    drawn(figure)


def test_no_pyplot_no_global_state():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
