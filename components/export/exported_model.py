"""Base class of all exported models: one preprocessing, three signatures."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from components import features
from components.export import layout
from components.input_pipeline import preprocessing

Outputs = dict[str, tf.Tensor]


class ExportedModel(tf.Module):
    """A model with its preprocessing, ready for `tf.saved_model.save`; subclasses define the outputs in `from_pixels`.

    | signature | input |
    |---|---|
    | `serving_default` | `image_bytes`, string (N,): encoded JPEG, PNG, GIF or BMP files |
    | `examples` | `examples`, string (N,): serialized tf.Examples with the feature `image` |
    | `pixels` | `pixels`, float (N, height, width, channels): images in grey levels |

    Args:
        input_shape: Shape of the images, (height, width, channels).
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        height, width, self.channels = input_shape
        self.image_size = (height, width)
        self.assets: list[tf.saved_model.Asset] = []

    def attach(self, name: str, model: keras.Model) -> None:
        """Sets a Keras model as the attribute `name`, and tracks its weights as the variables to save.

        A Keras variable that is saved as such is written twice: the signatures read one copy, and the restore operation
        of the graph fills the other. `tf.saved_model.load` copes with that; TensorFlow Serving, which runs the graph,
        fails with "Could not find variable". So the model is hidden from tracking, and the TensorFlow variables behind
        its weights are tracked in its place. An optimizer's slots, twice the weights, are not saved.
        """
        object.__setattr__(self, name, model)
        self.weights = [variable.value for variable in model.variables]

    def signature_functions(self) -> dict[str, tuple[str, Callable[[tf.Tensor], Outputs]]]:
        """Returns, for each signature, the name of its input and the function that computes its outputs."""
        return {
            layout.SERVING_DEFAULT: (layout.BYTES, self.from_bytes),
            layout.EXAMPLES: (layout.EXAMPLES, self.from_examples),
            layout.PIXELS: (layout.PIXELS, self.from_pixels),
        }

    def signatures(self) -> dict[str, Any]:
        """Returns the concrete functions for `tf.saved_model.save`, by signature."""
        specs = {
            layout.BYTES: tf.TensorSpec((None,), tf.string, layout.BYTES),
            layout.EXAMPLES: tf.TensorSpec((None,), tf.string, layout.EXAMPLES),
            layout.PIXELS: tf.TensorSpec((None, *self.image_size, self.channels), tf.float32, layout.PIXELS),
        }
        return {
            name: tf.function(function).get_concrete_function(**{argument: specs[argument]})
            for name, (argument, function) in self.signature_functions().items()
        }

    def from_bytes(self, image_bytes: tf.Tensor) -> Outputs:
        """Computes the outputs for encoded JPEG, PNG, GIF or BMP files, string (N,)."""
        images = preprocessing.prepare_batch(image_bytes, self.image_size, self.channels)
        return self.from_pixels(tf.cast(images, tf.float32))

    def from_examples(self, examples: tf.Tensor) -> Outputs:
        """Computes the outputs for serialized tf.Examples with the feature `image`, string (N,)."""
        parsed = tf.io.parse_example(examples, {features.IMAGE: tf.io.FixedLenFeature((), tf.string)})
        return self.from_bytes(parsed[features.IMAGE])

    def from_pixels(self, pixels: tf.Tensor) -> Outputs:
        """Computes the outputs by name for images in grey levels, float (N, height, width, channels)."""
        raise NotImplementedError

    def text_assets(self) -> Mapping[str, str]:
        """Returns the text files of `assets/`, by their path within the SavedModel's folder."""
        return {}
