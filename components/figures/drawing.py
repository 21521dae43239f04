"""Building blocks of all plots: mosaics of small images, titles of two lines, colour bars.

Each plot is a `matplotlib.figure.Figure` of its own: no pyplot, no global state, no display. A mosaic draws many small
images on one axes, because a hundred axes take seconds.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

QUIET = "#555555"  # all text but the title
ACCENT = "#2166ac"  # bars and curves; the blue of the filters
SECOND = "#d6604d"  # curves to compare with; the red of the filters
RIGHT = "#1a7f37"
WRONG = "#b2182b"
COLUMNS = 10  # images in a row of a mosaic
LONGEST_NAME = 18  # characters that fit above an image of a gallery
_DPI = 120


def new_figure(width: float, height: float) -> Figure:
    """Creates an empty figure, sized in inches, whose layout leaves room for all texts."""
    # Compressed is the constrained layout for images of fixed aspect.
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, compress=True)
    return Figure(figsize=(width, height), dpi=_DPI, layout=layout)


def as_images(vectors: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Reshapes flattened images (n, units) to (n, height, width, channels).

    Args:
        vectors: Shape (n, height * width * channels).
        image_shape: (height, width) for one channel, or (height, width, channels).
    """
    height, width, channels = (*image_shape, 1)[:3]
    return np.asarray(vectors, float).reshape(len(vectors), height, width, channels)


def draw_mosaic(
    axes: Axes, images: np.ndarray, low: float, high: float, colours: str, columns: int | None = None
) -> AxesImage:
    """Draws images side by side with a gap of one pixel.

    Args:
        axes: Where to draw.
        images: Shape (n, height, width, channels); 3 channels are RGB.
        low: Value at the bottom of the colour scale.
        high: Value at the top of the colour scale.
        colours: Name of a matplotlib colour map; not used for 3 channels.
        columns: Images per row; by default `COLUMNS`, or fewer when there are fewer images.
    """
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
    """Draws one image (height, width[, 1 or 3]) in a square box, so that the texts of a row of images line up."""
    axes.imshow(np.squeeze(image), cmap="gray", interpolation="nearest")
    axes.set(box_aspect=1, adjustable="datalim")


def grey_range(values: np.ndarray) -> tuple[float, float]:
    """Returns the values to draw as black and white.

    They are 0 and 1 when all finite values lie between, as probabilities do; otherwise the extremes of the values.
    """
    finite = np.asarray(values)[np.isfinite(values)]
    low, high = float(finite.min(initial=1)), float(finite.max(initial=0))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def title(axes: Axes, text: str, below: str) -> None:
    """Writes a title, and a smaller line between the title and the axes."""
    axes.set_title(text, fontsize=13, pad=20)
    above(axes, below, QUIET)


def above(axes: Axes, text: str, colour: str, fontsize: int = 9) -> None:
    """Writes a small line directly above the axes."""
    axes.annotate(
        text, (0.5, 1), (0, 4), fontsize=fontsize, color=colour,
        xycoords="axes fraction", textcoords="offset points", ha="center",
    )  # fmt: skip


def colour_bar(figure: Figure, axes: Axes | np.ndarray, drawn: AxesImage, label: str) -> None:
    """Draws the colour scale to the right of the axes."""
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=30, pad=0.02)
    bar.set_label(label, color=QUIET, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=QUIET)
    bar.outline.set_visible(False)


def quiet_axes(axes: Axes) -> None:
    """Styles the axes of a curve or a histogram: grey ticks, no box."""
    axes.tick_params(colors=QUIET, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color("#bbbbbb")


def shortened(name: object, longest: int = LONGEST_NAME) -> str:
    """Returns the beginning of a name, with an ellipsis when it is longer than `longest` characters."""
    text = str(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"
