"""What is read off restricted Boltzmann machines to be drawn: NumPy arrays for `components.figures.rbm_figures`."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

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


def kernels(machines: Sequence[RBM]) -> list[np.ndarray]:
    """The weights of some stacked machines, bottom up, each (units below, units); those of label units left out."""
    return [np.asarray(machine.kernel)[: machine.kernel.shape[0] - machine.label_units] for machine in machines]


def activations(machines: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Hidden probabilities of the last of some stacked machines, nothing sampled; label units say nothing.

    Args:
        machines: Bottom up. Where the last has label units, each is given the same share of certainty.
        images: Shape (images, num_visible of the first).

    Returns:
        Shape (images, hidden_units of the last).
    """
    return np.asarray(machines[-1].hidden_probabilities(_seen(machines, images)))


def reconstructions(machines: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Images carried up to the hidden units of the last of some stacked machines, and down again, through means.

    Args:
        machines: As for `activations`.
        images: Shape (images, num_visible of the first).

    Returns:
        The same shape.
    """
    return _carried_down(machines, machines[-1].visible_probabilities(activations(machines, images)))


def fantasies(machines: Sequence[RBM], images: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Looks at Gibbs chains in the last of some stacked machines, and carries every moment down through means.

    Args:
        machines: As for `activations`.
        images: What the chains start from, carried up through means, shape (chains, num_visible of the first).
        steps: As for `gibbs_moments`.

    Returns:
        Shape (moments, chains, num_visible of the first).
    """
    moments = gibbs_moments(machines[-1], _seen(machines, images), steps)
    return np.stack([_carried_down(machines, moment) for moment in moments])


def gibbs_moments(machine: RBM, start: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Looks at Gibbs chains at some moments.

    Args:
        machine: Trained or loaded.
        start: Visible states that the chains start from, shape (chains, num_visible).
        steps: When to look, ascending numbers of full steps; 0 is the start itself.

    Returns:
        Visible means at each moment, shape (moments, chains, num_visible). The chains themselves go on from samples.
    """

    @tf.function  # 300 steps take 0.2 s, one operation after the other 1.2 s
    def step(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        means = machine.visible_probabilities(machine.sample_hidden(states))
        return means, machine.draw_visible(means)

    means = states = tf.convert_to_tensor(start, machine.compute_dtype)
    moments = []
    for number in range(max(steps) + 1):
        if number:
            means, states = step(states)
        if number in steps:
            moments.append(means.numpy())
    return np.stack(moments)


def _seen(machines: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Visible means of the last machine when the first one sees images; of label units, all the same."""
    states, last = np.asarray(images), machines[-1]
    for machine in machines[:-1]:
        states = np.asarray(machine.hidden_probabilities(states))
    labels = np.full((len(states), last.label_units), 1 / max(last.label_units, 1), states.dtype)
    return np.concatenate([states, labels], axis=1)


def _carried_down(machines: Sequence[RBM], visible: np.ndarray) -> np.ndarray:
    """Visible means of the first machine when the last one has these visible states; its labels are dropped."""
    states = visible[:, : visible.shape[1] - machines[-1].label_units]
    for machine in reversed(machines[:-1]):
        states = machine.visible_probabilities(states)
    return np.asarray(states)
