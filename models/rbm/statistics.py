"""Statistics of data and model that training a restricted Boltzmann machine compares, their centering, and sparsity."""

from keras import ops

CENTERING_RATE = 0.01  # of the moving averages of the offsets; Melchior et al. 2016 recommend it
SPARSITY_DECAY = 0.9  # of the moving average of the hidden activities; the practical guide says 0.9 to 0.99


def statistics_gap(units, visible, hidden, negative, negative_hidden):
    """The model's statistics minus the data's: the gradient for kernel, visible and hidden biases, to descend along.

    Args:
        units: The kind of visible units, one of those in `models.rbm.units`.
        visible: Data, shape (batch, num_visible).
        hidden: Their hidden means, shape (batch, hidden_units).
        negative: Visible states of the model, shape (chains, num_visible).
        negative_hidden: Their hidden means, shape (chains, hidden_units).

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


def variance_gap(units, biases, visible, inputs, negative, negative_inputs):
    """The same for the log-variance of Gaussian visible units: shape (num_visible,).

    Args:
        units: The kind of visible units.
        biases: Their biases, shape (num_visible,).
        visible: Data, shape (batch, num_visible).
        inputs: What the hidden means of the data send back, same shape.
        negative: Visible states of the model, shape (chains, num_visible).
        negative_inputs: What their hidden means send back, same shape.
    """
    of_model = ops.mean(units.variance_statistic(negative, negative_inputs, biases), axis=0)
    return of_model - ops.mean(units.variance_statistic(visible, inputs, biases), axis=0)


def with_sparsity(rbm, gradients, mean_input, mean_hidden, training):
    """Adds cost x (activity - target) to the gradients of hidden biases and, times the mean input, of the kernel.

    Args:
        rbm: The machine; its `activity`, a moving average, moves on when `training`.
        gradients: Those for kernel, visible and hidden biases, and whatever follows.
        mean_input: Mean over the minibatch of what hidden units see of the data, shape (num_visible,).
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


def centered(gradients, of_visible, of_hidden):
    """The gradients about offsets m and l, carried over to the weights of the machine as it stands.

    With dW = <(v - m)(h - l)'> that is da = <v> - dW l and db = <h> - dW' m, each model minus data. Momentum, being
    linear, keeps the invariance when a unit's 0 and 1 change places; a weight cost does not, since it shrinks the
    kernel with the biases held instead of the inputs at the offsets.

    Args:
        gradients: Those for kernel, visible and hidden biases.
        of_visible: m, shape (num_visible,).
        of_hidden: l, shape (hidden_units,).

    Returns:
        The list of the three gradients.

    Source: Melchior, Fischer & Wiskott, How to Center Deep Boltzmann Machines, JMLR 17 (2016), section 3.
    """
    kernel, visible_bias, hidden_bias = gradients
    kernel = kernel - ops.expand_dims(of_visible, 1) * hidden_bias - ops.expand_dims(visible_bias, 1) * of_hidden
    return [kernel, visible_bias - ops.matmul(kernel, of_hidden), hidden_bias - ops.matmul(of_visible, kernel)]


def moved_offset(offset, states, gap, centering):
    """An offset drawn towards the mean of the data or, "enhanced", halfway from there to that of the model.

    Args:
        offset: Shape (units,).
        states: Data, or their hidden probabilities, shape (batch, units).
        gap: Mean of the model minus mean of the data, from `statistics_gap`, without any sparsity: shape (units,).
        centering: "data" or "enhanced".

    Returns:
        The new offset, shape (units,).
    """
    share = 0.5 if centering == "enhanced" else 0.0
    return offset + CENTERING_RATE * (ops.mean(states, axis=0) + share * gap - offset)
