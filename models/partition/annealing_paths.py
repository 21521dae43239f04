"""Visible units along the annealing path, from independent units (the base rate) at beta 0 to an RBM's at beta 1.

A path has `base_log_partition` (log of the partition function of the base rate's visible units, nats), `noise`,
`energy_fall` and `draw`.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.types import Tensor


class BinaryPath:
    """Path of binary visible units, the last `labels` of them one softmax group, between two sets of biases.

    Args:
        base_bias: Biases at beta 0, shape (num_visible,), float64.
        bias: Biases at beta 1, same shape.
        labels: Size of the softmax group; 0 for none.
        dtype: Type of the chains' states.

    Example:
        >>> path = BinaryPath(np.zeros(2), np.ones(2), labels=0, dtype="float32")
        >>> round(float(path.base_log_partition / np.log(2)), 6)  # four states of equal probability
        2.0
    """

    def __init__(self, base_bias: np.ndarray, bias: np.ndarray, labels: int, dtype: str) -> None:
        binary = len(bias) - labels
        self.base_log_partition = np.sum(np.logaddexp(0, base_bias[:binary]))
        if labels:
            self.base_log_partition += np.logaddexp.reduce(base_bias[binary:])
        self._binary = binary
        self._labels = labels
        self._base_bias = ops.convert_to_tensor(base_bias, dtype=dtype)
        self._change = ops.convert_to_tensor(bias - base_bias, dtype=dtype)

    @staticmethod
    def noise(shape: Any, dtype: str, seed: keras.random.SeedGenerator) -> Tensor:
        """Returns the random numbers that `draw` turns into states."""
        return keras.random.uniform(shape, dtype=dtype, seed=seed)

    def energy_fall(self, states: Tensor) -> Tensor:
        """Returns E_A - E_B in nats: shape (chains, num_visible) -> (chains,)."""
        return ops.matmul(states, self._change)

    def draw(self, inputs: Tensor, beta: Any, noise: Tensor) -> Tensor:
        """Draws states at `beta`, given the inputs from the hidden units; all of shape (chains, num_visible)."""
        log_odds = self._base_bias + beta * (self._change + inputs)
        if not self._labels:
            return ops.cast(noise < ops.sigmoid(log_odds), noise.dtype)
        states = ops.cast(noise[:, : self._binary] < ops.sigmoid(log_odds[:, : self._binary]), noise.dtype)
        gumbel = -ops.log(-ops.log(noise[:, self._binary :]))  # the largest sum is a draw from the softmax
        drawn = ops.argmax(log_odds[:, self._binary :] + gumbel, axis=-1)
        return ops.concatenate([states, ops.one_hot(drawn, self._labels, dtype=noise.dtype)], axis=-1)


class GaussianPath:
    """Path of Gaussian visible units, energy (v - mean)^2 / (2 variance), between two sets of means and variances.

    Args:
        base_mean: Means at beta 0, shape (num_visible,), float64.
        base_variance: Variances at beta 0, same shape.
        mean: Means at beta 1, same shape.
        variance: Variances at beta 1, same shape.
        dtype: Type of the chains' states.

    Example:
        >>> path = GaussianPath(np.zeros(2), np.ones(2), np.zeros(2), np.ones(2), dtype="float32")
        >>> round(float(path.base_log_partition), 4)  # log of 2 pi
        1.8379
    """

    def __init__(
        self,
        base_mean: np.ndarray,
        base_variance: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
        dtype: str,
    ) -> None:
        self.base_log_partition = 0.5 * np.sum(np.log(2 * np.pi * base_variance))
        self._base_mean, self._base_precision, self._mean, self._precision = (
            ops.convert_to_tensor(values, dtype=dtype) for values in (base_mean, 1 / base_variance, mean, 1 / variance)
        )

    @staticmethod
    def noise(shape: Any, dtype: str, seed: keras.random.SeedGenerator) -> Tensor:
        """Returns the random numbers that `draw` turns into states."""
        return keras.random.normal(shape, dtype=dtype, seed=seed)

    def energy_fall(self, states: Tensor) -> Tensor:
        """Returns E_A - E_B in nats: shape (chains, num_visible) -> (chains,)."""
        base = self._base_precision * ops.square(states - self._base_mean)
        return 0.5 * ops.sum(base - self._precision * ops.square(states - self._mean), axis=-1)

    def draw(self, inputs: Tensor, beta: Any, noise: Tensor) -> Tensor:
        """Draws states at `beta`, given the inputs from the hidden units; all of shape (chains, num_visible)."""
        base_precision, own_precision = (1 - beta) * self._base_precision, beta * self._precision
        precision = base_precision + own_precision
        linear = base_precision * self._base_mean + own_precision * self._mean + beta * inputs
        return linear / precision + noise / ops.sqrt(precision)
