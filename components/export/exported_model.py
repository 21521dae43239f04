"""What every exported model has in common: one preprocessing, three signatures."""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from components import features
from components.export import layout
from components.input_pipeline import preprocessing


class ExportedModel(tf.Module):
    """A model with its preprocessing, ready for `tf.saved_model.save`; its kinds say in `from_pixels` what they answer.

    Args:
        input_shape: of the images, (height, width, channels).
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        height, width, self.channels = input_shape
        self.image_size = (height, width)

    def attach(self, name: str, model: keras.Model) -> None:
        """Keeps a Keras model as the attribute `name`, and its weights as what is saved.

        A Keras variable that is saved as such is written twice: the signatures read one copy, and the restore operation
        of the graph fills the other. `tf.saved_model.load` gets along with that; TensorFlow Serving, which runs the
        graph, answers "Could not find variable". So the model is hidden from tracking, and the TensorFlow variables
        behind its weights are tracked in its place. An optimizer's slots, twice the weights, stay behind.
        """
        object.__setattr__(self, name, model)
        self.weights = [variable.value for variable in model.variables]

    def signature_functions(self) -> dict[str, tuple[str, Callable]]:
        """By signature, its input and what computes its answers.

        `serving_default` from encoded images, `examples` from serialized tf.Examples, `pixels` from images.
        """
        return {
            layout.SERVING_DEFAULT: (layout.BYTES, self.from_bytes),
            layout.EXAMPLES: (layout.EXAMPLES, self.from_examples),
            layout.PIXELS: (layout.PIXELS, self.from_pixels),
        }

    def signatures(self) -> dict:
        """The functions as `tf.saved_model.save` takes them."""
        specs = {
            layout.BYTES: tf.TensorSpec((None,), tf.string, layout.BYTES),
            layout.EXAMPLES: tf.TensorSpec((None,), tf.string, layout.EXAMPLES),
            layout.PIXELS: tf.TensorSpec((None, *self.image_size, self.channels), tf.float32, layout.PIXELS),
        }
        return {
            name: tf.function(function).get_concrete_function(**{argument: specs[argument]})
            for name, (argument, function) in self.signature_functions().items()
        }

    def from_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded JPEG, PNG, GIF or BMP files, string (N,)."""
        images = preprocessing.prepare_batch(image_bytes, self.image_size, self.channels)
        return self.from_pixels(tf.cast(images, tf.float32))

    def from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples with the feature `image`, string (N,)."""
        parsed = tf.io.parse_example(examples, {features.IMAGE: tf.io.FixedLenFeature((), tf.string)})
        return self.from_bytes(parsed[features.IMAGE])

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels): the answers by name."""
        raise NotImplementedError

    def text_assets(self) -> Mapping[str, str]:
        """Returns the text files of `assets/`, by their path within the SavedModel's folder."""
        return {}
