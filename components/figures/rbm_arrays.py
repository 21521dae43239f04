"""Arrays computed from stacked RBMs for the plots of `components.figures.rbm_plots`."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.rbm import RBM


def parameters(rbm: RBM) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Returns the weights of an RBM and their last updates by name, for `rbm_plots.histograms`.

    Returns:
        The weights, and the last update of each; the updates are None when the RBM was not trained in this process.

    Example:
        >>> rbm = RBM(2, seed=1)
        >>> rbm.build((None, 3))
        >>> weights, updates = parameters(rbm)
        >>> list(weights), updates
        (['kernel', 'visible bias', 'hidden bias'], None)
    """
    names = [variable.name.replace("_", " ") for variable in rbm.trainable_variables]
    values = map(np.asarray, rbm.trainable_variables)
    velocities = getattr(rbm.optimizer, "velocities", ()) if rbm.compiled else ()
    updates = dict(zip(names, map(np.asarray, velocities), strict=True)) if velocities else None
    return dict(zip(names, values, strict=True)), updates


def kernels(rbms: Sequence[RBM]) -> list[np.ndarray]:
    """Returns the kernels of stacked RBMs, bottom up, each (units below, units), without the rows of label units."""
    return [np.asarray(rbm.kernel)[: rbm.kernel.shape[0] - rbm.label_units] for rbm in rbms]


def activations(rbms: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Returns the hidden probabilities of the last of several stacked RBMs; nothing is sampled.

    Args:
        rbms: Stacked RBMs, bottom up. Label units of the last one all get the same value, 1 / number of labels.
        images: Visible states of the first RBM, shape (images, num_visible).

    Returns:
        Shape (images, hidden_units of the last RBM).
    """
    return np.asarray(rbms[-1].hidden_probabilities(_top_visible(rbms, images)))


def reconstructions(rbms: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Reconstructs images from the hidden units of the last of several stacked RBMs, through means both ways.

    Args:
        rbms: As for `activations`.
        images: Visible states of the first RBM, shape (images, num_visible).

    Returns:
        Reconstructions of the same shape.
    """
    return _projected_down(rbms, rbms[-1].visible_probabilities(activations(rbms, images)))


def fantasies(rbms: Sequence[RBM], images: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Runs Gibbs chains in the last of several stacked RBMs, and projects each snapshot down to the pixels.

    Args:
        rbms: As for `activations`.
        images: Starts of the chains, propagated up through means, shape (chains, num_visible of the first RBM).
        steps: As for `gibbs_snapshots`.

    Returns:
        Means of the first RBM's visible units, shape (snapshots, chains, num_visible of the first RBM).
    """
    snapshots = gibbs_snapshots(rbms[-1], _top_visible(rbms, images), steps)
    return np.stack([_projected_down(rbms, snapshot) for snapshot in snapshots])


def gibbs_snapshots(rbm: RBM, start: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Runs Gibbs chains and records their visible means after given numbers of steps.

    Args:
        rbm: A trained or loaded RBM.
        start: Visible states at the start of the chains, shape (chains, num_visible).
        steps: Numbers of full steps before each snapshot, ascending; 0 is the start itself.

    Returns:
        Visible means, shape (snapshots, chains, num_visible). The chains themselves continue from samples.
    """

    @tf.function  # 300 steps take 0.2 s in a graph, 1.2 s without
    def step(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        means = rbm.visible_probabilities(rbm.sample_hidden(states))
        return means, rbm.draw_visible(means)

    means = states = tf.convert_to_tensor(start, rbm.compute_dtype)
    snapshots = []
    for number in range(max(steps) + 1):
        if number:
            means, states = step(states)
        if number in steps:
            snapshots.append(means.numpy())
    return np.stack(snapshots)


def _top_visible(rbms: Sequence[RBM], images: np.ndarray) -> np.ndarray:
    """Returns the visible means of the last RBM for images at the first; all label units get the same value."""
    states, last = np.asarray(images), rbms[-1]
    for rbm in rbms[:-1]:
        states = np.asarray(rbm.hidden_probabilities(states))
    labels = np.full((len(states), last.label_units), 1 / max(last.label_units, 1), states.dtype)
    return np.concatenate([states, labels], axis=1)


def _projected_down(rbms: Sequence[RBM], visible: np.ndarray) -> np.ndarray:
    """Returns the visible means of the first RBM for visible states of the last one, whose label units are dropped."""
    states = visible[:, : visible.shape[1] - rbms[-1].label_units]
    for rbm in reversed(rbms[:-1]):
        states = rbm.visible_probabilities(states)
    return np.asarray(states)
