"""The kinds of units of a restricted Boltzmann machine: what a layer does, given the total input to each of its units.

A layer with states s, biases b and input x from the other layer enters the energy as `self_energy(s, b) - s . x`. All
else follows: the conditional of s given the total input b + x, and the log-sum (or integral) over all states.
"""

import math

import keras
from keras import ops


class BernoulliUnits:
    """Binary units in {0, 1}: self energy -b s. Values between 0 and 1 stand for probabilities."""

    @staticmethod
    def self_energy(states, biases):
        """Energy in nats of `states` (batch, units) under `biases` (units,) alone: shape (batch,)."""
        return -ops.matmul(states, biases)

    @staticmethod
    def mean(total_input):
        """Probability that each unit is 1, same shape as `total_input`."""
        return ops.sigmoid(total_input)

    @staticmethod
    def sample(mean, seed):
        """States in {0, 1}, drawn with probabilities `mean`."""
        draw = keras.random.uniform(ops.shape(mean), dtype=mean.dtype, seed=seed)
        return ops.cast(draw < mean, mean.dtype)

    @staticmethod
    def log_sum(total_input, biases):
        """Log of the sum over all states of exp(b s + x s), nats: (batch, units) -> (batch,)."""
        return ops.sum(ops.softplus(total_input), axis=-1)

    @staticmethod
    def biases_for_mean(mean, margin):
        """Biases that make unconnected units have this mean; `margin` bounds it away from 0 and 1."""
        mean = ops.clip(mean, margin, 1 - margin)
        return ops.log(mean) - ops.log1p(-mean)


class GaussianUnits:
    """Real-valued units of variance 1: self energy (s - b)^2 / 2.

    With unit variance the two published couplings, v W h / sigma (Hinton's practical guide, equation 17) and
    v W h / sigma^2 (Cho et al. 2011), are the same. The data must be standardised to match.
    """

    @staticmethod
    def self_energy(states, biases):
        """Energy in nats of `states` (batch, units) under `biases` (units,) alone: shape (batch,)."""
        return 0.5 * ops.sum(ops.square(states - biases), axis=-1)

    @staticmethod
    def mean(total_input):
        """Mean of each unit, same shape as `total_input`."""
        return total_input

    @staticmethod
    def sample(mean, seed):
        """The mean plus noise of variance 1."""
        return mean + keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=seed)

    @staticmethod
    def log_sum(total_input, biases):
        """Log of the integral over all states of exp(-(s - b)^2 / 2 + x s), nats: (batch, units) -> (batch,)."""
        constant = 0.5 * math.log(2 * math.pi)
        return ops.sum(0.5 * (ops.square(total_input) - ops.square(biases)) + constant, axis=-1)

    @staticmethod
    def biases_for_mean(mean, margin):
        """Biases that make unconnected units have this mean: the mean itself."""
        return mean


UNITS = {"bernoulli": BernoulliUnits, "gaussian": GaussianUnits}
