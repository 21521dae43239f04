"""Plot of the most confused pairs of classes: which class is predicted as which other, with example images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing
from components.figures.classifier_plots import misclassified

MAX_PAIRS = 6
MAX_IMAGES = 6  # per pair
_LEAST_COLUMNS = 5  # so that a caption has room for two names such as "n02123045 tabby, tabby cat"
_NAME_PER_COLUMN = 6  # characters


@dataclass(frozen=True)
class ConfusedPair:
    """A class, another class predicted for its images, and those images.

    Args:
        true: True class.
        predicted: Predicted class.
        images: Indices of all images of `true` predicted as `predicted`, the most confident first.
        total: Number of images of the true class, whatever their prediction.
    """

    true: str
    predicted: str
    images: tuple[int, ...]
    total: int


def most_confused(
    true: Sequence[str], predicted: Sequence[str], scores: Sequence[float] | None = None
) -> list[ConfusedPair]:
    """Returns all pairs of classes whose first was predicted as the second at least once.

    Args:
        true: True class of each image.
        predicted: Predicted class of each image.
        scores: Probability of the predicted class, 0 to 1; without it, the images of a pair keep their order.

    Returns:
        The pairs, most frequent first. Ties go to the class with fewer images, then to the most confident mistake.

    Example:
        >>> most_confused(["cat", "cat", "dog"], ["dog", "cat", "dog"])
        [ConfusedPair(true='cat', predicted='dog', images=(0,), total=2)]
    """
    totals = Counter(true)
    images: dict[tuple[str, str], list[int]] = {}
    for index in misclassified(true, predicted, scores):
        images.setdefault((true[index], predicted[index]), []).append(index)
    pairs = [ConfusedPair(*classes, tuple(wrong), totals[classes[0]]) for classes, wrong in images.items()]
    return sorted(pairs, key=lambda pair: (-len(pair.images), pair.total))


def confused_pairs(
    images: Sequence[np.ndarray] | Mapping[int, np.ndarray],
    true: Sequence[str],
    predicted: Sequence[str],
    scores: Sequence[float] | None = None,
    count: int = MAX_PAIRS,
    images_each: int = MAX_IMAGES,
    title: str = "Most confused",
) -> Figure:
    """Plots images of the most confused pairs of classes, one row per pair.

    Args:
        images: As for `classifier_plots.gallery`. A mapping by index needs only the images shown: the first
            `images_each` of the first `count` pairs of `most_confused`.
        true: True class of each image.
        predicted: Predicted class of each image.
        scores: Probability of the predicted class, 0 to 1; decides the order and stands above each image.
        count: Largest number of pairs to plot.
        images_each: Largest number of images per pair.
        title: Title of the plot.
    """
    pairs = most_confused(true, predicted, scores)
    shown = pairs[:count]
    columns = max([_LEAST_COLUMNS, *(min(len(pair.images), images_each) for pair in shown)])
    figure = drawing.new_figure(1.55 * columns, 0.9 + 1.95 * len(shown) if shown else 1)
    figure.suptitle(title if shown else "No mistakes", fontsize=13)
    amount = f"{len(shown)} of {len(pairs):,} confused pairs among" if shown else "among"
    figure.supxlabel(f"{amount} {len(true):,} images", fontsize=9, color=drawing.QUIET)
    panels = np.asarray(figure.subplots(max(len(shown), 1), columns, squeeze=False))
    for axes in panels.ravel():
        axes.set_axis_off()
    for row, pair in zip(panels, shown, strict=False):
        _caption(row[0], pair, _NAME_PER_COLUMN * columns)
        for axes, index in zip(row, pair.images[:images_each], strict=False):
            drawing.draw_image(axes, images[index])
            if scores is not None:
                drawing.above(axes, f"{100 * scores[index]:.0f} %", drawing.WRONG, fontsize=8)
    return figure


def _caption(axes: Axes, pair: ConfusedPair, longest: int) -> None:
    """Writes a caption over a whole row of images.

    Args:
        axes: First axes of the row.
        pair: The pair to describe.
        longest: Number of characters that fit for each class name.
    """
    true, predicted = (drawing.shortened(name, longest) for name in (pair.true, pair.predicted))
    text = f"{true}, predicted as {predicted}: {len(pair.images):,} of {pair.total:,}"
    # The blank title reserves the height. The text stays out of the layout, which would narrow the image to fit it.
    axes.set_title(" ", fontsize=10, pad=18)
    annotation = axes.annotate(
        text, (0, 1), (0, 18), fontsize=10, xycoords="axes fraction", textcoords="offset points", ha="left"
    )
    annotation.set_in_layout(False)
