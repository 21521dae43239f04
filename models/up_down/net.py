"""Untied deep belief net with labels, trained by contrastive wake-sleep ("up-down") through `compile` and `fit`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from models.checks import check_count
from models.fitting.chunks import flatten
from models.fitting.closed_form import ClosedFormModel
from models.rbm import RBM
from models.rbm.statistics import statistics_gap
from models.rbm.units import BernoulliUnits
from models.types import DirectedLayer, Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class UpDownNet(ClosedFormModel):
    """Directed layers with separate recognition and generative weights, below an RBM of features and labels.

    The model of images x and labels y is p(x, y) = sum_h p(x | h1) p(h1 | h2) ... p(hL, y): the top RBM's joint
    distribution of the highest features hL and the label, then directed layers downwards with the generative weights.
    The recognition weights go upwards and approximate the posterior.

    **Samples and probabilities** in an update, from an image x and its label y:

    | statistic | value |
    |---|---|
    | x | the data; values between 0 and 1 are probabilities |
    | wake: features s1, s2, ... going up | sampled |
    | wake: top hidden units in the positive statistics | sampled |
    | Gibbs: features and top hidden units of every step, including the last | sampled |
    | Gibbs: label of every step, and in the negative statistics | softmax probabilities |
    | sleep: features z2, z1, ... going down | sampled, and z2 is the last of Gibbs sampling |
    | sleep: image | probabilities |
    | predictions, of both directions, that the delta rule compares | probabilities |
    | classification: going up | probabilities, no sampling |

    **Training.** Generative weights learn to predict the wake states from the layer above, recognition weights the
    sleep states from the layer below, and the top RBM is trained by contrastive divergence of `gibbs_steps` steps; all
    by averages over the minibatch. The logs hold `reconstruction_error`: squared error per image, summed over its
    pixels, of x against its prediction from s1.

    Args:
        hidden_units: Units per hidden layer, bottom up, at least two layers; the last are those of the top RBM.
        num_classes: Number of labels, at least 2.
        gibbs_steps: Gibbs steps in the top RBM, at least 1.
        minibatch_size: Images per update when `fit` receives larger batches; None means one update per batch.
        seed: Integer that determines all sampling; None means a random one.
        **kwargs: `name` and `dtype` of the model.

    `fit` requires images (batch, ...) in [0, 1], which are flattened row by row, and integer labels (batch,). Called on
    images, the net returns logits (batch, num_classes): minus the free energy by label, in nats.

    Raises:
        ValueError: There are fewer than two layers, or a number is out of its range.

    Example:
        >>> net = UpDownNet(hidden_units=(3, 2), num_classes=2, seed=1)
        >>> net.compile()
        >>> history = net.fit(np.eye(4), np.array([0, 1, 0, 1]), verbose=0)  # doctest: +SKIP
        >>> tuple(net(np.eye(4)).shape)
        (4, 2)

    Source: Hinton, Osindero & Teh, A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18 (2006),
    section 5 and appendix B, without its misprints (its `postopprobs` are `waketopprobs`, its `poshidstates`
    `wakehidstates`).
    """

    error_name = "reconstruction_error"
    requires_labels = True

    def __init__(
        self,
        hidden_units: Sequence[int],
        num_classes: int,
        gibbs_steps: int = 3,
        minibatch_size: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(minibatch_size=minibatch_size, seed=seed, **kwargs)
        if len(hidden_units) < 2:
            raise ValueError(
                "a net with directed layers has at least two hidden layers; for one, use RBM(label_units=...); "
                f"received hidden_units={tuple(hidden_units)}"
            )
        check_count("num_classes", num_classes, least=2)
        check_count("gibbs_steps", gibbs_steps)
        self.hidden_units = tuple(hidden_units)
        self.num_classes = num_classes
        self.gibbs_steps = gibbs_steps
        self.top = RBM(self.hidden_units[-1], label_units=num_classes, seed=seed, dtype=self.dtype_policy, name="top")

    def build(self, input_shape: Shape) -> None:
        """Creates the weights for images of shape (batch, ...)."""
        units = (int(np.prod(input_shape[1:])), *self.hidden_units[:-1])
        self.recognition = [self._add_layer("recognition", i, units[i], units[i + 1]) for i in range(len(units) - 1)]
        self.generative = [self._add_layer("generative", i, units[i + 1], units[i]) for i in range(len(units) - 1)]
        self.top.build((None, units[-1] + self.num_classes))
        self.built = True

    def _add_layer(self, direction: str, number: int, inputs: int, outputs: int) -> DirectedLayer:
        start = keras.initializers.RandomNormal(stddev=0.1, seed=self.seed)
        kernel = self.add_weight((inputs, outputs), start, name=f"{direction}_kernel_{number}")
        return kernel, self.add_weight((outputs,), "zeros", name=f"{direction}_bias_{number}")

    def call(self, images: Tensor) -> Tensor:
        """Returns logits of the labels, (batch, num_classes); see `models.up_down.LabelDBN.free_energy_by_label`."""
        states = self._tensor(flatten(images))
        for layer in self.recognition:
            states = probabilities(states, layer)
        return -self.top.free_energy_by_label(states)

    def set_gibbs_steps(self, steps: int) -> None:
        """Changes `gibbs_steps`, also between epochs of a running `fit`: the step is traced again, in a few seconds."""
        self.gibbs_steps = steps
        self.make_train_function(force=True)

    # Training ----------------------------------------------------------------------------------------------------

    def gradients(self, images: Tensor, labels: Tensor, training: bool = True) -> tuple[list[Tensor], Tensor]:
        """Computes minus the updates of a minibatch, and its reconstruction errors.

        Args:
            images: Shape (batch, ...).
            labels: Shape (batch,).
            training: Ignored: the net has no state that persists between updates.

        Returns:
            See `ClosedFormModel.gradients`.
        """
        wake = [flatten(images)]
        for layer in self.recognition:
            wake.append(self.draw(probabilities(wake[-1], layer)))
        top, features = self._contrastive_divergence(wake[-1], labels)
        sleep = self._sleep_states(features)
        recognition = [_delta_rule(sleep[i], sleep[i + 1], layer) for i, layer in enumerate(self.recognition)]
        generative = [_delta_rule(wake[i + 1], wake[i], layer) for i, layer in enumerate(self.generative)]
        gradients = [gradient for kernel, bias, _ in (*recognition, *generative) for gradient in (kernel, bias)]
        return [*gradients, *top], ops.sum(ops.square(generative[0][-1]), axis=-1)

    def draw(self, mean: Tensor) -> Tensor:
        """Draws binary states with probabilities `mean`, same shape, from the net's own random stream."""
        return BernoulliUnits.sample(mean, self.seed_generator)

    def _contrastive_divergence(self, features: Tensor, labels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the gradients of the top RBM, and the last features of Gibbs sampling, (batch, units)."""
        labels = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), self.num_classes, dtype=features.dtype)
        visible = negative = ops.concatenate([features, labels], axis=-1)
        hidden = negative_hidden = self.draw(self.top.hidden_probabilities(visible))
        for _ in range(self.gibbs_steps):
            mean = self.top.visible_probabilities(negative_hidden)
            features, labels = self.draw(mean[:, : -self.num_classes]), mean[:, -self.num_classes :]
            negative = ops.concatenate([features, labels], axis=-1)
            negative_hidden = self.draw(self.top.hidden_probabilities(negative))
        return statistics_gap(BernoulliUnits(), visible, hidden, negative, negative_hidden), features

    def _sleep_states(self, features: Tensor) -> list[Tensor]:
        """Returns the states of one pass down from the highest features, bottom up; the image as probabilities."""
        states = [features]
        for layer in self.generative[:0:-1]:
            states.append(self.draw(probabilities(states[-1], layer)))
        return [probabilities(states[-1], self.generative[0]), *reversed(states)]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        keys = ("hidden_units", "num_classes", "gibbs_steps", "minibatch_size", "seed")
        return super().get_config() | {key: getattr(self, key) for key in keys}


def probabilities(states: Tensor, layer: DirectedLayer) -> Tensor:
    """Returns the probabilities that the units of a directed layer are 1, given its input states (batch, inputs)."""
    kernel, bias = layer
    return ops.sigmoid(ops.matmul(states, kernel) + bias)


def _delta_rule(states: Tensor, targets: Tensor, layer: DirectedLayer) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of the mean cross-entropy for kernel and bias, and prediction minus target."""
    misses = probabilities(states, layer) - targets
    scaled = misses / ops.cast(ops.shape(misses)[0], misses.dtype)
    return ops.matmul(ops.transpose(states), scaled), ops.sum(scaled, axis=0), misses
