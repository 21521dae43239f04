"""SavedModels of classifiers: class names, probabilities and the best classes."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from components.export import layout
from components.export.exported_model import ExportedModel, Outputs


class ProbabilisticClassifier(ExportedModel):
    """Base class of exported classifiers: turns class probabilities into the outputs of every signature.

    | output | shape | content |
    |---|---|---|
    | `probabilities` | (N, classes) | float, in index order; each row sums to 1 |
    | `classes` | (N, min(5, classes)) | string, names of the most probable classes, best first |
    | `scores` | (N, min(5, classes)) | float, their probabilities |

    Args:
        input_shape: Shape of the images, (height, width, channels).
        labels: Class names in index order; the model keeps them in `assets/labels.txt` too.
    """

    def __init__(self, input_shape: tuple[int, int, int], labels: Sequence[str]) -> None:
        super().__init__(input_shape)
        self._names = tuple(labels)
        self.labels = tf.constant([label.encode() for label in labels])

    def outputs(self, probabilities: tf.Tensor) -> Outputs:
        """Returns the outputs by name for class probabilities, float (N, classes)."""
        scores, indices = tf.math.top_k(probabilities, k=min(5, len(self.labels)))
        return {
            layout.PROBABILITIES: probabilities,
            layout.CLASSES: tf.gather(self.labels, indices),
            layout.SCORES: scores,
        }

    def text_assets(self) -> Mapping[str, str]:
        """Returns `assets/labels.txt`: the class names, one per line."""
        return {layout.LABELS_ASSET: "\n".join(self._names) + "\n"}


class ExportedClassifier(ProbabilisticClassifier):
    """A Keras classifier, ready for export; the outputs are those of `ProbabilisticClassifier`.

    Args:
        classifier: Keras model from float images in grey levels (N, height, width, channels) to logits (N, classes).
        labels: Class names in index order.

    Example:
        >>> network = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> model = ExportedClassifier(network, ["cat", "dog", "owl"])
        >>> {name: tuple(value.shape) for name, value in model.from_pixels(tf.zeros((1, 2, 2, 1))).items()}
        {'probabilities': (1, 3), 'classes': (1, 3), 'scores': (1, 3)}
    """

    def __init__(self, classifier: keras.Model, labels: Sequence[str]) -> None:
        super().__init__(classifier.input_shape[1:], labels)
        self.attach("classifier", classifier)

    def from_pixels(self, pixels: tf.Tensor) -> Outputs:
        """Classifies images in grey levels, float (N, height, width, channels)."""
        return self.outputs(tf.nn.softmax(tf.cast(self.classifier(pixels, training=False), tf.float32)))
