"""Images that a deep belief net with labels makes up."""

import numpy as np
from keras import ops

from models.fitting.loops import repeated
from models.up_down.labelled_data import check_range
from models.up_down.net import probabilities


def fantasies(top, generative, num_samples, gibbs_steps, label=None):
    """Gibbs sampling in the top machine, its label free or clamped, then one pass down.

    Args:
        top: The `models.rbm.RBM` of features and labels.
        generative: (kernel, bias) of every directed layer going down, bottom up.
        num_samples: Number of chains, each from random features.
        gibbs_steps: Steps of every chain, at least 0.
        label: Class that is held fixed, one for all or one for each chain; none lets the chains choose.

    Returns:
        Probabilities of the lowest units, shape (num_samples, units); all states above them are sampled.

    Raises:
        ValueError: A label that does not exist.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 7.
    """
    clamped = None
    if label is not None:
        labels = np.broadcast_to(label, (num_samples,))
        check_range(labels, top.label_units)
        clamped = ops.one_hot(labels, top.label_units, dtype=top.compute_dtype)

    def clamp(visible):
        return visible if clamped is None else ops.concatenate([_features(top, visible), clamped], axis=-1)

    half = 0.5 * ops.ones((num_samples, top.kernel.shape[0]), dtype=top.compute_dtype)
    states = clamp(top.draw_visible(half))
    states = repeated(
        gibbs_steps, lambda _, v: clamp(top.sample_visible(top.sample_hidden(v))), states, [top.seed_generator.state]
    )
    states = _features(top, states)
    for layer in reversed(generative[1:]):
        states = top.draw_hidden(probabilities(states, layer))
    return probabilities(states, generative[0])


def _features(top, visible):
    return visible[:, : -top.label_units]
