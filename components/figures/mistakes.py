"""What a classifier gets wrong, drawn."""

import keras
import numpy as np
import tensorflow as tf

from components.figures import confused_pairs, figures
from components.input_pipeline.image_data import ImageData
from components.reporting import station_tracker
from components.training.inputs import TrainingInputs

# Validation images whose confusion and mistakes are drawn; of 256 x 256 pixels they would be 1 GB, so they are read
# batch by batch, twice, and those kept that are seen in a picture.
_DRAWN_IMAGES = 5000
_BATCH = 100


def log_mistakes(classifier: keras.Model, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> None:
    """Draws the confusion of the classes, the most confident mistakes and the most confused pairs of classes.

    Args:
        classifier: from images in grey levels to logits.
        inputs: whose first validation images are shown; without any, nothing is drawn.
        tracker: receives `confusion.png`, `mistakes.png` and `confused_pairs.png`.
    """
    if inputs.validation is None:
        return
    true, said, scores = _answers(classifier, inputs.validation)
    matrix = tf.math.confusion_matrix(true, said, len(inputs.labels)).numpy()
    names = np.asarray(inputs.labels)
    answers = names[true], names[said], scores
    images = _some_images(inputs.validation, _shown(*answers))
    tracker.log_figure(lambda: figures.confusion(matrix, inputs.labels), "confusion.png")
    tracker.log_figure(lambda: figures.failures(images, *answers), "mistakes.png")
    tracker.log_figure(lambda: confused_pairs.confused_pairs(images, *answers), "confused_pairs.png")


def _answers(classifier: keras.Model, validation: ImageData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right class, answer and its probability, each (images,)."""
    parts = []
    for images, labels in _batches(validation):
        scores = tf.nn.softmax(classifier.predict_on_batch(images)).numpy()
        parts.append((labels.numpy(), scores.argmax(axis=1), scores.max(axis=1)))
    true, said, scores = map(np.concatenate, zip(*parts, strict=True))
    return true, said, scores


def _shown(true: np.ndarray, said: np.ndarray, scores: np.ndarray) -> set[int]:
    """Indices of the images that are seen in a picture."""
    pairs = confused_pairs.most_confused(true, said, scores)[: confused_pairs.MAX_PAIRS]
    shown = {index for pair in pairs for index in pair.images[: confused_pairs.MAX_IMAGES]}
    return shown.union(figures.mistakes(true, said, scores)[: figures.MAX_FAILURES])


def _some_images(validation: ImageData, wanted: set[int]) -> dict[int, np.ndarray]:
    """The images by index; reads no further than the last of them."""
    found: dict[int, np.ndarray] = {}
    if not wanted:
        return found
    for number, (images, _) in enumerate(_batches(validation).take(max(wanted) // _BATCH + 1)):
        first = number * _BATCH
        found |= {index: images[index - first].numpy() for index in wanted if 0 <= index - first < len(images)}
    return found


def _batches(validation: ImageData) -> tf.data.Dataset:
    return validation.batches(_BATCH).take(_DRAWN_IMAGES // _BATCH)
