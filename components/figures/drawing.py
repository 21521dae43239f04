"""What all figures are drawn with: mosaics of small images, titles of two lines, colour bars.

A figure is a `matplotlib.figure.Figure` of its own: no pyplot, no global state, no screen. Many small images are drawn
as one mosaic on one axes: a hundred axes would take seconds.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

QUIET = "#555555"  # of all text but the title
ACCENT = "#2166ac"  # of bars and curves; the blue of the filters
SECOND = "#d6604d"  # of what is compared with it; their red
COLUMNS = 10  # of a mosaic
_DPI = 120


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches that leaves room for all its texts."""
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="compressed")  # constrained, for images of fixed aspect
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    return figure


def as_images(vectors: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Flattened images (n, units) as (n, height, width, channels); `image_shape` is (height, width[, channels])."""
    height, width, channels = (*image_shape, 1)[:3]
    return np.asarray(vectors, float).reshape(len(vectors), height, width, channels)


def draw_mosaic(
    axes: Axes, images: np.ndarray, low: float, high: float, colours: str, columns: int | None = None
) -> AxesImage:
    """Draws images (n, height, width, channels) side by side with a gap of one pixel; 3 channels are RGB."""
    height, width, channels = images.shape[1:]
    columns = columns or min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), np.nan)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        canvas[top : top + height, left : left + width] = image
    if channels == 3:
        canvas = np.nan_to_num(np.clip((canvas - low) / (high - low or 1), 0, 1), nan=1)
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes.imshow(
        np.squeeze(canvas, -1) if channels == 1 else canvas, cmap=colours, vmin=low, vmax=high, interpolation="nearest"
    )


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """Draws one image (height, width[, 1 or 3]) in a square, which keeps the texts of a row of images in line."""
    axes.imshow(np.squeeze(image), cmap="gray", interpolation="nearest")
    axes.set(box_aspect=1, adjustable="datalim")


def grey_range(values: np.ndarray) -> tuple[float, float]:
    """Values of black and white: 0 and 1 where all finite values lie between, as probabilities do, else their ends."""
    finite = np.asarray(values)[np.isfinite(values)]
    low, high = float(finite.min(initial=1)), float(finite.max(initial=0))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def title(axes: Axes, text: str, below: str) -> None:
    """A title, and a smaller line between it and the axes."""
    axes.set_title(text, fontsize=13, pad=20)
    above(axes, below, QUIET)


def above(axes: Axes, text: str, colour: str, fontsize: int = 9) -> None:
    """A small line right above the axes."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center"}
    axes.annotate(text, (0.5, 1), (0, 4), fontsize=fontsize, color=colour, **place)


def colour_bar(figure: Figure, axes: Axes | np.ndarray, drawn: AxesImage, label: str) -> None:
    """A bar at the right that says which colour is which value."""
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=30, pad=0.02)
    bar.set_label(label, color=QUIET, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=QUIET)
    bar.outline.set_visible(False)


def quiet_axes(axes: Axes) -> None:
    """Axes of a curve or a histogram: grey ticks, no box."""
    axes.tick_params(colors=QUIET, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color("#bbbbbb")
