"""Plots of a classifier's mistakes on the validation images, logged to MLflow."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from components.figures import classifier_plots, confused_pairs
from components.input_pipeline.image_data import ImageData
from components.reporting.station_tracker import StationTracker

# Validation images in the confusion matrix. At 256 x 256 pixels they would take 1 GB, so they are read twice in
# batches, and only the images in a plot are kept.
_MAX_IMAGES = 5000
_BATCH = 100


def log_mistakes(
    classifier: keras.Model,
    validation: ImageData | None,
    labels: Sequence[str],
    tracker: StationTracker,
    max_images: int = _MAX_IMAGES,
    batch_size: int = _BATCH,
) -> None:
    """Logs the confusion matrix, the most confident mistakes and the most confused pairs of classes.

    Args:
        classifier: Keras model from images in grey levels to logits.
        validation: Images to classify, the first `max_images` of them; None logs nothing.
        labels: Class names in index order.
        tracker: Receives `confusion.png`, `mistakes.png` and `confused_pairs.png`.
        max_images: Largest number of images to classify, a multiple of `batch_size`.
        batch_size: Images read at a time.
    """
    if validation is None:
        return
    batches = validation.batches(batch_size).take(max_images // batch_size)
    true, predicted, scores = _predictions(classifier, batches)
    matrix = tf.math.confusion_matrix(true, predicted, len(labels)).numpy()
    predictions = [labels[index] for index in true], [labels[index] for index in predicted], scores.tolist()
    images = _some_images(batches, batch_size, _plotted(*predictions))
    tracker.log_figure(lambda: classifier_plots.confusion(matrix, labels), "confusion.png")
    tracker.log_figure(lambda: classifier_plots.gallery(images, *predictions), "mistakes.png")
    tracker.log_figure(lambda: confused_pairs.confused_pairs(images, *predictions), "confused_pairs.png")


def _predictions(classifier: keras.Model, batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the true class, the predicted class and its probability, each (images,)."""
    parts = []
    for images, labels in batches:
        scores = tf.nn.softmax(classifier.predict_on_batch(images)).numpy()
        parts.append((labels.numpy(), scores.argmax(axis=1), scores.max(axis=1)))
    true, predicted, scores = map(np.concatenate, zip(*parts, strict=True))
    return true, predicted, scores


def _plotted(true: Sequence[str], predicted: Sequence[str], scores: Sequence[float]) -> set[int]:
    """Returns the indices of the images that appear in a plot."""
    pairs = confused_pairs.most_confused(true, predicted, scores)[: confused_pairs.MAX_PAIRS]
    shown = {index for pair in pairs for index in pair.images[: confused_pairs.MAX_IMAGES]}
    return shown.union(classifier_plots.misclassified(true, predicted, scores)[: classifier_plots.MAX_GALLERY])


def _some_images(batches: tf.data.Dataset, batch_size: int, wanted: set[int]) -> dict[int, np.ndarray]:
    """Returns the wanted images by index; reads no further than the last of them."""
    found: dict[int, np.ndarray] = {}
    if not wanted:
        return found
    for number, (images, _) in enumerate(batches.take(max(wanted) // batch_size + 1)):
        first = number * batch_size
        found |= {index: images[index - first].numpy() for index in wanted if 0 <= index - first < len(images)}
    return found
