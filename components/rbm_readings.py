"""What is read off restricted Boltzmann machines to be drawn: NumPy arrays for `components.rbm_figures`."""

from collections.abc import Sequence

import numpy as np

from models.rbm import RBM


def parameters(machine: RBM) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """The weights of a machine by name, and what its optimizer's last update added to each, for `histograms`.

    There are no updates (none) where the machine was not trained in this process.
    """
    names = [variable.name.replace("_", " ") for variable in machine.trainable_variables]
    values = map(np.asarray, machine.trainable_variables)
    velocities = getattr(machine.optimizer, "velocities", ()) if machine.compiled else ()
    updates = dict(zip(names, map(np.asarray, velocities), strict=True)) if velocities else None
    return dict(zip(names, values, strict=True)), updates


def activations(machines: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Hidden probabilities of the last of some stacked machines, nothing sampled; label units say nothing.

    Args:
        machines: Bottom up. Where one has label units, each is given the same share of certainty.
        images: Shape (images, num_visible of the first).

    Returns:
        Shape (images, hidden_units of the last).
    """
    states = np.asarray(images)
    for machine in machines:
        if machine.label_units:
            unknown = np.full((len(states), machine.label_units), 1 / machine.label_units, states.dtype)
            states = np.concatenate([states, unknown], axis=1)
        states = np.asarray(machine.hidden_probabilities(states))
    return states


def gibbs_moments(machine: RBM, start: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Looks at Gibbs chains at some moments.

    Args:
        machine: Trained or loaded.
        start: Visible states that the chains start from, shape (chains, num_visible).
        steps: When to look, ascending numbers of full steps; 0 is the start itself.

    Returns:
        Visible means at each moment, shape (moments, chains, num_visible). The chains themselves go on from samples.
    """
    states, done, moments = start, 0, []
    for step in steps:
        if step > done:
            states = machine.gibbs_chain(states, step - done - 1)
            means = machine.visible_probabilities(machine.sample_hidden(states))
            states, done = machine.draw_visible(means), step
        moments.append(np.asarray(start if step == 0 else means))
    return np.stack(moments)
