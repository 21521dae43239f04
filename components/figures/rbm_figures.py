"""Pictures of restricted Boltzmann machines and of nets stacked from them: what a training did, and what it dreams of.

Every function takes NumPy arrays, see `components.figures.rbm_readings`, and returns a new
`matplotlib.figure.Figure`.
What to look for: Hinton, A Practical Guide to Training Restricted Boltzmann Machines (2010), sections 7 and 15.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing, figures

_BINS = 60
_IDLE = 1e-3  # mean activity below which a unit counts as never on, and above 1 minus which as always on
_MAX_NAMED_ROWS = 30  # with more, names at the side overlap


def hidden_activations(
    probabilities: np.ndarray, cases: int = 100, units: int = 250, title: str = "Hidden activations"
) -> Figure:
    """Grey map of hidden probabilities, one row per image, one column per unit, and above it every unit's mean.

    It should look like noise. A black or white column is a unit that never changes and is of no use; a row that stands
    out is an image that the machine makes nothing of; columns that look alike are units that learned the same.

    Args:
        probabilities: Hidden probabilities (or means) of a mini-batch, shape (images, hidden_units).
        cases: At most so many images, the first ones.
        units: At most so many units in the map, the first ones; the counts below the title are over all.
        title: Of the figure.

    Returns:
        White is a unit that is on. Means above 1 (rectified units) stretch the scale, negative ones too.
    """
    values = np.asarray(probabilities, float)
    shown = values[:cases, :units]
    means = np.mean(values, axis=0)
    low, high = drawing.grey_range(shown)
    figure = drawing.new_figure(8, 4.8)
    bars, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 5))
    heights = np.nan_to_num(means[:units], posinf=0, neginf=0)
    bars.bar(range(shown.shape[1]), heights, width=1, color=drawing.ACCENT)
    bars.set_ylim(low, high)
    bars.set_ylabel("mean", color=drawing.QUIET, fontsize=9)
    drawing.quiet_axes(bars)
    bars.tick_params("x", length=0)
    drawn = axes.imshow(shown, cmap="gray", vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    axes.set_xlabel("hidden unit", color=drawing.QUIET, fontsize=9)
    axes.set_ylabel("image", color=drawing.QUIET, fontsize=9)
    drawing.quiet_axes(axes)
    never, always = int(np.sum(means < _IDLE)), int(np.sum(means > 1 - _IDLE))
    idle = f"{never} never on, {always} always on" if low >= 0 and high <= 1 else "not probabilities"
    drawing.title(bars, title, f"mean {np.mean(means):.3f}, {values.shape[1]:,} units: {idle}")
    drawing.colour_bar(figure, axes, drawn, "probability")
    return figure


def histograms(
    parameters: Mapping[str, np.ndarray],
    updates: Mapping[str, np.ndarray] | None = None,
    title: str = "Weights and their updates",
) -> Figure:
    """Histograms of parameters, and below each of its last update.

    An update of about a thousandth of the weights is right; biases may move more. Tails that grow from epoch to epoch
    announce an explosion.

    Args:
        parameters: Arrays of any shape by name, such as "weights", "visible biases", "hidden biases".
        updates: What the last update added to each, by the same names; none leaves that row out.
        title: Of the figure.

    Returns:
        Counts on a logarithmic scale, so that a single wild weight is seen. Below the name: the mean magnitude.
    """
    figure = drawing.new_figure(2.9 * len(parameters) + 0.4, 0.7 + 2.3 * (2 if updates else 1))
    figure.suptitle(title, fontsize=13)
    panels = figure.subplots(2 if updates else 1, len(parameters), squeeze=False)
    for column, (name, values) in enumerate(parameters.items()):
        magnitude = _histogram(panels[0, column], values, drawing.ACCENT)
        drawing.title(panels[0, column], name, f"mean magnitude {magnitude:.2g}")
        if updates:
            step = _histogram(panels[1, column], updates[name], drawing.SECOND)
            share = f", {100 * step / magnitude:.2g} % of it" if magnitude > 0 else ""
            drawing.above(panels[1, column], f"last update {step:.2g}{share}", drawing.QUIET)
    for row in panels:
        row[0].set_ylabel("count", color=drawing.QUIET, fontsize=9)
    return figure


def _histogram(axes: Axes, values: np.ndarray, colour: str) -> float:
    """Draws the finite values and returns their mean magnitude; says how many are not finite."""
    values = np.asarray(values, float).ravel()
    finite = values[np.isfinite(values)]
    axes.hist(finite, bins=_BINS, color=colour, log=bool(finite.size))
    if finite.size:
        axes.set_ylim(bottom=0.7)  # a count of 1 is seen
    drawing.quiet_axes(axes)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    if finite.size < values.size:
        lost = f"{values.size - finite.size:,} not finite"
        axes.text(0.5, 0.5, lost, transform=axes.transAxes, ha="center", color="#b2182b", fontsize=9)
    return float(np.mean(np.abs(finite))) if finite.size else 0.0


def fantasies(
    states: np.ndarray, image_shape: Sequence[int], steps: Sequence[int], title: str = "Fantasies of Gibbs chains"
) -> Figure:
    """Where Gibbs chains wander: one row per chain, one column per moment.

    Args:
        states: Visible means, shape (moments, chains, num_visible), see `rbm_readings.gibbs_moments`.
        image_shape: (height, width) or (height, width, channels).
        steps: Full steps of Gibbs sampling that each moment comes after, moments of them; 0 is where chains start.
        title: Of the figure.
    """
    states = np.asarray(states)
    names = [f"{step:,}" if step else "start" for step in steps]
    below = f"each row is one chain, after 0 to {max(steps):,} steps"
    return _table(np.swapaxes(states, 0, 1), image_shape, title, below, column_names=names, column_title="Gibbs steps")


def class_samples(
    samples: np.ndarray,
    image_shape: Sequence[int],
    labels: Sequence[str],
    title: str = "Images made up for each class",
    below: str = "one class per row, its label unit held on",
) -> Figure:
    """Images that a net generates when told the class: one row per class.

    Args:
        samples: Shape (classes, samples, num_visible).
        image_shape: As for `fantasies`.
        labels: Name of every class.
        title: Of the figure.
        below: The line below the title.
    """
    return _table(np.asarray(samples), image_shape, title, below, row_names=labels)


def layer_reconstructions(
    originals: np.ndarray,
    by_layer: Sequence[np.ndarray],
    image_shape: Sequence[int],
    count: int = 12,
    title: str = "Images carried up to each layer and down again",
) -> Figure:
    """Images, and below each what is left of it after every layer.

    Args:
        originals: Shape (images, num_visible).
        by_layer: Bottom up, the reconstructions through each layer and those below it, the same shape; beside each
            layer stands its mean squared error of a pixel, over all images given.
        image_shape: As for `fantasies`.
        count: At most so many images, the first ones.
        title: Of the figure.
    """
    errors = [float(np.mean((np.asarray(originals) - reconstructed) ** 2)) for reconstructed in by_layer]
    names = ["image", *(f"layer {number}, {error:.4f}" for number, error in enumerate(errors, start=1))]
    rows = np.stack([np.asarray(images)[:count] for images in (originals, *by_layer)])
    below = f"beside each layer: mean squared error of a pixel, over {len(originals):,} images"
    return _table(rows, image_shape, title, below, row_names=names)


def _table(
    images: np.ndarray,
    image_shape: Sequence[int],
    title: str,
    below: str,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    column_title: str = "",
) -> Figure:
    """Images (rows, columns, units) as one mosaic with names at its sides."""
    rows, columns = images.shape[:2]
    tiles = drawing.as_images(images.reshape(rows * columns, -1), image_shape)
    height, width = tiles.shape[1:3]
    low, high = drawing.grey_range(tiles)
    side = min(0.62, 12 / max(columns, rows))
    figure = drawing.new_figure(max(1.6 + side * columns, 4), 1.1 + side * rows * height / width)
    axes = figure.add_subplot()
    drawing.draw_mosaic(axes, tiles, low, high, "gray", columns)
    if row_names and rows <= _MAX_NAMED_ROWS:
        names = [figures.head(name) for name in row_names]
        axes.set_yticks([(height + 1) * row + (height - 1) / 2 for row in range(rows)], names, fontsize=9)
    if column_names:
        places = [(width + 1) * column + (width - 1) / 2 for column in range(columns)]
        axes.set_xticks(places, column_names, fontsize=9)
        axes.set_xlabel(column_title, color=drawing.QUIET, fontsize=9)
    axes.tick_params(colors=drawing.QUIET)
    drawing.title(axes, title, below)
    return figure


def higher_filters(
    kernels: Sequence[np.ndarray], image_shape: Sequence[int], count: int = 100, title: str | None = None
) -> Figure:
    """What the units of a higher layer look for, as far as that is linear: their weights through all kernels below.

    Args:
        kernels: Bottom up, (num_visible, units), (units, units above), ...
        image_shape: As for `figures.filters`.
        count: At most so many units, the first ones.
        title: Of the figure; by default it names the layer.

    Returns:
        As `figures.filters`. The mean image of all the units is taken off, which else hides what they differ in.

    Source: Lee, Ekanadham & Ng, NIPS 2007: weighted sums of the filters below.
    """
    projected = np.asarray(kernels[0], float)
    for kernel in kernels[1:]:
        projected = projected @ np.asarray(kernel, float)
    projected = projected - projected.mean(axis=1, keepdims=True)
    return figures.filters(
        projected, image_shape, count, title or f"What layer {len(kernels)} looks for, seen linearly"
    )


def annealing_bracket(
    positions: Sequence[float],
    forward: Sequence[float],
    reverse: Sequence[float],
    quantity: str = "log-probability of an image, nats",
    along: str = "epoch",
    logarithmic: bool = False,
    title: str = "Annealed importance sampling",
) -> Figure:
    """The forward and the reverse estimate of one quantity, and between them the gap in which the truth should lie.

    Args:
        positions: Epochs, or numbers of temperatures, ascending.
        forward: Estimate by annealing from the base rate to the model, at each position, nats.
        reverse: The same from the model to the base rate.
        quantity: What is estimated, with its unit.
        along: What `positions` are.
        logarithmic: Whether positions are spaced by their logarithms.
        title: Of the figure; below it stand the last two estimates and their gap.
    """
    forward, reverse = np.asarray(forward, float), np.asarray(reverse, float)
    figure = drawing.new_figure(7, 4.2)
    axes = figure.add_subplot()
    axes.fill_between(positions, forward, reverse, color="#cccccc", alpha=0.5, linewidth=0)
    for values, name, colour in ((forward, "forward", drawing.ACCENT), (reverse, "reverse", drawing.SECOND)):
        axes.plot(positions, values, color=colour, marker="o", markersize=3, linewidth=1.5, label=name)
    axes.set_xlabel(along, color=drawing.QUIET, fontsize=9)
    axes.set_ylabel(quantity, color=drawing.QUIET, fontsize=9)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xticks(positions, [f"{position:,}" for position in positions])
        axes.set_xticks([], minor=True)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, labelcolor=drawing.QUIET)
    drawing.quiet_axes(axes)
    gap = abs(forward[-1] - reverse[-1])
    drawing.title(axes, title, f"last: forward {forward[-1]:.2f}, reverse {reverse[-1]:.2f}, gap {gap:.2f}")
    return figure
