"""How well a restricted Boltzmann machine tells each binary visible unit from all the others."""

from keras import ops

UNITS_AT_ONCE = 16  # switched together: 3 MB per 100 images with 500 hidden units in float32


def pseudo_log_likelihood(rbm, visible, log_sum):
    """What `models.rbm.RBM.pseudo_log_likelihood` returns, from `log_sum` as in `log_odds`."""
    binary = visible.shape[1] - rbm.label_units
    states, labels = visible[:, :binary], visible[:, binary:]
    kernel, biases = rbm.kernel[:binary], rbm.visible_bias[:binary]
    odds = log_odds(states, ops.matmul(visible, rbm.kernel), kernel, biases, log_sum)
    total = log_probability(states, odds)
    if rbm.label_units:
        total = total + ops.sum(labels * ops.log_softmax(-rbm.free_energy_by_label(states)), axis=1)
    return total


def log_odds(states, inputs, kernel, biases, log_sum):
    """Log p(v_i = 1 | all other units) - log p(v_i = 0 | all other units) of every binary unit i, in nats.

    Args:
        states: The binary units, shape (batch, units); values between 0 and 1 stand for probabilities.
        inputs: What all visible units together send to the hidden ones, shape (batch, hidden_units).
        kernel: Weights of the binary units, shape (units, hidden_units).
        biases: Their biases, shape (units,).
        log_sum: Function of hidden inputs (batch, n, hidden_units), biases not added yet, that returns the log of the
            sum over all hidden states, shape (batch, n).

    Returns:
        Shape (batch, units).
    """
    odds = []
    for start in range(0, states.shape[1], UNITS_AT_ONCE):
        some = slice(start, start + UNITS_AT_ONCE)
        off = ops.expand_dims(inputs, 1) - ops.expand_dims(states[:, some], 2) * kernel[some]
        odds.append(biases[some] + log_sum(off + kernel[some]) - log_sum(off))
    return ops.concatenate(odds, axis=1)


def log_probability(states, odds):
    """Sum over units of s log p + (1 - s) log(1 - p), where `odds` is log(p / (1 - p)): (batch, units) -> (batch,)."""
    return -ops.sum(states * ops.softplus(-odds) + (1 - states) * ops.softplus(odds), axis=1)
