"""The SavedModel of an average: several served classifiers in one, which answers the mean of their probabilities."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from components.export import layout
from components.export.classifier import ProbabilisticClassifier


class AveragedClassifier(ProbabilisticClassifier):
    """The answers of a classifier, from the mean of its members' probabilities.

    Every member is asked through its own signatures, which bring their preprocessing with them, so members may differ
    in network and in image size. The signatures are those that all members have; `pixels` is one of them where all
    take images of one shape. Exported, the model holds the members' graphs and weights: it no longer needs theirs.

    Args:
        folders: SavedModels of classifiers with the same labels, at least one.
        labels: their class names in index order.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 6: five nets averaged, 40.7 -> 38.1 % top-1.
    """

    def __init__(self, folders: Sequence[Path], labels: Sequence[str]) -> None:
        members = [tf.saved_model.load(str(folder)) for folder in folders]
        shapes = [_pixels_shape(member) for member in members]
        super().__init__(shapes[0], labels)
        common = set.intersection(*(set(member.signatures) for member in members))
        self._common = common if len(set(shapes)) == 1 else common - {layout.PIXELS}
        # The members themselves stay untracked: each has a labels.txt among its assets, and one is enough.
        object.__setattr__(self, "_members", members)
        self.weights = list({id(variable): variable for m in members for variable in _variables(m)}.values())

    def signature_functions(self) -> dict[str, tuple[str, Callable]]:
        """By signature that all members have, its input and what computes its answers."""
        every = super().signature_functions() | {
            layout.TEN_CROPS: (layout.BYTES, self.from_bytes_in_ten_crops),
            layout.TEN_CROP_EXAMPLES: (layout.EXAMPLES, self.from_examples_in_ten_crops),
        }
        return {name: every[name] for name in every if name in self._common}

    def from_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded JPEG, PNG, GIF or BMP files, string (N,)."""
        return self._mean(layout.SERVING_DEFAULT, image_bytes)

    def from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples with the feature `image`, string (N,)."""
        return self._mean(layout.EXAMPLES, examples)

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels)."""
        return self._mean(layout.PIXELS, pixels)

    def from_bytes_in_ten_crops(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded files, string (N,); each member averages its ten crops."""
        return self._mean(layout.TEN_CROPS, image_bytes)

    def from_examples_in_ten_crops(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples, string (N,); each member averages its ten crops."""
        return self._mean(layout.TEN_CROP_EXAMPLES, examples)

    def member_probabilities(self, signature: str, inputs: tf.Tensor) -> tf.Tensor:
        """The members' own probabilities, float (members, N, classes), for what a signature takes."""
        argument, _ = self.signature_functions()[signature]
        answers = [member.signatures[signature](**{argument: inputs}) for member in self._members]
        return tf.stack([answer[layout.PROBABILITIES] for answer in answers])

    def _mean(self, signature: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.outputs(tf.reduce_mean(self.member_probabilities(signature, inputs), axis=0))


def _pixels_shape(model: tf.Module) -> tuple[int, int, int]:
    _, inputs = model.signatures[layout.PIXELS].structured_input_signature
    return tuple(inputs[layout.PIXELS].shape[1:])


def _variables(model: tf.Module) -> list[tf.Variable]:
    return [variable for signature in model.signatures.values() for variable in signature.variables]
