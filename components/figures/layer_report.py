"""Diagnostic plots of pretrained layers, logged to MLflow."""

from collections.abc import Sequence

import keras
import numpy as np
from matplotlib.figure import Figure

from components.figures import rbm_arrays, rbm_plots
from components.figures.filters import filters, projected_filters
from components.reporting.station_tracker import StationTracker
from models.rbm import RBM

# Images to reconstruct, and Gibbs chains; 300 steps of a layer take 0.2 s.
_RECONSTRUCTED, _CHAINS = 12, 10
_STEPS = (0, 1, 3, 10, 30, 100, 300)


def log_layers(rbms: Sequence[RBM], images: np.ndarray, image_shape: Sequence[int], tracker: StationTracker) -> None:
    """Logs diagnostic plots for every pretrained layer: filters, reconstructions, fantasies, activations, weights.

    Args:
        rbms: The stacked RBMs, bottom up; the last one may have label units.
        images: Visible states of the first RBM, shape (images, num_visible): the mini-batch of Hinton's practical
            guide, some 100 images.
        image_shape: (height, width, channels).
        tracker: Receives `reconstructions.png` of all layers and, of layer N, `filters_N.png`, `fantasies_N.png`,
            `hidden_activations_N.png` and `weights_N.png`.
    """
    stacks = [rbms[:number] for number in range(1, len(rbms) + 1)]
    tracker.log_figure(
        lambda: rbm_plots.layer_reconstructions(
            images, [rbm_arrays.reconstructions(stack, images) for stack in stacks], image_shape, _RECONSTRUCTED
        ),
        "reconstructions.png",
    )
    for stack in stacks:
        _log_layer(stack, images, image_shape, tracker)


def log_first_kernel(network: keras.Model, tracker: StationTracker) -> None:
    """Logs the kernel of a network's first convolution as `filters.png`."""

    def plot() -> Figure:
        convolution = next(layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D))
        kernel = convolution.kernel.numpy()
        return filters(kernel.reshape(-1, kernel.shape[-1]), kernel.shape[:3])

    tracker.log_figure(plot, "filters.png")


def _log_layer(stack: Sequence[RBM], images: np.ndarray, image_shape: Sequence[int], tracker: StationTracker) -> None:
    """Plots the last of several stacked RBMs; its visible units are projected down to the pixels."""
    number = len(stack)
    where = ", projected to the pixels" if number > 1 else ""
    tracker.log_figure(lambda: _filters(stack, image_shape), f"filters_{number}.png")
    tracker.log_figure(
        lambda: rbm_plots.fantasies(
            rbm_arrays.fantasies(stack, images[:_CHAINS], _STEPS),
            image_shape,
            _STEPS,
            title=f"Fantasies of layer {number}{where}",
        ),
        f"fantasies_{number}.png",
    )
    tracker.log_figure(
        lambda: rbm_plots.hidden_activations(
            rbm_arrays.activations(stack, images), title=f"Hidden activations of layer {number}"
        ),
        f"hidden_activations_{number}.png",
    )
    tracker.log_figure(
        lambda: rbm_plots.histograms(
            *rbm_arrays.parameters(stack[-1]), title=f"Weights of layer {number} and their last update"
        ),
        f"weights_{number}.png",
    )


def _filters(stack: Sequence[RBM], image_shape: Sequence[int]) -> Figure:
    kernels = rbm_arrays.kernels(stack)
    if len(kernels) > 1:
        return projected_filters(kernels, image_shape)
    return filters(kernels[0], image_shape, title="Filters of layer 1")
