"""Pictures of what was learnt and of what went wrong, as matplotlib figures.

Every function returns a new `matplotlib.figure.Figure`, see `components.figures.drawing`. Plots of RBMs are in
`components.figures.rbm_figures`, the most confused pairs of classes in `components.figures.confused_pairs`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing

MAX_FAILURES = 24  # mistakes in the gallery
RIGHT = "#1a7f37"
WRONG = "#b2182b"
_MAX_NAMED_CLASSES = 25  # with more, names overlap, and numbers in the cells of a confusion
_LONGEST_NAME = 18  # characters that fit above an image of the gallery
_LONGEST_PATH = 36  # characters that fit below one


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
    images = drawing.as_images(np.asarray(kernel).T[:count], image_shape)
    finite = np.abs(images[np.isfinite(images)])
    # Not the largest: one wild weight would make all the others pale.
    scale = float(np.quantile(finite, 0.995) if finite.size else 0) or 1.0
    rows = -(-len(images) // drawing.COLUMNS)
    figure = drawing.new_figure(6.4, 0.9 + 0.55 * max(rows, 3))
    axes = figure.add_subplot()
    drawn = drawing.draw_mosaic(axes, images, -scale, scale, "RdBu_r")
    drawing.title(axes, title, f"{len(images)} of {np.shape(kernel)[1]} units, one scale for all")
    if images.shape[-1] == 1:
        drawing.colour_bar(figure, axes, drawn, "weight")
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
    above, below = (drawing.as_images(np.asarray(part)[:count], image_shape) for part in (originals, reconstructed))
    low, high = float(above.min()), float(above.max())
    starts = range(0, len(above), drawing.COLUMNS)
    figure = drawing.new_figure(8, 0.8 + 1.4 * len(starts))
    panels = np.atleast_1d(figure.subplots(len(starts), 1))
    for axes, start in zip(panels, starts, strict=True):
        pairs = [part[start : start + drawing.COLUMNS] for part in (above, below)]
        drawn = drawing.draw_mosaic(axes, np.concatenate(pairs), low, high, "gray", columns=len(pairs[0]))
        height = above.shape[1]
        axes.set_yticks([height / 2, height * 1.5 + 1], ["image", "model"], fontsize=9, color=drawing.QUIET)
    drawing.title(panels[0], title, f"mean squared error of a pixel {error:.4f}")
    if above.shape[-1] == 1:
        drawing.colour_bar(figure, panels, drawn, "pixel")
    return figure


def code_map(
    codes: np.ndarray, classes: np.ndarray, labels: Sequence[str], title: str = "The code of each image"
) -> Figure:
    """Codes of images as points on a plane, coloured by class: their first two principal components.

    Args:
        codes: Shape (images, units); rows that are not finite are left out.
        classes: True class of each image, shape (images,), integers from 0.
        labels: Name of every class, shown at the median of its points where there are at most 25.
        title: Of the figure; beside each axis stands the share of the variance that lies along it.
    """
    codes = np.asarray(codes, float)
    finite = np.isfinite(codes).all(axis=1)
    plane, shares = _principal_plane(codes[finite])
    classes = np.asarray(classes)[finite]
    colours = [_class_colour(index, len(labels)) for index in range(len(labels))]
    figure = drawing.new_figure(7, 6.4)
    axes = figure.add_subplot()
    size = np.clip(20_000 / max(len(plane), 1), 7, 30)  # square points; few small ones would not be seen
    axes.scatter(*plane.T, s=size, color=[colours[index] for index in classes], alpha=0.55, linewidths=0)
    if len(labels) <= _MAX_NAMED_CLASSES:
        _name_clouds(axes, plane, classes, labels, colours)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    for label, share in zip((axes.set_xlabel, axes.set_ylabel), shares, strict=True):
        label(f"{100 * share:.0f} % of the variance", color=drawing.QUIET, fontsize=9)
    drawing.quiet_axes(axes)
    drawing.title(axes, title, f"{len(plane):,} images, {codes.shape[1]} numbers each, seen in their principal plane")
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
    figure = drawing.new_figure(size + 0.9, size)
    axes = figure.add_subplot(facecolor="#e6efe8")
    drawn = axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(float(np.nanmax(mistakes, initial=0)), 1.0))
    total, right = int(counts.sum()), int(np.trace(counts))
    drawing.title(axes, title, f"top-1 error {100 * (total - right) / max(total, 1):.2f} % of {total:,} images")
    axes.set_xlabel("predicted", color=drawing.QUIET)
    axes.set_ylabel("true", color=drawing.QUIET)
    if classes <= _MAX_NAMED_CLASSES:
        _name_classes(axes, labels)
        _write_counts(axes, counts, mistakes)
    axes.tick_params(length=0, colors=drawing.QUIET)
    axes.spines[:].set_visible(False)
    drawing.colour_bar(figure, axes, drawn, "% of the true class that went astray")
    return figure


def mistakes(true: Sequence[str], predicted: Sequence[str], scores: Sequence[float] | None = None) -> list[int]:
    """Indices of the wrongly classified, the most confident first, or in order where there are no scores."""
    wrong = [index for index in range(len(true)) if true[index] != predicted[index]]
    return wrong if scores is None else sorted(wrong, key=lambda index: -scores[index])


def failures(
    images: Sequence[np.ndarray] | Mapping[int, np.ndarray],
    true: Sequence[str],
    predicted: Sequence[str],
    scores: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    count: int = MAX_FAILURES,
    title: str = "Mistakes, the most confident first",
) -> Figure:
    """A gallery of the wrongly classified among the images given.

    Args:
        images: Each (height, width), (height, width, 1) or (height, width, 3); of any size. Grey ones are stretched
            from black to white, colour ones are uint8 or floats in [0, 1]. By index, it may lack all but those shown:
            the first `count` of `mistakes`.
        true: Right class of each.
        predicted: The model's answer for each.
        scores: The probability that it gave its answer, 0 to 1; decides the order.
        names: File name of each, shown below the image.
        count: At most so many.
        title: Of the figure.
    """
    wrong = mistakes(true, predicted, scores)
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
        axes.set_title(f"is {head(true[index])}", fontsize=8, color=RIGHT, pad=13)
        drawing.above(axes, f"said {head(predicted[index])}{certainty}", WRONG, fontsize=8)
        if names is not None:
            axes.text(0.5, -0.03, _tail(names[index]), transform=axes.transAxes, ha="center", va="top", fontsize=6)
    return figure


def _principal_plane(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First two principal components of codes (n, units): (n, 2), and the share of the variance on each."""
    centred = codes - (codes.mean(axis=0) if len(codes) else 0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    largest = np.argsort(-variances)[:2]
    plane, shares = np.zeros((len(codes), 2)), np.zeros(2)
    plane[:, : len(largest)] = centred @ directions[:, largest]
    shares[: len(largest)] = variances[largest] / (variances.sum() or 1)
    return plane, shares


def _class_colour(index: int, classes: int) -> tuple:
    few = classes <= 10  # as many as there are colours that the eye tells apart
    return colormaps["tab10"](index) if few else colormaps["turbo"](index / (classes - 1))


def _name_clouds(
    axes: Axes, plane: np.ndarray, classes: np.ndarray, labels: Sequence[str], colours: Sequence[tuple]
) -> None:
    """Writes every class's name at the median of its points, a twentieth of the figure apart from the next."""
    present = [index for index in range(len(labels)) if np.any(classes == index)]
    medians = np.array([np.median(plane[classes == index], axis=0) for index in present]).reshape(-1, 2)
    places = _apart(medians, 0.05 * np.ptp(plane, axis=0).max() if len(plane) else 0)
    for index, place in zip(present, places, strict=True):
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colours[index], "alpha": 0.85}
        style = {"ha": "center", "va": "center", "fontsize": 10, "fontweight": "bold", "color": colours[index]}
        axes.text(*place, head(labels[index]), bbox=box, **style)


def _apart(places: np.ndarray, distance: float) -> np.ndarray:
    """Pushes points (n, 2) apart, a little at a time, until no two are much closer than `distance`."""
    for _ in range(50):
        offsets = places[:, None] - places
        lengths = np.linalg.norm(offsets, axis=-1, keepdims=True)
        push = np.clip(distance - lengths, 0, None) * offsets / np.maximum(lengths, 1e-12)
        places = places + 0.3 * push.sum(axis=1)
    return places


def _name_classes(axes: Axes, labels: Sequence[str]) -> None:
    names = [head(label, 24) for label in labels]
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


def head(name: object, longest: int = _LONGEST_NAME) -> str:
    """The beginning of a class name."""
    text = str(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _tail(name: object) -> str:
    """The end of a path."""
    text = str(name)
    return text if len(text) <= _LONGEST_PATH else "…" + text[1 - _LONGEST_PATH :]
