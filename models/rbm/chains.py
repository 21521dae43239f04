"""Markov chains for the negative statistics of an RBM: started at the data, persistent, or tempered.

The RBM is a `models.rbm.RBM` or a `models.rbm.conv_rbm.ConvRBM`, whose visible states are images; tempered chains are
those of an `RBM`.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.fitting.loops import fori_loop_with_variables
from models.types import Tensor

LOOP_STEPS = 10  # from this number on, Gibbs steps are a loop in the graph; fewer are unrolled


def gibbs_chain(rbm: keras.Model, visible: Tensor, steps: int) -> Tensor:
    """Returns the visible states (batch, num_visible) after `steps` full Gibbs steps that start at `visible`."""

    def step(_: Any, states: Tensor) -> Tensor:
        return rbm.sample_visible(rbm.sample_hidden(states))

    if steps >= LOOP_STEPS:
        return fori_loop_with_variables(steps, step, visible, [rbm.seed_generator.state])
    for i in range(steps):
        visible = step(i, visible)
    return visible


def data_chains(rbm: keras.Model, hidden_probabilities: Tensor, steps: int, sample_last: bool) -> tuple[Tensor, Tensor]:
    """Runs the chains of contrastive divergence: `steps` Gibbs steps that start at the data.

    Args:
        rbm: The RBM.
        hidden_probabilities: Hidden probabilities of the data, shape (batch, hidden_units).
        steps: k, at least 1.
        sample_last: Whether the last visible states are sampled; otherwise they are probabilities (means).

    Returns:
        The reconstruction after one step (means) and the visible states after k steps, both (batch, num_visible).
    """
    hidden = rbm.draw_hidden(hidden_probabilities)
    negative = reconstruction = rbm.visible_probabilities(hidden)
    for _ in range(steps - 1):
        negative = rbm.visible_probabilities(rbm.sample_hidden(rbm.draw_visible(negative)))
    return reconstruction, rbm.draw_visible(negative) if sample_last else negative


def tempered_chains(rbm: keras.Model, states: Tensor, steps: int) -> Tensor:
    """Runs parallel tempering: Gibbs steps at every temperature, then exchanges between neighbouring temperatures.

    Replica r has the distribution exp(-beta_r E), beta rising from 0 to 1 in equal steps. Neighbours r, r + 1 exchange
    their states (v, h) with probability min(1, exp((beta_r - beta_{r+1}) (E_r - E_{r+1}))): first all even pairs, then
    all odd pairs, which preserves the joint distribution.

    Args:
        rbm: The RBM, with binary units.
        states: Visible states, shape (temperatures, chains, num_visible).
        steps: Gibbs steps at each temperature, at least 1.

    Returns:
        The new states, same shape; the last replica, at beta = 1, follows the model.

    Source: Desjardins et al., Parallel Tempering for Training of Restricted Boltzmann Machines, AISTATS 2010.
    """
    temperatures, chains, num_visible = states.shape
    beta = np.repeat(np.linspace(0, 1, temperatures), chains)[:, None]
    visible = ops.reshape(states, (-1, num_visible))
    for _ in range(steps):
        hidden = rbm.draw_hidden(rbm.hidden_probabilities(visible, beta))
        visible = rbm.draw_visible(rbm.visible_probabilities(hidden, beta))
    hidden = rbm.draw_hidden(rbm.hidden_probabilities(visible, beta))
    draws = keras.random.uniform((temperatures, chains), dtype=visible.dtype, seed=rbm.seed_generator)
    energies = ops.reshape(rbm.energy(visible, hidden), (temperatures, chains))
    return ops.take_along_axis(
        ops.reshape(visible, (temperatures, chains, num_visible)),
        ops.expand_dims(_exchanged(energies, draws), -1),
        axis=0,
    )


def _exchanged(energies: Tensor, draws: Tensor) -> Tensor:
    """Returns the replica whose state each temperature receives after an even and an odd round: (temperatures, chains).

    Args:
        energies: Energies of the replicas' states at beta = 1, shape (temperatures, chains).
        draws: Uniform random numbers in [0, 1), same shape.
    """
    temperatures, chains = energies.shape
    step = 1.0 / (temperatures - 1)
    source = ops.tile(ops.expand_dims(ops.arange(temperatures), 1), (1, chains))
    for parity in (0, 1):
        lower = np.arange(temperatures)
        partner = np.where((lower - parity) % 2 == 0, lower + 1, lower - 1)
        partner = np.where((partner < 0) | (partner >= temperatures), lower, partner)
        first = np.minimum(lower, partner)  # both of a pair read the same draw: both move or both stay
        current = ops.take_along_axis(energies, source, axis=0)
        log_ratio = -step * (ops.take(current, first, axis=0) - ops.take(current, np.maximum(lower, partner), axis=0))
        accepted = ops.log(ops.take(draws, first, axis=0)) < log_ratio
        source = ops.where(accepted, ops.take(source, partner, axis=0), source)
    return source
