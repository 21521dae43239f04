"""Plots of a classifier's mistakes: equal to plots from all images at once, while only few images are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.figures import classifier_plots, confused_pairs
from components.figures.classifier_report import log_mistakes
from components.input_pipeline.image_data import ImageData
from components.reporting.station_tracker import StationTracker

LABELS = ["cat", "dog", "cow"]
COUNT, PLOTTED, BATCH = 310, 280, 35  # the last images are not read


class Spy(StationTracker):
    def __init__(self):
        super().__init__()
        self.figures = {}

    def log_figure(self, figure, name):
        self.figures[name] = figure()


class Coded(keras.layers.Layer):
    """Logits coded in the image: its second value is the prediction, its third and fourth the certainty."""

    def call(self, images):
        images = keras.ops.cast(images, "float32")
        return keras.ops.one_hot(images[:, 0, 1, 0], 3) * (2 * images[:, 0, 2] + images[:, 1, 0]) / 100


@pytest.fixture(scope="module")
def data():
    """Images whose first value is their index, and labels; a third is classified correctly."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (COUNT, 2, 3, 1)), random.integers(0, 3, COUNT)
    images[:, 0, 0, 0] = np.arange(COUNT) % 256
    images[:, 0, 1, 0] = random.integers(0, 3, COUNT)
    images[:, 0, 2, 0], images[:, 1, 0, 0] = np.divmod(1 + random.permutation(COUNT), 2)
    return images.astype(np.uint8), labels


def logged(data, in_memory):
    tensors = tuple(map(tf.constant, data))
    dataset = tf.data.Dataset.from_tensor_slices(tensors)
    held_out = ImageData(dataset, COUNT, tensors if in_memory else None)
    spy = Spy()
    classifier = keras.Sequential([keras.Input((2, 3, 1)), Coded()])
    log_mistakes(classifier, held_out, LABELS, spy, max_images=PLOTTED, batch_size=BATCH)
    return spy.figures


def predictions(data):
    images, labels = (part[:PLOTTED] for part in data)
    certainty = np.exp((2.0 * images[:, 0, 2, 0] + images[:, 1, 0, 0]) / 100)
    names = np.asarray(LABELS)
    return images, names[labels], names[images[:, 0, 1, 0]], certainty / (certainty + 2)


def content(figure):
    texts = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    images = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    return [*texts, figure.get_suptitle(), figure.get_supxlabel()], images


@pytest.mark.lengthy
@pytest.mark.parametrize("in_memory", [True, False])
def test_figures_are_those_of_all_images_at_once(data, in_memory):
    found = logged(data, in_memory)
    images, true, predicted, scores = predictions(data)
    matrix = [[np.sum((true == row) & (predicted == column)) for column in LABELS] for row in LABELS]
    wanted = {
        "confusion.png": classifier_plots.confusion(matrix, LABELS),
        "mistakes.png": classifier_plots.gallery(images, true, predicted, scores),
        "confused_pairs.png": confused_pairs.confused_pairs(images, true, predicted, scores),
    }
    assert found.keys() == wanted.keys()
    for name, figure in wanted.items():
        (texts, images_shown), (wanted_texts, wanted_images_shown) = content(found[name]), content(figure)
        assert texts == wanted_texts
        assert len(images_shown) == len(wanted_images_shown) > 0
        for image_shown, other in zip(images_shown, wanted_images_shown, strict=True):
            np.testing.assert_array_equal(image_shown, other)


def test_only_the_images_in_a_plot_are_kept(data, monkeypatch):
    kept = []
    gallery = classifier_plots.gallery
    monkeypatch.setattr(
        classifier_plots, "gallery", lambda images, *rest: kept.append(len(images)) or gallery(images, *rest)
    )
    logged(data, False)
    assert classifier_plots.MAX_GALLERY <= kept[0] <= classifier_plots.MAX_GALLERY + 6 * 6


def test_a_perfect_classifier_has_no_mistakes(data):
    images = data[0]
    found = logged((images, images[:, 0, 1, 0].astype(np.int64)), False)
    assert {figure.get_suptitle() for name, figure in found.items() if name != "confusion.png"} == {"No mistakes"}


def test_nothing_is_logged_without_validation_images():
    spy = Spy()
    log_mistakes(None, None, LABELS, spy)
    assert spy.figures == {}
