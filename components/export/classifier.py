"""The SavedModel of a classifier: labels and probabilities."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from components.export.labelled_model import LabelledModel


class ServedClassifier(LabelledModel):
    """The answers of a Keras classifier.

    Args:
        classifier: Keras model from float images in grey levels (N, height, width, channels) to logits (N, classes).
        labels: class names in index order.
    """

    def __init__(self, classifier: keras.Model, labels: Sequence[str]) -> None:
        super().__init__(classifier.input_shape[1:], labels)
        self.hold("classifier", classifier)

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels)."""
        return self.answers(tf.nn.softmax(tf.cast(self.classifier(pixels, training=False), tf.float32)))
