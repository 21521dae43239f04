"""Plots of receptive fields: the weights from the pixels to the hidden units of an RBM or a convolution."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from components.figures import drawing


def filters(
    kernel: np.ndarray, image_shape: Sequence[int], count: int = 100, title: str = "Filters of the hidden units"
) -> Figure:
    """Plots the weights from all pixels to each of the first hidden units, all on one scale.

    Args:
        kernel: Shape (num_visible, hidden_units). For a layer above the first, see `projected_filters`.
        image_shape: (height, width) or (height, width, channels) with 1 or 3 channels; its product is num_visible.
        count: Largest number of units to plot; the first ones are plotted.
        title: Title of the plot.

    Returns:
        Grey images: red is a weight above zero, blue below. Colour images: grey is zero.

    Example:
        >>> figure = filters(np.eye(9), (3, 3))
        >>> figure.axes[0].images[0].get_array().shape  # nine images of 3 x 3 in a row, a pixel apart
        (3, 35)
    """
    images = drawing.as_images(np.asarray(kernel).T[:count], image_shape)
    finite = np.abs(images[np.isfinite(images)])
    # A quantile, because on the scale of the maximum a single outlier would make all other weights pale.
    scale = float(np.quantile(finite, 0.995) if finite.size else 0) or 1.0
    rows = -(-len(images) // drawing.COLUMNS)
    figure = drawing.new_figure(6.4, 0.9 + 0.55 * max(rows, 3))
    axes = figure.add_subplot()
    drawn = drawing.draw_mosaic(axes, images, -scale, scale, "RdBu_r")
    drawing.title(axes, title, f"{len(images)} of {np.shape(kernel)[1]} units, one scale for all")
    if images.shape[-1] == 1:
        drawing.colour_bar(figure, axes, drawn, "weight")
    return figure


def projected_filters(
    kernels: Sequence[np.ndarray], image_shape: Sequence[int], count: int = 100, title: str | None = None
) -> Figure:
    """Plots the filters of a higher layer, projected to the pixels: the product of its kernel and all kernels below.

    The product ignores the nonlinearities between the layers.

    Args:
        kernels: Kernels bottom up, (num_visible, units), (units, units above), ...
        image_shape: As for `filters`.
        count: Largest number of units to plot; the first ones are plotted.
        title: Title of the plot; by default it names the layer.

    Returns:
        As `filters`. The mean over all units is subtracted, because it hides the differences between them.

    Source: Lee, Ekanadham & Ng, NIPS 2007: weighted sums of the filters below.
    """
    projected = np.asarray(kernels[0], float)
    for kernel in kernels[1:]:
        projected = projected @ np.asarray(kernel, float)
    projected = projected - projected.mean(axis=1, keepdims=True)
    return filters(projected, image_shape, count, title or f"Filters of layer {len(kernels)}, projected to the pixels")
