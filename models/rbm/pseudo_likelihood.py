"""Pseudo-log-likelihood of an RBM: how well it predicts each binary visible unit from all others."""

from collections.abc import Callable

import keras
from keras import ops

from models.types import Tensor

UNITS_AT_ONCE = 16  # switched together: 3 MB per 100 images with 500 hidden units in float32


def pseudo_log_likelihood(rbm: keras.Model, visible: Tensor, log_sum: Callable[[Tensor], Tensor]) -> Tensor:
    """Computes `models.rbm.RBM.pseudo_log_likelihood`, with `log_sum` as in `log_odds`."""
    binary = visible.shape[1] - rbm.label_units
    states, labels = visible[:, :binary], visible[:, binary:]
    kernel, biases = rbm.kernel[:binary], rbm.visible_bias[:binary]
    odds = log_odds(states, ops.matmul(visible, rbm.kernel), kernel, biases, log_sum)
    total = bernoulli_log_probability(states, odds)
    if rbm.label_units:
        total = total + ops.sum(labels * ops.log_softmax(-rbm.free_energy_by_label(states)), axis=1)
    return total


def log_odds(
    states: Tensor, inputs: Tensor, kernel: Tensor, biases: Tensor, log_sum: Callable[[Tensor], Tensor]
) -> Tensor:
    """Computes log p(v_i = 1 | all other units) - log p(v_i = 0 | all other units) of every binary unit i, in nats.

    Args:
        states: Binary units, shape (batch, units); values between 0 and 1 are probabilities.
        inputs: Input of the hidden units from all visible units together, shape (batch, hidden_units).
        kernel: Weights of the binary units, shape (units, hidden_units).
        biases: Biases of the binary units, shape (units,).
        log_sum: Function of hidden inputs (batch, n, hidden_units), without biases, that returns the log of the sum
            over all hidden states, shape (batch, n).

    Returns:
        Shape (batch, units).
    """
    odds = []
    for start in range(0, states.shape[1], UNITS_AT_ONCE):
        some = slice(start, start + UNITS_AT_ONCE)
        off = ops.expand_dims(inputs, 1) - ops.expand_dims(states[:, some], 2) * kernel[some]
        odds.append(biases[some] + log_sum(off + kernel[some]) - log_sum(off))
    return ops.concatenate(odds, axis=1)


def bernoulli_log_probability(states: Tensor, odds: Tensor) -> Tensor:
    """Sums s log p + (1 - s) log(1 - p) over units, where `odds` is log(p / (1 - p)): (batch, units) -> (batch,)."""
    return -ops.sum(states * ops.softplus(-odds) + (1 - states) * ops.softplus(odds), axis=1)
