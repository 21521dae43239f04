"""Generation of images by a deep belief net with labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from models.fitting.loops import fori_loop_with_variables
from models.rbm import RBM
from models.types import DirectedLayer, Tensor
from models.up_down.labelled_data import check_labels
from models.up_down.net import probabilities


def generate_images(
    top: RBM, generative: Sequence[DirectedLayer], num_samples: int, gibbs_steps: int, label: Any = None
) -> Tensor:
    """Runs Gibbs sampling in the top RBM, its label free or clamped, then one pass down.

    Args:
        top: RBM of features and labels.
        generative: (kernel, bias) of every directed layer going down, bottom up.
        num_samples: Number of chains, each from random features.
        gibbs_steps: Steps of every chain, at least 0.
        label: Class that is held fixed, one for all or one for each chain; None lets the chains choose.

    Returns:
        Probabilities of the lowest units, shape (num_samples, units); all states above them are sampled.

    Raises:
        ValueError: A label does not exist.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 7.
    """
    clamped = None
    if label is not None:
        labels = np.broadcast_to(label, (num_samples,))
        check_labels(labels, top.label_units)
        clamped = ops.one_hot(labels, top.label_units, dtype=top.compute_dtype)

    def clamp(visible: Tensor) -> Tensor:
        return visible if clamped is None else ops.concatenate([_features(top, visible), clamped], axis=-1)

    half = 0.5 * ops.ones((num_samples, top.kernel.shape[0]), dtype=top.compute_dtype)
    states = clamp(top.draw_visible(half))
    states = fori_loop_with_variables(
        gibbs_steps, lambda _, v: clamp(top.sample_visible(top.sample_hidden(v))), states, [top.seed_generator.state]
    )
    states = _features(top, states)
    for layer in reversed(generative[1:]):
        states = top.draw_hidden(probabilities(states, layer))
    return probabilities(states, generative[0])


def _features(top: RBM, visible: Tensor) -> Tensor:
    return visible[:, : -top.label_units]
