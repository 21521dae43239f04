"""Which class is taken for which other most often, and the images that it happened to, as a matplotlib figure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing, figures

MAX_PAIRS = 6
MAX_IMAGES = 6  # of a pair
_LEAST_COLUMNS = 5  # so that a caption has room for two names such as "n02123045 tabby, tabby cat"
_NAME_PER_COLUMN = 6  # characters


@dataclass(frozen=True)
class ConfusedPair:
    """A class, what it is taken for, and how often.

    Args:
        true: Right class.
        predicted: The model's answer.
        images: Indices of all images of the one taken for the other, the most confident first.
        total: Images of the right class, whatever the model says.
    """

    true: str
    predicted: str
    images: tuple[int, ...]
    total: int


def most_confused(
    true: Sequence[str], predicted: Sequence[str], scores: Sequence[float] | None = None
) -> list[ConfusedPair]:
    """All pairs of classes of which the first was taken for the second at least once.

    Args:
        true: Right class of each image.
        predicted: The model's answer for each.
        scores: The probability that it gave its answer, 0 to 1; without, the images of a pair stay in their order.

    Returns:
        The most frequent first. Of equally frequent ones, that whose class has fewer images, then that with the most
        confident mistake.
    """
    totals = Counter(true)
    images: dict[tuple[str, str], list[int]] = {}
    for index in figures.mistakes(true, predicted, scores):
        images.setdefault((true[index], predicted[index]), []).append(index)
    pairs = [ConfusedPair(*names, tuple(wrong), totals[names[0]]) for names, wrong in images.items()]
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
    """Images of the most confused pairs of classes, a pair a row.

    Args:
        images: As for `figures.failures`. By index, it may lack all but those shown: the first `images_each` of the
            first `count` of `most_confused`.
        true: Right class of each.
        predicted: The model's answer for each.
        scores: The probability that it gave its answer, 0 to 1; decides the order and stands above each image.
        count: At most so many pairs.
        images_each: At most so many images of a pair.
        title: Of the figure.
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
                drawing.above(axes, f"{100 * scores[index]:.0f} %", figures.WRONG, fontsize=8)
    return figure


def _caption(axes: Axes, pair: ConfusedPair, longest: int) -> None:
    """Writes over the whole row, whose first axes this is."""
    true, predicted = (figures.head(name, longest) for name in (pair.true, pair.predicted))
    text = f"{true}, taken for {predicted}: {len(pair.images):,} of {pair.total:,}"
    # The blank makes room for the text, whose width the layout would take from the image.
    axes.set_title(" ", fontsize=10, pad=18)
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "left"}
    axes.annotate(text, (0, 1), (0, 18), fontsize=10, **place).set_in_layout(False)
