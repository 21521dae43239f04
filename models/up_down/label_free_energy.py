"""Classification by the free energy of a machine with label units: the layer, and the model that ends in it."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("vision_tfx")
class LabelFreeEnergy(keras.layers.Layer):
    """By how much each label lowers the free energy of features: logits whose softmax is p(label | features), exactly.

    That of label l is F(features, no label) - F(features, l). What all labels have in common is left out unit by unit:
    sums over 2,000 hidden units of some hundred nats, rounded in float32, made probabilities differ by 1.3e-5 between
    batches of one image and of many; without it they differ by 1.6e-6.

    Its weights are those of a `models.rbm.RBM` with `label_units`, in the same order and shapes.

    Args:
        hidden_units: Hidden units of the machine.
        num_classes: Its label units.
        **kwargs: What every layer takes.

    Shapes:
        (batch, features) -> (batch, num_classes), in nats.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 6.2.
    """

    def __init__(self, hidden_units, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = hidden_units
        self.num_classes = num_classes

    def build(self, input_shape):
        """Makes the weights for features of shape (batch, features)."""
        visible = input_shape[-1] + self.num_classes
        self.kernel = self.add_weight((visible, self.hidden_units), name="kernel")
        self.visible_bias = self.add_weight((visible,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")

    def call(self, features):
        """Logits of the labels."""
        units = features.shape[-1]
        inputs = ops.matmul(features, self.kernel[:units]) + self.hidden_bias
        without = ops.softplus(inputs)
        by_label = [
            ops.sum(ops.softplus(inputs + self.kernel[units + label]) - without, axis=-1)
            for label in range(self.num_classes)
        ]
        return self.visible_bias[units:] + ops.stack(by_label, axis=1)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return super().get_config() | {"hidden_units": self.hidden_units, "num_classes": self.num_classes}


def free_energy_classifier(recognition, top, image_shape=None):
    """Classifier by free energy: logistic layers "h1", "h2", ... and a `LabelFreeEnergy` "logits".

    Args:
        recognition: (kernel, bias) of every logistic layer, bottom up; they are copied.
        top: The `models.rbm.RBM` of features and labels; its weights are copied.
        image_shape: (height, width, channels) of the input, flattened row by row; none means flat input.

    Returns:
        A `keras.Model` from images to logits (batch, label units of `top`).

    Raises:
        ValueError: The image does not fit.
    """
    num_visible = recognition[0][0].shape[0]
    image_shape = image_shape or (num_visible,)
    if np.prod(image_shape) != num_visible:
        raise ValueError(f"Expected an image of {num_visible} values. Received: image_shape={image_shape}")
    inputs = keras.Input(image_shape, name="image")
    states = keras.layers.Flatten(name="visible")(inputs)
    layers = [keras.layers.Dense(b.shape[0], "sigmoid", name=f"h{i}") for i, (_, b) in enumerate(recognition, start=1)]
    layers.append(LabelFreeEnergy(top.hidden_units, top.label_units, name="logits"))
    for layer, weights in zip(layers, [*recognition, (top.kernel, top.visible_bias, top.hidden_bias)], strict=True):
        states = layer(states)
        layer.set_weights([weight.numpy() for weight in weights])
    return keras.Model(inputs, states, name="label_dbn_classifier")
