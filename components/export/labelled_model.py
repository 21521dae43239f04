"""What all classifiers answer: probabilities, and the best labels with their scores."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from components.export import layout
from components.export.exported_model import ServedModel


class LabelledModel(ServedModel):
    """Answers `probabilities` (N, classes), and best first `classes` (N, min(5, classes)), string, and `scores`.

    Args:
        input_shape: of the images, (height, width, channels).
        labels: class names in index order; they travel in `assets/labels.txt` too.
    """

    def __init__(self, input_shape: tuple[int, int, int], labels: Sequence[str]) -> None:
        super().__init__(input_shape)
        self._names = tuple(labels)
        self.labels = tf.constant([label.encode() for label in labels])

    def answers(self, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is answered where the classes have these probabilities, float (N, classes)."""
        scores, indices = tf.math.top_k(probabilities, k=min(5, len(self.labels)))
        return {
            layout.PROBABILITIES: probabilities,
            layout.CLASSES: tf.gather(self.labels, indices),
            layout.SCORES: scores,
        }

    def texts(self) -> Mapping[str, str]:
        """The class names, one a line."""
        return {layout.LABELS_ASSET: "\n".join(self._names) + "\n"}
