"""Plots of a classifier's mistakes: the confusion matrix, and a gallery of misclassified images.

The most confused pairs of classes are in `components.figures.confused_pairs`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing

MAX_GALLERY = 24  # images in the gallery
_MAX_NAMED_CLASSES = 25  # with more, names overlap, and so do numbers in the cells of a confusion matrix
_LONGEST_PATH = 36  # characters that fit below an image of the gallery


def confusion(matrix: np.ndarray, labels: Sequence[str], title: str = "Confusion") -> Figure:
    """Plots a confusion matrix. The diagonal stays pale, so that the mistakes stand out.

    Args:
        matrix: Counts, shape (classes, classes); the row is the true class, the column the predicted one.
        labels: Name of each class.
        title: Title of the plot; the top-1 error stands below it.

    Example:
        >>> figure = confusion([[8, 2], [0, 10]], ["cat", "dog"])
        >>> figure.axes[0].texts[-1].get_text()
        'top-1 error 10.00 % of 20 images'
    """
    counts = np.asarray(matrix)
    classes = len(counts)
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mistakes = np.where(np.eye(classes, dtype=bool), np.nan, percent)
    size = 4.2 + 0.34 * min(classes, _MAX_NAMED_CLASSES)
    figure = drawing.new_figure(size + 0.9, size)
    axes = figure.add_subplot(facecolor="#e6efe8")
    drawn = axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(float(np.nanmax(mistakes, initial=0)), 1.0))
    total, right = int(counts.sum()), int(np.trace(counts))
    if classes <= _MAX_NAMED_CLASSES:
        _name_classes(axes, labels)
        _write_counts(axes, counts, mistakes)
    drawing.title(axes, title, f"top-1 error {100 * (total - right) / max(total, 1):.2f} % of {total:,} images")
    axes.set_xlabel("predicted", color=drawing.QUIET)
    axes.set_ylabel("true", color=drawing.QUIET)
    axes.tick_params(length=0, colors=drawing.QUIET)
    axes.spines[:].set_visible(False)
    drawing.colour_bar(figure, axes, drawn, "% of the true class misclassified")
    return figure


def misclassified(true: Sequence[str], predicted: Sequence[str], scores: Sequence[float] | None = None) -> list[int]:
    """Returns the indices of the misclassified images, the most confident mistakes first.

    Args:
        true: True class of each image.
        predicted: Predicted class of each image.
        scores: Probability of the predicted class, 0 to 1; without it, the indices are ascending.
    """
    wrong = [index for index in range(len(true)) if true[index] != predicted[index]]
    return wrong if scores is None else sorted(wrong, key=lambda index: -scores[index])


def gallery(
    images: Sequence[np.ndarray] | Mapping[int, np.ndarray],
    true: Sequence[str],
    predicted: Sequence[str],
    scores: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    count: int = MAX_GALLERY,
    title: str = "Mistakes, the most confident first",
) -> Figure:
    """Plots a gallery of the misclassified images.

    Args:
        images: Images of any size, each (height, width), (height, width, 1) or (height, width, 3). Grey ones are
            stretched from black to white, colour ones are uint8 or floats in [0, 1]. A mapping by index needs only the
            images shown: the first `count` of `misclassified`.
        true: True class of each image.
        predicted: Predicted class of each image.
        scores: Probability of the predicted class, 0 to 1; decides the order and stands above each image.
        names: File name of each image, written below it.
        count: Largest number of images to plot.
        title: Title of the plot.
    """
    wrong = misclassified(true, predicted, scores)
    shown = wrong[:count]
    columns = min(6, max(len(shown), 3))
    rows = max(1, -(-len(shown) // columns))
    figure = drawing.new_figure(1.75 * columns, 0.9 + 2.1 * rows if wrong else 1)
    figure.suptitle(title if wrong else "No mistakes", fontsize=13)
    amount = f"{len(shown)} of {len(wrong):,} mistakes among" if wrong else "among"
    figure.supxlabel(f"{amount} {len(true):,} images", fontsize=9, color=drawing.QUIET)
    panels = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, index in zip(panels, shown, strict=False):
        drawing.draw_image(axes, images[index])
        certainty = "" if scores is None else f", {100 * scores[index]:.0f} %"
        axes.set_title(f"true: {drawing.shortened(true[index])}", fontsize=8, color=drawing.RIGHT, pad=13)
        below = f"pred: {drawing.shortened(predicted[index])}{certainty}"
        drawing.above(axes, below, drawing.WRONG, fontsize=8)
        if names is not None:
            axes.text(0.5, -0.03, _tail(names[index]), transform=axes.transAxes, ha="center", va="top", fontsize=6)
    return figure


def _name_classes(axes: Axes, labels: Sequence[str]) -> None:
    names = [drawing.shortened(label, 24) for label in labels]
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names)
    if max(map(len, names)) > 3:
        axes.tick_params("x", labelrotation=45)
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")


def _write_counts(axes: Axes, counts: np.ndarray, mistakes: np.ndarray) -> None:
    darkest = np.nanmax(mistakes, initial=0)
    for row, column in np.argwhere(counts):
        colour = "white" if row != column and mistakes[row, column] > 0.6 * darkest else "#333333"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=8, color=colour)


def _tail(name: object) -> str:
    """Returns the end of a path."""
    text = str(name)
    return text if len(text) <= _LONGEST_PATH else "…" + text[1 - _LONGEST_PATH :]
