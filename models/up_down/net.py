"""The untied deep belief net with labels, trained by contrastive wake-sleep ("up-down") through `compile` and `fit`."""

import keras
import numpy as np
from keras import ops

from models.fitting.chunks import flatten
from models.fitting.closed_form import ClosedFormModel, check_count
from models.rbm import RBM
from models.rbm.statistics import statistics_gap
from models.rbm.units import BernoulliUnits


@keras.saving.register_keras_serializable("vision_tfx")
class UpDownNet(ClosedFormModel):
    """Directed layers with recognition and generative weights of their own, under a machine of features and labels.

    The model of images x and labels y is p(x, y) = sum_h p(x | h1) p(h1 | h2) ... p(hL, y): the top machine's joint
    distribution of the highest features hL and the label, then directed layers downwards with the generative weights.
    The recognition weights go upwards and approximate the posterior.

    **What is sampled and what is a probability** in an update, from an image x and its label y:

    | statistic | taken as |
    |---|---|
    | x | the data; values between 0 and 1 stand for probabilities |
    | wake: features s1, s2, ... going up | sampled |
    | wake: top hidden units in the positive statistics | sampled |
    | Gibbs: features and top hidden units of every step, the last too | sampled |
    | Gibbs: label of every step, and in the negative statistics | softmax probabilities |
    | sleep: features z2, z1, ... going down | sampled, and z2 is the last of Gibbs sampling |
    | sleep: image | probabilities |
    | predictions, of both directions, that the delta rule compares | probabilities |
    | classification: going up | probabilities, nothing sampled |

    **Training.** Generative weights learn to predict the wake states from those above, recognition weights the sleep
    states from those below, the top machine is trained by contrastive divergence of `gibbs_steps` steps; all by
    averages over the minibatch. The logs hold `reconstruction_error`: squared error per image, summed over its pixels,
    of x against its prediction from s1.

    Args:
        hidden_units: Units per hidden layer, bottom up, at least two layers; the last are those of the top machine.
        num_classes: Number of labels, at least 2.
        gibbs_steps: Steps of Gibbs sampling in the top machine, at least 1.
        minibatch_size: Images per update when `fit` gets larger batches; none means one update per batch.
        seed: Integer that decides all sampling; none means a random one.
        **kwargs: `name` and `dtype` of the model.

    Inputs of `fit` are images (batch, ...) in [0, 1], flattened row by row, and integer labels (batch,). Called on
    images, the net gives logits (batch, num_classes): minus the free energy by label, in nats.

    Raises:
        ValueError: Fewer than two layers, or a number out of its range.

    Source: Hinton, Osindero & Teh, A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18 (2006),
    section 5 and appendix B, without its misprints (its `postopprobs` are `waketopprobs`, its `poshidstates`
    `wakehidstates`).
    """

    error_name = "reconstruction_error"
    takes_labels = True

    def __init__(self, hidden_units, num_classes, gibbs_steps=3, minibatch_size=None, seed=None, **kwargs):
        super().__init__(minibatch_size=minibatch_size, seed=seed, **kwargs)
        if len(hidden_units) < 2:
            raise ValueError(
                "A net with directed layers has at least two hidden layers; for one, use RBM(label_units=...). "
                f"Received: hidden_units={tuple(hidden_units)}"
            )
        check_count("num_classes", num_classes, least=2)
        check_count("gibbs_steps", gibbs_steps)
        self.hidden_units = tuple(hidden_units)
        self.num_classes = num_classes
        self.gibbs_steps = gibbs_steps
        self.top = RBM(self.hidden_units[-1], label_units=num_classes, seed=seed, dtype=self.dtype_policy, name="top")

    def build(self, input_shape):
        """Makes the weights for images of shape (batch, ...)."""
        units = (int(np.prod(input_shape[1:])), *self.hidden_units[:-1])
        self.recognition = [self._add_layer("recognition", i, units[i], units[i + 1]) for i in range(len(units) - 1)]
        self.generative = [self._add_layer("generative", i, units[i + 1], units[i]) for i in range(len(units) - 1)]
        self.top.build((None, units[-1] + self.num_classes))
        self.built = True

    def _add_layer(self, direction, number, inputs, outputs):
        start = keras.initializers.RandomNormal(stddev=0.1, seed=self.seed)
        kernel = self.add_weight((inputs, outputs), start, name=f"{direction}_kernel_{number}")
        return kernel, self.add_weight((outputs,), "zeros", name=f"{direction}_bias_{number}")

    def call(self, images):
        """Logits of the labels, shape (batch, num_classes), see `models.up_down.LabelDBN.free_energy_by_label`."""
        states = self._tensor(flatten(images))
        for layer in self.recognition:
            states = probabilities(states, layer)
        return -self.top.free_energy_by_label(states)

    def set_gibbs_steps(self, steps):
        """Changes `gibbs_steps`, between epochs of a running `fit` too: the step is traced anew, in a few seconds."""
        self.gibbs_steps = steps
        self.make_train_function(force=True)

    # Training ----------------------------------------------------------------------------------------------------

    def gradients(self, images, labels, training=True):
        """Minus the updates of a minibatch, images (batch, ...) and labels (batch,), and its reconstruction errors."""
        wake = [flatten(images)]
        for layer in self.recognition:
            wake.append(self.draw(probabilities(wake[-1], layer)))
        top, features = self._contrast(wake[-1], labels)
        sleep = self._dream(features)
        recognition = [_delta(sleep[i], sleep[i + 1], layer) for i, layer in enumerate(self.recognition)]
        generative = [_delta(wake[i + 1], wake[i], layer) for i, layer in enumerate(self.generative)]
        gradients = [gradient for kernel, bias, _ in (*recognition, *generative) for gradient in (kernel, bias)]
        return [*gradients, *top], ops.sum(ops.square(generative[0][-1]), axis=-1)

    def draw(self, mean):
        """Binary states drawn with probabilities `mean`, same shape, from the net's own stream."""
        return BernoulliUnits.sample(mean, self.seed_generator)

    def _contrast(self, features, labels):
        """Gradients of the top machine, and the features where Gibbs sampling ended, (batch, units)."""
        labels = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), self.num_classes, dtype=features.dtype)
        visible = negative = ops.concatenate([features, labels], axis=-1)
        hidden = negative_hidden = self.draw(self.top.hidden_probabilities(visible))
        for _ in range(self.gibbs_steps):
            mean = self.top.visible_probabilities(negative_hidden)
            features, labels = self.draw(mean[:, : -self.num_classes]), mean[:, -self.num_classes :]
            negative = ops.concatenate([features, labels], axis=-1)
            negative_hidden = self.draw(self.top.hidden_probabilities(negative))
        return statistics_gap(BernoulliUnits, visible, hidden, negative, negative_hidden), features

    def _dream(self, features):
        """States of one pass down from the highest features, bottom up as `wake`; the image as probabilities."""
        states = [features]
        for layer in self.generative[:0:-1]:
            states.append(self.draw(probabilities(states[-1], layer)))
        return [probabilities(states[-1], self.generative[0]), *reversed(states)]

    def get_config(self):
        """Returns the arguments of the constructor."""
        keys = ("hidden_units", "num_classes", "gibbs_steps", "minibatch_size", "seed")
        return super().get_config() | {key: getattr(self, key) for key in keys}


def probabilities(states, layer):
    """Probabilities that the units of a directed layer are 1, given the `states` (batch, inputs) that feed it."""
    kernel, bias = layer
    return ops.sigmoid(ops.matmul(states, kernel) + bias)


def _delta(states, targets, layer):
    """Gradient of the mean cross-entropy for kernel and bias, which is the delta rule, and prediction minus target."""
    misses = probabilities(states, layer) - targets
    scaled = misses / ops.cast(ops.shape(misses)[0], misses.dtype)
    return ops.matmul(ops.transpose(states), scaled), ops.sum(scaled, axis=0), misses
