"""Statistics of data and model that an RBM is trained on, their centering, and sparsity."""

import keras
from keras import ops

from models.rbm.units import GaussianUnits, VisibleUnits
from models.types import Tensor

CENTERING_RATE = 0.01  # of the moving averages of the offsets; recommended by Melchior et al. 2016
SPARSITY_DECAY = 0.9  # of the moving average of the hidden activities; the practical guide recommends 0.9 to 0.99


def statistics_gap(
    units: VisibleUnits, visible: Tensor, hidden: Tensor, negative: Tensor, negative_hidden: Tensor
) -> list[Tensor]:
    """Subtracts the data's statistics from the model's: the gradients of kernel, visible and hidden biases to descend.

    Args:
        units: Kind of visible units, see `models.rbm.units`.
        visible: Data, shape (batch, num_visible).
        hidden: Hidden means of the data, shape (batch, hidden_units).
        negative: Visible states of the model, shape (chains, num_visible).
        negative_hidden: Hidden means of those states, shape (chains, hidden_units).

    Returns:
        A list of three tensors: (num_visible, hidden_units), (num_visible,), (hidden_units,).
    """
    count, negative_count = (ops.cast(ops.shape(states)[0], hidden.dtype) for states in (visible, negative))
    weighted = [hidden * (-1 / count), negative_hidden * (1 / negative_count)]
    states = ops.concatenate([visible, negative])  # one product of both: a tenth faster than two and a difference
    of_bias = units.bias_statistic
    return [
        ops.matmul(ops.transpose(units.coupled(states)), ops.concatenate(weighted)),
        ops.mean(of_bias(negative), axis=0) - ops.mean(of_bias(visible), axis=0),
        ops.sum(weighted[0], axis=0) + ops.sum(weighted[1], axis=0),
    ]


def variance_gap(
    units: GaussianUnits, biases: Tensor, visible: Tensor, inputs: Tensor, negative: Tensor, negative_inputs: Tensor
) -> Tensor:
    """Computes the same gap for the log-variance of Gaussian visible units: shape (num_visible,).

    Args:
        units: Gaussian visible units.
        biases: Their biases, shape (num_visible,).
        visible: Data, shape (batch, num_visible).
        inputs: Input of the visible units from the hidden means of the data, same shape.
        negative: Visible states of the model, shape (chains, num_visible).
        negative_inputs: Input of the visible units from the hidden means of those states, same shape.
    """
    of_model = ops.mean(units.variance_statistic(negative, negative_inputs, biases), axis=0)
    return of_model - ops.mean(units.variance_statistic(visible, inputs, biases), axis=0)


def with_sparsity(
    rbm: keras.Model, gradients: list[Tensor], mean_input: Tensor, mean_hidden: Tensor, training: bool
) -> list[Tensor]:
    """Adds cost x (activity - target) to the gradient of the hidden biases and, times the mean input, of the kernel.

    Args:
        rbm: The `models.rbm.RBM`; its `activity`, a moving average, is updated if `training`.
        gradients: Gradients of kernel, visible and hidden biases, and possibly more.
        mean_input: Mean input of the hidden units over the minibatch of data, shape (num_visible,).
        mean_hidden: Mean of the hidden probabilities, shape (hidden_units,).
        training: Whether this is an update.

    Returns:
        The list of gradients.

    Source: Hinton, A Practical Guide to Training Restricted Boltzmann Machines (2010), section 11.
    """
    activity = SPARSITY_DECAY * ops.convert_to_tensor(rbm.activity) + (1 - SPARSITY_DECAY) * mean_hidden
    if training:
        rbm.activity.assign(activity)
    excess = rbm.sparsity_cost * (activity - rbm.sparsity_target)
    kernel, visible_bias, hidden_bias, *rest = gradients
    return [kernel + ops.expand_dims(mean_input, 1) * excess, visible_bias, hidden_bias + excess, *rest]


def centered(gradients: list[Tensor], of_visible: Tensor, of_hidden: Tensor) -> list[Tensor]:
    """Returns the gradients about offsets m and l, converted to the weights of the uncentered RBM.

    With dW = <(v - m)(h - l)'> that is da = <v> - dW l and db = <h> - dW' m, each model minus data. Momentum, being
    linear, preserves the invariance when a unit's 0 and 1 are swapped; a weight cost does not, since it shrinks the
    kernel with the biases held fixed instead of the inputs at the offsets.

    Args:
        gradients: Gradients of kernel, visible and hidden biases.
        of_visible: m, shape (num_visible,).
        of_hidden: l, shape (hidden_units,).

    Returns:
        The list of the three gradients.

    Source: Melchior, Fischer & Wiskott, How to Center Deep Boltzmann Machines, JMLR 17 (2016), section 3.
    """
    kernel, visible_bias, hidden_bias = gradients
    kernel = kernel - ops.expand_dims(of_visible, 1) * hidden_bias - ops.expand_dims(visible_bias, 1) * of_hidden
    return [kernel, visible_bias - ops.matmul(kernel, of_hidden), hidden_bias - ops.matmul(of_visible, kernel)]


def updated_offset(offset: Tensor, states: Tensor, gap: Tensor, centering: str) -> Tensor:
    """Moves an offset towards the mean of the data or, "enhanced", towards the average of data's and model's means.

    Args:
        offset: Current offset, shape (units,).
        states: Data, or their hidden probabilities, shape (batch, units).
        gap: Mean of the model minus mean of the data, from `statistics_gap`, without any sparsity: shape (units,).
        centering: "data" or "enhanced".

    Returns:
        The new offset, shape (units,).
    """
    share = 0.5 if centering == "enhanced" else 0.0
    return offset + CENTERING_RATE * (ops.mean(states, axis=0) + share * gap - offset)
