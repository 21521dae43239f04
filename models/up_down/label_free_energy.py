"""Classification by the free energy of an RBM with label units: the layer, and the classifier that ends in it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from models.dbn import flat_input
from models.rbm import RBM
from models.types import DirectedLayer, Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class LabelFreeEnergy(keras.layers.Layer):
    """Decrease of the free energy of features by each label: logits whose softmax is exactly p(label | features).

    The logit of label l is F(features, no label) - F(features, l). Terms that all labels share are cancelled unit by
    unit: sums over 2,000 hidden units of some hundred nats, rounded in float32, made probabilities differ by 1.3e-5
    between batches of one image and of many; with the cancellation they differ by 1.6e-6.

    Its weights are those of a `models.rbm.RBM` with `label_units`, in the same order and shapes.

    Args:
        hidden_units: Number of hidden units of the RBM.
        num_classes: Number of label units of the RBM.
        **kwargs: Further arguments of every layer.

    Shapes:
        (batch, features) -> (batch, num_classes), in nats.

    Example:
        >>> layer = LabelFreeEnergy(hidden_units=2, num_classes=3)
        >>> tuple(layer(ops.zeros((4, 5))).shape)
        (4, 3)

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 6.2.
    """

    def __init__(self, hidden_units: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_units = hidden_units
        self.num_classes = num_classes

    def build(self, input_shape: Shape) -> None:
        """Creates the weights for features of shape (batch, features)."""
        visible = input_shape[-1] + self.num_classes
        self.kernel = self.add_weight((visible, self.hidden_units), name="kernel")
        self.visible_bias = self.add_weight((visible,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")

    def call(self, features: Tensor) -> Tensor:
        """Returns the logits of the labels."""
        units = features.shape[-1]
        inputs = ops.matmul(features, self.kernel[:units]) + self.hidden_bias
        without = ops.softplus(inputs)
        by_label = [
            ops.sum(ops.softplus(inputs + self.kernel[units + label]) - without, axis=-1)
            for label in range(self.num_classes)
        ]
        return self.visible_bias[units:] + ops.stack(by_label, axis=1)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return super().get_config() | {"hidden_units": self.hidden_units, "num_classes": self.num_classes}


def free_energy_classifier(
    recognition: Sequence[DirectedLayer], top: RBM, image_shape: Shape | None = None
) -> keras.Model:
    """Builds the classifier by free energy: logistic layers "h1", "h2", ... and a `LabelFreeEnergy` "logits".

    Args:
        recognition: (kernel, bias) of every logistic layer, bottom up; they are copied.
        top: RBM of features and labels; its weights are copied.
        image_shape: (height, width, channels) of the input, flattened row by row; None means flat input.

    Returns:
        A `keras.Model` from images to logits (batch, label units of `top`).

    Raises:
        ValueError: The image does not fit.
    """
    inputs, states = flat_input(image_shape, recognition[0][0].shape[0])
    layers = [keras.layers.Dense(b.shape[0], "sigmoid", name=f"h{i}") for i, (_, b) in enumerate(recognition, start=1)]
    layers.append(LabelFreeEnergy(top.hidden_units, top.label_units, name="logits"))
    for layer, weights in zip(layers, [*recognition, (top.kernel, top.visible_bias, top.hidden_bias)], strict=True):
        states = layer(states)
        layer.set_weights([weight.numpy() for weight in weights])
    return keras.Model(inputs, states, name="label_dbn_classifier")
