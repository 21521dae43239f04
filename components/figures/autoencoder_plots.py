"""Plots of autoencoders: reconstructed images, and a map of the codes."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing

_MAX_NAMED_CLASSES = 25  # with more, the names overlap


def reconstructions(
    originals: np.ndarray,
    reconstructed: np.ndarray,
    image_shape: Sequence[int],
    count: int = 20,
    title: str = "Images and their reconstructions",
) -> Figure:
    """Plots images, each above its reconstruction.

    Args:
        originals: Shape (images, num_visible).
        reconstructed: Reconstructions in the same order and of the same shape.
        image_shape: As for `components.figures.filters.filters`.
        count: Largest number of pairs to plot; the first ones are plotted.
        title: Title of the plot; below it stands the mean squared error per pixel over all images passed.

    Example:
        >>> figure = reconstructions(np.zeros((3, 4)), np.full((3, 4), 0.5), (2, 2))
        >>> figure.axes[0].texts[0].get_text()
        'mean squared error of a pixel 0.2500'
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
    """Plots the codes of images as points on the plane of their first two principal components, coloured by class.

    Args:
        codes: Shape (images, units); rows with values that are not finite are left out.
        classes: True class of each image, shape (images,), integers from 0.
        labels: Name of each class, written at the median of its points when there are at most 25 classes.
        title: Title of the plot. Each axis is labelled with its share of the variance.

    Example:
        >>> figure = code_map(np.eye(4), np.array([0, 0, 1, 1]), ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['cat', 'dog', '4 images, codes of 4 units on their principal plane']
    """
    codes = np.asarray(codes, float)
    finite = np.isfinite(codes).all(axis=1)
    plane, shares = _principal_plane(codes[finite])
    classes = np.asarray(classes)[finite]
    colours = [_class_colour(index, len(labels)) for index in range(len(labels))]
    figure = drawing.new_figure(7, 6.4)
    axes = figure.add_subplot()
    size = float(np.clip(20_000 / max(len(plane), 1), 7, 30))  # square points; smaller ones are hard to see
    axes.scatter(
        plane[:, 0], plane[:, 1], s=size, color=[colours[index] for index in classes], alpha=0.55, linewidths=0
    )
    if len(labels) <= _MAX_NAMED_CLASSES:
        _name_clouds(axes, plane, classes, labels, colours)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{100 * shares[0]:.0f} % of the variance", color=drawing.QUIET, fontsize=9)
    axes.set_ylabel(f"{100 * shares[1]:.0f} % of the variance", color=drawing.QUIET, fontsize=9)
    drawing.quiet_axes(axes)
    drawing.title(axes, title, f"{len(plane):,} images, codes of {codes.shape[1]} units on their principal plane")
    return figure


def _principal_plane(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first two principal components of codes (n, units): (n, 2), and each one's share of the variance."""
    centred = codes - (codes.mean(axis=0) if len(codes) else 0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    largest = np.argsort(-variances)[:2]
    plane, shares = np.zeros((len(codes), 2)), np.zeros(2)
    plane[:, : len(largest)] = centred @ directions[:, largest]
    shares[: len(largest)] = variances[largest] / (variances.sum() or 1)
    return plane, shares


def _class_colour(index: int, classes: int) -> tuple[float, float, float, float]:
    few = classes <= 10  # as many colours as the eye tells apart
    return colormaps["tab10"](index) if few else colormaps["turbo"](index / (classes - 1))


def _name_clouds(
    axes: Axes, plane: np.ndarray, classes: np.ndarray, labels: Sequence[str], colours: Sequence[tuple]
) -> None:
    """Writes each class's name at the median of its points, moved until names are a twentieth of the plot apart."""
    present = [index for index in range(len(labels)) if np.any(classes == index)]
    medians = np.array([np.median(plane[classes == index], axis=0) for index in present]).reshape(-1, 2)
    places = _apart(medians, 0.05 * np.ptp(plane, axis=0).max() if len(plane) else 0)
    for index, (x, y) in zip(present, places, strict=True):
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colours[index], "alpha": 0.85}
        axes.text(
            x, y, drawing.shortened(labels[index]), bbox=box,
            ha="center", va="center", fontsize=10, fontweight="bold", color=colours[index],
        )  # fmt: skip


def _apart(places: np.ndarray, distance: float) -> np.ndarray:
    """Pushes points (n, 2) apart in small steps until hardly any two are closer than `distance`."""
    for _ in range(50):
        offsets = places[:, None] - places
        lengths = np.linalg.norm(offsets, axis=-1, keepdims=True)
        push = np.clip(distance - lengths, 0, None) * offsets / np.maximum(lengths, 1e-12)
        places = places + 0.3 * push.sum(axis=1)
    return places
