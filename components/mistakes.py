"""What a classifier gets wrong, drawn."""

import keras
import numpy as np
import tensorflow as tf

from components import figures, tracking
from components.training_material import TrainingMaterial

# Validation images whose confusion and mistakes are drawn.
_DRAWN_IMAGES = 5000


def log_mistakes(classifier: keras.Model, material: TrainingMaterial, tracker: tracking.StationTracker) -> None:
    """Draws the confusion of the classes and the most confident mistakes among some validation images.

    Args:
        classifier: from images in grey levels to logits.
        material: whose validation images are shown; without any, nothing is drawn.
        tracker: receives `confusion.png` and `mistakes.png`.
    """
    if material.validation is None:
        return
    images, true = (part.numpy() for part in next(iter(material.validation.batches(_DRAWN_IMAGES))))
    scores = tf.nn.softmax(classifier.predict(images, verbose=0)).numpy()
    said = scores.argmax(axis=1)
    matrix = tf.math.confusion_matrix(true, said, len(material.labels)).numpy()
    names = np.asarray(material.labels)
    tracker.log_figure(lambda: figures.confusion(matrix, material.labels), "confusion.png")
    tracker.log_figure(lambda: figures.failures(images, names[true], names[said], scores.max(axis=1)), "mistakes.png")
