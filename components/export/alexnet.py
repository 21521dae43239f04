"""SavedModel of an AlexNet: one crop by default, ten on demand."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from components import features
from components.export import layout
from components.export.classifier import ExportedClassifier
from components.export.exported_model import Outputs
from components.input_pipeline import preprocessing
from components.input_pipeline.crops import ten_crops


class ExportedAlexNet(ExportedClassifier):
    """An AlexNet that classifies the central crop of an image, or averages ten crops.

    The signatures `ten_crops` (encoded images) and `ten_crop_examples` (tf.Examples) average the probabilities of the
    four corners, the centre and their mirror images, as the paper's results do. They cost ten times the computation.

    Args:
        classifier: Keras model from float images in grey levels (N, height, width, channels) to logits (N, classes);
            its last layer is the network behind the crop.
        labels: Class names in index order.

    Example:
        >>> network = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> cropped = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.CenterCrop(2, 2), network])
        >>> list(ExportedAlexNet(cropped, ["cat", "dog", "owl"]).signature_functions())
        ['serving_default', 'examples', 'pixels', 'ten_crops', 'ten_crop_examples']

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1.
    """

    def __init__(self, classifier: keras.Model, labels: Sequence[str]) -> None:
        super().__init__(classifier, labels)
        network = classifier.layers[-1]
        self._crop = network.input_shape[1:3]
        object.__setattr__(self, "_network", network)  # untracked: its weights are among the classifier's

    def signature_functions(self) -> dict[str, tuple[str, Callable[[tf.Tensor], Outputs]]]:
        """Returns the signatures of every model, and those of ten crops."""
        return super().signature_functions() | {
            layout.TEN_CROPS: (layout.BYTES, self.from_bytes_in_ten_crops),
            layout.TEN_CROP_EXAMPLES: (layout.EXAMPLES, self.from_examples_in_ten_crops),
        }

    def from_bytes_in_ten_crops(self, image_bytes: tf.Tensor) -> Outputs:
        """Computes the outputs for encoded JPEG, PNG, GIF or BMP files, string (N,)."""
        images = preprocessing.prepare_batch(image_bytes, self.image_size, self.channels)
        crops = ten_crops(tf.cast(images, tf.float32), self._crop)
        logits = tf.cast(self._network(crops, training=False), tf.float32)
        probabilities = tf.reshape(tf.nn.softmax(logits), (-1, 10, len(self.labels)))
        return self.outputs(tf.reduce_mean(probabilities, axis=1))

    def from_examples_in_ten_crops(self, examples: tf.Tensor) -> Outputs:
        """Computes the outputs for serialized tf.Examples with the feature `image`, string (N,)."""
        parsed = tf.io.parse_example(examples, {features.IMAGE: tf.io.FixedLenFeature((), tf.string)})
        return self.from_bytes_in_ten_crops(parsed[features.IMAGE])
