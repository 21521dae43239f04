"""Pictures of what was learnt and of what went wrong, as matplotlib figures.

Every function returns a `matplotlib.figure.Figure` of its own: no pyplot, no global state, no screen. Many small
images are drawn as one mosaic on one axes: a hundred axes would take seconds.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

_DPI = 120
_QUIET = "#555555"  # of all text but the title
_RIGHT = "#1a7f37"
_WRONG = "#b2182b"
_MAX_NAMED_CLASSES = 25  # with more, numbers in the cells and names at the sides overlap
_LONGEST_NAME = 18  # characters that fit above an image of the gallery
_LONGEST_PATH = 36  # characters that fit below one
_COLUMNS = 10


def filters(
    kernel: np.ndarray, image_shape: Sequence[int], count: int = 100, title: str = "What the hidden units look for"
) -> Figure:
    """Receptive fields: the weights from all pixels to each of the first hidden units, all on one scale.

    Args:
        kernel: (num_visible, hidden_units). For a layer above the first, multiply the kernels below it.
        image_shape: (height, width) or (height, width, channels) with 1 or 3 channels; its product is num_visible.
        count: At most so many units, the first ones.
        title: Of the figure.

    Returns:
        Grey images: red is a weight above zero, blue below. Colour images: grey is zero.
    """
    images = _as_images(np.asarray(kernel).T[:count], image_shape)
    finite = np.abs(images[np.isfinite(images)])
    # Not the largest: one wild weight would make all the others pale.
    scale = float(np.quantile(finite, 0.995) if finite.size else 0) or 1.0
    rows = -(-len(images) // _COLUMNS)
    figure = _figure(6.4, 0.9 + 0.6 * max(rows, 3))
    axes = figure.add_subplot()
    drawn = _draw_mosaic(axes, images, -scale, scale, "RdBu_r")
    _title(axes, title, f"{len(images)} of {np.shape(kernel)[1]} units, one scale for all")
    if images.shape[-1] == 1:
        _colour_bar(figure, axes, drawn, "weight")
    return figure


def reconstructions(
    originals: np.ndarray,
    reconstructed: np.ndarray,
    image_shape: Sequence[int],
    count: int = 20,
    title: str = "Images and their reconstructions",
) -> Figure:
    """Images, and below each what the model makes of it.

    Args:
        originals: (images, num_visible).
        reconstructed: Same shape, same order.
        image_shape: As for `filters`.
        count: At most so many pairs, the first ones.
        title: Of the figure; the mean squared error of a pixel, over all images given, stands below it.
    """
    error = float(np.mean((np.asarray(originals) - np.asarray(reconstructed)) ** 2))
    above, below = (_as_images(np.asarray(part)[:count], image_shape) for part in (originals, reconstructed))
    low, high = float(above.min()), float(above.max())
    starts = range(0, len(above), _COLUMNS)
    figure = _figure(8, 0.9 + 1.5 * len(starts))
    panels = np.atleast_1d(figure.subplots(len(starts), 1))
    for axes, start in zip(panels, starts, strict=True):
        pairs = [part[start : start + _COLUMNS] for part in (above, below)]
        drawn = _draw_mosaic(axes, np.concatenate(pairs), low, high, "gray", columns=len(pairs[0]))
        height = above.shape[1]
        axes.set_yticks([height / 2, height * 1.5 + 1], ["image", "model"], fontsize=9, color=_QUIET)
    _title(panels[0], title, f"mean squared error of a pixel {error:.4f}")
    if above.shape[-1] == 1:
        _colour_bar(figure, panels, drawn, "pixel")
    return figure


def confusion(matrix: np.ndarray, labels: Sequence[str], title: str = "Confusion") -> Figure:
    """Which class is taken for which. The diagonal stays pale, so that the mistakes show.

    Args:
        matrix: (classes, classes) counts; the row is the true class, the column the predicted one.
        labels: Name of every class.
        title: Of the figure; the top-1 error stands below it.
    """
    counts = np.asarray(matrix)
    classes = len(counts)
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mistakes = np.where(np.eye(classes, dtype=bool), np.nan, percent)
    size = 4.2 + 0.34 * min(classes, _MAX_NAMED_CLASSES)
    figure = _figure(size + 0.9, size)
    axes = figure.add_subplot(facecolor="#e6efe8")
    drawn = axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(float(np.nanmax(mistakes, initial=0)), 1.0))
    total, right = int(counts.sum()), int(np.trace(counts))
    _title(axes, title, f"top-1 error {100 * (total - right) / max(total, 1):.2f} % of {total:,} images")
    axes.set_xlabel("predicted", color=_QUIET)
    axes.set_ylabel("true", color=_QUIET)
    if classes <= _MAX_NAMED_CLASSES:
        _name_classes(axes, labels)
        _write_counts(axes, counts, mistakes)
    axes.tick_params(length=0, colors=_QUIET)
    axes.spines[:].set_visible(False)
    _colour_bar(figure, axes, drawn, "% of the true class that went astray")
    return figure


def failures(
    images: Sequence[np.ndarray],
    true: Sequence[str],
    predicted: Sequence[str],
    scores: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    count: int = 24,
    title: str = "Mistakes, the most confident first",
) -> Figure:
    """A gallery of the wrongly classified among the images given.

    Args:
        images: Each (height, width), (height, width, 1) or (height, width, 3); of any size. Grey ones are stretched
            from black to white, colour ones are uint8 or floats in [0, 1].
        true: Right class of each.
        predicted: The model's answer for each.
        scores: The probability that it gave its answer, 0 to 1; decides the order.
        names: File name of each, shown below the image.
        count: At most so many.
        title: Of the figure.
    """
    wrong = [index for index in range(len(images)) if true[index] != predicted[index]]
    if scores is not None:
        wrong.sort(key=lambda index: -scores[index])
    shown = wrong[:count]
    columns = min(6, max(len(shown), 3))
    rows = max(1, -(-len(shown) // columns))
    figure = _figure(1.75 * columns, 0.9 + 2.1 * rows if wrong else 1)
    figure.suptitle(title if wrong else "No mistakes", fontsize=13)
    amount = f"{len(shown)} of {len(wrong):,} mistakes among" if wrong else "among"
    figure.supxlabel(f"{amount} {len(images):,} images", fontsize=9, color=_QUIET)
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, index in zip(panels, shown, strict=False):
        axes.imshow(np.squeeze(images[index]), cmap="gray", interpolation="nearest")
        axes.set(box_aspect=1, adjustable="datalim")  # a square for every image keeps the texts of a row in line
        certainty = "" if scores is None else f", {100 * scores[index]:.0f} %"
        axes.set_title(f"is {_head(true[index])}", fontsize=8, color=_RIGHT, pad=13)
        _above(axes, f"said {_head(predicted[index])}{certainty}", _WRONG, fontsize=8)
        if names is not None:
            axes.text(0.5, -0.03, _tail(names[index]), transform=axes.transAxes, ha="center", va="top", fontsize=6)
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="compressed")  # constrained, for images of fixed aspect
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    return figure


def _as_images(vectors: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    height, width, channels = (*image_shape, 1)[:3]
    return np.asarray(vectors, float).reshape(len(vectors), height, width, channels)


def _draw_mosaic(
    axes: Axes, images: np.ndarray, low: float, high: float, colours: str, columns: int | None = None
) -> AxesImage:
    """Draws images (n, height, width, channels) side by side with a gap of one pixel."""
    height, width, channels = images.shape[1:]
    columns = columns or min(_COLUMNS, len(images))
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
    return axes.imshow(np.squeeze(canvas), cmap=colours, vmin=low, vmax=high, interpolation="nearest")


def _title(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, fontsize=13, pad=20)
    _above(axes, below, _QUIET)


def _above(axes: Axes, text: str, colour: str, fontsize: int = 9) -> None:
    """A second, smaller line between the title and the axes."""
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center"}
    axes.annotate(text, (0.5, 1), (0, 4), fontsize=fontsize, color=colour, **place)


def _colour_bar(figure: Figure, axes: Axes | np.ndarray, drawn: AxesImage, label: str) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=30, pad=0.02)
    bar.set_label(label, color=_QUIET, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=_QUIET)
    bar.outline.set_visible(False)


def _name_classes(axes: Axes, labels: Sequence[str]) -> None:
    names = [_head(label, 24) for label in labels]
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names)
    if max(map(len, names)) > 3:
        axes.tick_params("x", labelrotation=45)
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")


def _write_counts(axes: Axes, counts: np.ndarray, mistakes: np.ndarray) -> None:
    darkest = np.nanmax(mistakes, initial=0)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if row != column and mistakes[row, column] > 0.6 * darkest else "#333333"
            axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)


def _head(name: object, longest: int = _LONGEST_NAME) -> str:
    """The beginning of a class name."""
    text = str(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _tail(name: object) -> str:
    """The end of a path."""
    text = str(name)
    return text if len(text) <= _LONGEST_PATH else "…" + text[1 - _LONGEST_PATH :]
