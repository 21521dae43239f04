"""Visible units on the way from independent ones, the base rate, at beta 0 to those of a machine at beta 1."""

import keras
import numpy as np
from keras import ops


class BinaryPath:
    """Binary visible units, the last `labels` of them one softmax group, whose biases go from one set to another.

    Args:
        base_bias: Biases at beta 0, shape (num_visible,), float64.
        bias: Biases at beta 1, same shape.
        labels: Size of the softmax group; 0 for none.
        dtype: Of the chains.
    """

    def __init__(self, base_bias, bias, labels, dtype):
        binary = len(bias) - labels
        self.base_log_partition = np.sum(np.logaddexp(0, base_bias[:binary]))
        if labels:
            self.base_log_partition += np.logaddexp.reduce(base_bias[binary:])
        self._binary = binary
        self._labels = labels
        self._base_bias = ops.convert_to_tensor(base_bias, dtype=dtype)
        self._change = ops.convert_to_tensor(bias - base_bias, dtype=dtype)

    @staticmethod
    def noise(shape, dtype, seed):
        """Random numbers that `draw` turns into states."""
        return keras.random.uniform(shape, dtype=dtype, seed=seed)

    def energy_fall(self, states):
        """E_A - E_B in nats: shape (chains, num_visible) -> (chains,)."""
        return ops.matmul(states, self._change)

    def draw(self, inputs, beta, noise):
        """States at `beta`, given the input from the hidden units; all of shape (chains, num_visible)."""
        log_odds = self._base_bias + beta * (self._change + inputs)
        if not self._labels:
            return ops.cast(noise < ops.sigmoid(log_odds), noise.dtype)
        states = ops.cast(noise[:, : self._binary] < ops.sigmoid(log_odds[:, : self._binary]), noise.dtype)
        gumbel = -ops.log(-ops.log(noise[:, self._binary :]))  # the largest sum is a draw from the softmax
        drawn = ops.argmax(log_odds[:, self._binary :] + gumbel, axis=-1)
        return ops.concatenate([states, ops.one_hot(drawn, self._labels, dtype=noise.dtype)], axis=-1)


class GaussianPath:
    """Gaussian visible units whose energy (v - mean)^2 / (2 variance) goes from one mean and variance to another.

    Args:
        base_mean, base_variance: At beta 0, shape (num_visible,), float64.
        mean, variance: At beta 1, same shape.
        dtype: Of the chains.
    """

    def __init__(self, base_mean, base_variance, mean, variance, dtype):
        self.base_log_partition = 0.5 * np.sum(np.log(2 * np.pi * base_variance))
        self._base_mean, self._base_precision, self._mean, self._precision = (
            ops.convert_to_tensor(values, dtype=dtype) for values in (base_mean, 1 / base_variance, mean, 1 / variance)
        )

    @staticmethod
    def noise(shape, dtype, seed):
        """Random numbers that `draw` turns into states."""
        return keras.random.normal(shape, dtype=dtype, seed=seed)

    def energy_fall(self, states):
        """E_A - E_B in nats: shape (chains, num_visible) -> (chains,)."""
        base = self._base_precision * ops.square(states - self._base_mean)
        return 0.5 * ops.sum(base - self._precision * ops.square(states - self._mean), axis=-1)

    def draw(self, inputs, beta, noise):
        """States at `beta`, given the input from the hidden units; all of shape (chains, num_visible)."""
        base_precision, own_precision = (1 - beta) * self._base_precision, beta * self._precision
        precision = base_precision + own_precision
        linear = base_precision * self._base_mean + own_precision * self._mean + beta * inputs
        return linear / precision + noise / ops.sqrt(precision)
