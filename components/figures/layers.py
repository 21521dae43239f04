"""What a pretraining should be looked at for, logged for every layer: what it sees, keeps, dreams of and weighs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from components.figures import figures, rbm_figures, rbm_readings
from components.reporting import station_tracker
from models.rbm import RBM

# Images whose reconstructions are drawn, and of which Gibbs chains start; 300 steps of each layer take 0.2 s.
_RECONSTRUCTED, _CHAINS = 12, 10
_STEPS = (0, 1, 3, 10, 30, 100, 300)


def log_pictures(
    rbms: Sequence[RBM], images: np.ndarray, image_shape: Sequence[int], tracker: station_tracker.StationTracker
) -> None:
    """Draws the layers of a pretrained net.

    Args:
        rbms: The machines, bottom up; the last may have label units.
        images: What the first one sees, shape (images, num_visible): the minibatch of the practical guide, some 100.
        image_shape: (height, width, channels).
        tracker: Receives `reconstructions.png` of all layers and, of layer N, `filters_N.png`, `fantasies_N.png`,
            `hidden_activations_N.png` and `weights_N.png`.
    """
    stacks = [rbms[:number] for number in range(1, len(rbms) + 1)]
    tracker.log_figure(
        lambda: rbm_figures.layer_reconstructions(
            images, [rbm_readings.reconstructions(stack, images) for stack in stacks], image_shape, _RECONSTRUCTED
        ),
        "reconstructions.png",
    )
    for stack in stacks:
        _log_layer(stack, images, image_shape, tracker)


def _log_layer(
    stack: Sequence[RBM], images: np.ndarray, image_shape: Sequence[int], tracker: station_tracker.StationTracker
) -> None:
    """Draws the last of some stacked machines; what it has on its visible side is carried down to the pixels."""
    number = len(stack)
    where = ", carried down to the pixels" if number > 1 else ""
    tracker.log_figure(lambda: _filters(stack, image_shape), f"filters_{number}.png")
    tracker.log_figure(
        lambda: rbm_figures.fantasies(
            rbm_readings.fantasies(stack, images[:_CHAINS], _STEPS),
            image_shape,
            _STEPS,
            title=f"Fantasies of layer {number}{where}",
        ),
        f"fantasies_{number}.png",
    )
    tracker.log_figure(
        lambda: rbm_figures.hidden_activations(
            rbm_readings.activations(stack, images), title=f"Hidden activations of layer {number}"
        ),
        f"hidden_activations_{number}.png",
    )
    tracker.log_figure(
        lambda: rbm_figures.histograms(
            *rbm_readings.parameters(stack[-1]), title=f"Weights of layer {number} and their last update"
        ),
        f"weights_{number}.png",
    )


def _filters(stack: Sequence[RBM], image_shape: Sequence[int]) -> Figure:
    kernels = rbm_readings.kernels(stack)
    if len(kernels) > 1:
        return rbm_figures.higher_filters(kernels, image_shape)
    return figures.filters(kernels[0], image_shape, title="What layer 1 looks for")
