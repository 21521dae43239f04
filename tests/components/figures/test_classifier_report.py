"""What is drawn of a classifier's mistakes is what all images at once would show; few of them are held."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.figures import confused_pairs, figures, mistakes
from components.input_pipeline.image_data import ImageData
from components.reporting.station_tracker import StationTracker
from components.training.inputs import TrainingInputs

LABELS = ["cat", "dog", "cow"]
COUNT, DRAWN, BATCH = 310, 280, 35  # the last images are not looked at


class Spy(StationTracker):
    def __init__(self):
        super().__init__()
        self.figures = {}

    def log_figure(self, figure, name):
        self.figures[name] = figure()


class Says(keras.layers.Layer):
    """Logits by the image: its second value is the answer, its third and fourth the certainty."""

    def call(self, images):
        images = keras.ops.cast(images, "float32")
        return keras.ops.one_hot(images[:, 0, 1, 0], 3) * (2 * images[:, 0, 2] + images[:, 1, 0]) / 100


@pytest.fixture(scope="module")
def data():
    """Images whose first value says their place, and labels; a third is answered right."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (COUNT, 2, 3, 1)), random.integers(0, 3, COUNT)
    images[:, 0, 0, 0] = np.arange(COUNT) % 256
    images[:, 0, 1, 0] = random.integers(0, 3, COUNT)
    images[:, 0, 2, 0], images[:, 1, 0, 0] = np.divmod(1 + random.permutation(COUNT), 2)
    return images.astype(np.uint8), labels


def logged(data, monkeypatch, in_memory):
    monkeypatch.setattr(mistakes, "_DRAWN_IMAGES", DRAWN)
    monkeypatch.setattr(mistakes, "_BATCH", BATCH)
    tensors = tuple(map(tf.constant, data))
    dataset = tf.data.Dataset.from_tensor_slices(tensors)
    held_out = ImageData(dataset, COUNT, tensors if in_memory else None)
    spy = Spy()
    classifier = keras.Sequential([keras.Input((2, 3, 1)), Says()])
    mistakes.log_mistakes(classifier, TrainingInputs(held_out, held_out, None, LABELS, None), spy)
    return spy.figures


def answers(data):
    images, labels = (part[:DRAWN] for part in data)
    certainty = np.exp((2.0 * images[:, 0, 2, 0] + images[:, 1, 0, 0]) / 100)
    names = np.asarray(LABELS)
    return images, names[labels], names[images[:, 0, 1, 0]], certainty / (certainty + 2)


def content(figure):
    texts = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    images = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    return [*texts, figure.get_suptitle(), figure.get_supxlabel()], images


@pytest.mark.parametrize("in_memory", [True, False])
def test_figures_are_those_of_all_images_at_once(data, monkeypatch, in_memory):
    found = logged(data, monkeypatch, in_memory)
    images, true, said, scores = answers(data)
    matrix = [[np.sum((true == row) & (said == column)) for column in LABELS] for row in LABELS]
    wanted = {
        "confusion.png": figures.confusion(matrix, LABELS),
        "mistakes.png": figures.failures(images, true, said, scores),
        "confused_pairs.png": confused_pairs.confused_pairs(images, true, said, scores),
    }
    assert found.keys() == wanted.keys()
    for name, figure in wanted.items():
        (texts, pictures), (wanted_texts, wanted_pictures) = content(found[name]), content(figure)
        assert texts == wanted_texts
        assert len(pictures) == len(wanted_pictures) > 0
        for picture, other in zip(pictures, wanted_pictures, strict=True):
            np.testing.assert_array_equal(picture, other)


def test_only_the_images_that_are_drawn_are_held(data, monkeypatch):
    held = []
    failures = figures.failures
    monkeypatch.setattr(figures, "failures", lambda images, *rest: held.append(len(images)) or failures(images, *rest))
    logged(data, monkeypatch, False)
    assert figures.MAX_FAILURES <= held[0] <= figures.MAX_FAILURES + 6 * 6


def test_a_perfect_classifier_has_no_mistakes(data, monkeypatch):
    images = data[0]
    found = logged((images, images[:, 0, 1, 0].astype(np.int64)), monkeypatch, False)
    assert {figure.get_suptitle() for name, figure in found.items() if name != "confusion.png"} == {"No mistakes"}


def test_nothing_is_drawn_where_there_are_no_validation_images():
    spy = Spy()
    mistakes.log_mistakes(None, TrainingInputs(None, None, None, LABELS, None), spy)
    assert spy.figures == {}
