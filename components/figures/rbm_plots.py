"""Diagnostic plots of RBMs and of nets stacked from them: activations, weights and updates, fantasies, log Z.

Each function takes NumPy arrays, see `components.figures.rbm_arrays`, and returns a new `matplotlib.figure.Figure`.

Source: Hinton, A Practical Guide to Training Restricted Boltzmann Machines (2010), sections 7 and 15.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.figures import drawing

_BINS = 60
_IDLE = 1e-3  # a unit with a mean below this counts as never on, and one with a mean above 1 minus this as always on
_MAX_NAMED_ROWS = 30  # with more, the names of the rows overlap


def hidden_activations(
    probabilities: np.ndarray, max_images: int = 100, max_units: int = 250, title: str = "Hidden activations"
) -> Figure:
    """Plots a grey map of hidden probabilities, one row per image and one column per unit, below the mean of each unit.

    The map of a healthy layer looks like noise. A black or white column is a unit that never changes, so it is useless;
    a row that stands out is an image that the RBM does not represent; columns that look alike are redundant units.

    Args:
        probabilities: Hidden probabilities (or means) of a mini-batch, shape (images, hidden_units).
        max_images: Largest number of images to plot; the first ones are plotted.
        max_units: Largest number of units to plot; the counts below the title are over all units.
        title: Title of the plot.

    Returns:
        White is a unit that is on. Means above 1 (rectified units) or below 0 stretch the scale.

    Example:
        >>> figure = hidden_activations(np.array([[0.0, 0.5], [0.0, 0.7]]))
        >>> figure.axes[0].texts[0].get_text()
        'mean 0.300, 2 units: 1 never on, 0 always on'
    """
    values = np.asarray(probabilities, float)
    shown = values[:max_images, :max_units]
    means = np.mean(values, axis=0)
    low, high = drawing.grey_range(shown)
    figure = drawing.new_figure(8, 4.8)
    bars, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 5))
    heights = np.nan_to_num(means[:max_units], posinf=0, neginf=0)
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
    """Plots a histogram of each parameter, above a histogram of its last update.

    Updates should be about a thousandth of the weights; biases may move more. Tails that grow from epoch to epoch
    announce divergence.

    Args:
        parameters: Arrays of any shape by name, such as "weights", "visible biases", "hidden biases".
        updates: The last update of each parameter by the same names; None leaves that row out.
        title: Title of the plot.

    Returns:
        Counts on a logarithmic scale, so that a single outlier is visible. Below each name stands the mean magnitude.
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
    """Draws the finite values, writes how many are not finite, and returns the mean magnitude of the finite ones."""
    values = np.asarray(values, float).ravel()
    finite = values[np.isfinite(values)]
    axes.hist(finite, bins=_BINS, color=colour, log=bool(finite.size))
    if finite.size:
        axes.set_ylim(bottom=0.7)  # keeps a count of 1 visible
    drawing.quiet_axes(axes)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    if finite.size < values.size:
        lost = f"{values.size - finite.size:,} not finite"
        axes.text(0.5, 0.5, lost, transform=axes.transAxes, ha="center", color=drawing.WRONG, fontsize=9)
    return float(np.mean(np.abs(finite))) if finite.size else 0.0


def fantasies(
    states: np.ndarray, image_shape: Sequence[int], steps: Sequence[int], title: str = "Fantasies of Gibbs chains"
) -> Figure:
    """Plots the states of Gibbs chains: one row per chain, one column per snapshot.

    Args:
        states: Visible means, shape (snapshots, chains, num_visible), see `rbm_arrays.gibbs_snapshots`.
        image_shape: (height, width) or (height, width, channels).
        steps: Number of full Gibbs steps before each snapshot; 0 is the start of the chains.
        title: Title of the plot.
    """
    states = np.asarray(states)
    names = [f"{step:,}" if step else "start" for step in steps]
    below = f"each row is one chain, after 0 to {max(steps):,} steps"
    return _table(np.swapaxes(states, 0, 1), image_shape, title, below, column_names=names, column_title="Gibbs steps")


def class_samples(
    samples: np.ndarray,
    image_shape: Sequence[int],
    labels: Sequence[str],
    title: str = "Images generated for each class",
    below: str = "one class per row, its label unit clamped on",
) -> Figure:
    """Plots images that a net generated for given classes: one row per class.

    Args:
        samples: Shape (classes, samples, num_visible).
        image_shape: As for `fantasies`.
        labels: Name of each class.
        title: Title of the plot.
        below: Line below the title.
    """
    return _table(np.asarray(samples), image_shape, title, below, row_names=labels)


def layer_reconstructions(
    originals: np.ndarray,
    by_layer: Sequence[np.ndarray],
    image_shape: Sequence[int],
    count: int = 12,
    title: str = "Images and their reconstructions from each layer",
) -> Figure:
    """Plots images, each above its reconstructions from every layer.

    Args:
        originals: Shape (images, num_visible).
        by_layer: Bottom up, the reconstructions through each layer and the layers below it, of the same shape. Beside
            each layer stands its mean squared error per pixel over all images passed.
        image_shape: As for `fantasies`.
        count: Largest number of images to plot; the first ones are plotted.
        title: Title of the plot.
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
    """Plots images (rows, columns, units) as one mosaic with the names of its rows and columns."""
    rows, columns = images.shape[:2]
    tiles = drawing.as_images(images.reshape(rows * columns, -1), image_shape)
    height, width = tiles.shape[1:3]
    low, high = drawing.grey_range(tiles)
    side = min(0.62, 12 / max(columns, rows))
    figure = drawing.new_figure(max(1.6 + side * columns, 4), 1.1 + side * rows * height / width)
    axes = figure.add_subplot()
    drawing.draw_mosaic(axes, tiles, low, high, "gray", columns)
    if row_names and rows <= _MAX_NAMED_ROWS:
        names = [drawing.shortened(name) for name in row_names]
        axes.set_yticks([(height + 1) * row + (height - 1) / 2 for row in range(rows)], names, fontsize=9)
    if column_names:
        places = [(width + 1) * column + (width - 1) / 2 for column in range(columns)]
        axes.set_xticks(places, column_names, fontsize=9)
        axes.set_xlabel(column_title, color=drawing.QUIET, fontsize=9)
    axes.tick_params(colors=drawing.QUIET)
    drawing.title(axes, title, below)
    return figure


def annealing_bracket(
    positions: Sequence[float],
    forward: Sequence[float],
    reverse: Sequence[float],
    quantity: str = "log-probability of an image, nats",
    along: str = "epoch",
    logarithmic: bool = False,
    title: str = "Annealed importance sampling",
) -> Figure:
    """Plots the forward and the reverse estimate of one quantity, and the gap between them that should hold the truth.

    Args:
        positions: Epochs, or numbers of temperatures, ascending.
        forward: Estimate at each position by annealing from the base-rate model to the model, in nats.
        reverse: Estimate at each position by annealing from the model to the base-rate model, in nats.
        quantity: Label of the vertical axis: the estimated quantity with its unit.
        along: Label of the horizontal axis: the meaning of `positions`.
        logarithmic: Whether the horizontal axis is logarithmic.
        title: Title of the plot; below it stand the last two estimates and their gap.

    Example:
        >>> figure = annealing_bracket([100, 1000], [5.0, 5.5], [7.0, 6.0])
        >>> figure.axes[0].texts[0].get_text()
        'last: forward 5.50, reverse 6.00, gap 0.50'
    """
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
