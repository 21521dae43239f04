"""SavedModel of an ensemble: several exported classifiers in one, which returns the mean of their probabilities."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.export import layout
from components.export.classifier import ProbabilisticClassifier
from components.export.exported_model import Outputs


class AveragedClassifier(ProbabilisticClassifier):
    """A classifier whose probabilities are the mean of its members' probabilities.

    Each member runs through its own signatures with its own preprocessing, so members may differ in network and in
    image size. The signatures are those that all members have; `pixels` also requires images of one shape. The exported
    average holds the members' graphs and weights and no longer needs their folders.

    Args:
        folders: Folders of the members' SavedModels, classifiers with the same labels, at least one.
        labels: Class names in index order.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 6: five nets averaged, 40.7 -> 38.1 % top-1.
    """

    def __init__(self, folders: Sequence[Path], labels: Sequence[str]) -> None:
        members = [tf.saved_model.load(str(folder)) for folder in folders]
        shapes = [_pixels_shape(member) for member in members]
        super().__init__(shapes[0], labels)
        common = set.intersection(*(set(member.signatures) for member in members))
        self._common = common if len(set(shapes)) == 1 else common - {layout.PIXELS}
        # The members stay untracked: each has a labels.txt among its assets, and the average needs only one.
        object.__setattr__(self, "_members", members)
        self.weights = list({id(variable): variable for m in members for variable in _variables(m)}.values())

    def signature_functions(self) -> dict[str, tuple[str, Callable[[tf.Tensor], Outputs]]]:
        """Returns the signatures that all members have."""
        every = super().signature_functions() | {
            layout.TEN_CROPS: (layout.BYTES, self.from_bytes_in_ten_crops),
            layout.TEN_CROP_EXAMPLES: (layout.EXAMPLES, self.from_examples_in_ten_crops),
        }
        return {name: every[name] for name in every if name in self._common}

    def from_bytes(self, image_bytes: tf.Tensor) -> Outputs:
        """Computes the outputs for encoded JPEG, PNG, GIF or BMP files, string (N,)."""
        return self._mean(layout.SERVING_DEFAULT, image_bytes)

    def from_examples(self, examples: tf.Tensor) -> Outputs:
        """Computes the outputs for serialized tf.Examples with the feature `image`, string (N,)."""
        return self._mean(layout.EXAMPLES, examples)

    def from_pixels(self, pixels: tf.Tensor) -> Outputs:
        """Computes the outputs for images in grey levels, float (N, height, width, channels)."""
        return self._mean(layout.PIXELS, pixels)

    def from_bytes_in_ten_crops(self, image_bytes: tf.Tensor) -> Outputs:
        """Computes the outputs for encoded files, string (N,); each member averages its ten crops."""
        return self._mean(layout.TEN_CROPS, image_bytes)

    def from_examples_in_ten_crops(self, examples: tf.Tensor) -> Outputs:
        """Computes the outputs for serialized tf.Examples, string (N,); each member averages its ten crops."""
        return self._mean(layout.TEN_CROP_EXAMPLES, examples)

    def member_probabilities(self, signature: str, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the probabilities of each member, float (members, N, classes).

        Args:
            signature: Name of a signature of this model.
            inputs: Value of the signature's input.
        """
        argument, _ = self.signature_functions()[signature]
        outputs = [member.signatures[signature](**{argument: inputs}) for member in self._members]
        return tf.stack([output[layout.PROBABILITIES] for output in outputs])

    def _mean(self, signature: str, inputs: tf.Tensor) -> Outputs:
        return self.outputs(tf.reduce_mean(self.member_probabilities(signature, inputs), axis=0))


def _pixels_shape(model: Any) -> tuple[int, int, int]:
    _, inputs = model.signatures[layout.PIXELS].structured_input_signature
    height, width, channels = inputs[layout.PIXELS].shape[1:]
    return height, width, channels


def _variables(model: Any) -> list[tf.Variable]:
    return [variable for signature in model.signatures.values() for variable in signature.variables]
