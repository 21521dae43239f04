"""The SavedModel of a classifier: labels and probabilities."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from components import features
from components.served_model import ServedModel


class ServedClassifier(ServedModel):
    """Answers `probabilities` (N, classes), and best first `classes` (N, min(5, classes)), string, and `scores`.

    Args:
        classifier: Keras model from float images in grey levels (N, height, width, channels) to logits (N, classes).
        labels: class names in index order; they travel in `assets/labels.txt` too.
    """

    def __init__(self, classifier: keras.Model, labels: Sequence[str]) -> None:
        super().__init__(classifier.input_shape[1:])
        self.hold("classifier", classifier)
        self._names = tuple(labels)
        self.labels = tf.constant([label.encode() for label in labels])

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels)."""
        return self.answers(tf.nn.softmax(tf.cast(self.classifier(pixels, training=False), tf.float32)))

    def answers(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is answered where the classes have these probabilities, float (N, classes)."""
        scores, indices = tf.math.top_k(probabilities, k=min(5, len(self.labels)))
        return {"probabilities": probabilities, "classes": tf.gather(self.labels, indices), "scores": scores}

    def texts(self) -> Mapping[str, str]:
        """The class names, one a line."""
        return {features.LABELS_FILE: "\n".join(self._names) + "\n"}
