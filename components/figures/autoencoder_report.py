"""Plots of an autoencoder's reconstructions and codes, logged to MLflow."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from components.export import layout
from components.export.autoencoder import ExportedAutoencoder
from components.figures import autoencoder_plots
from components.input_pipeline.image_data import ImageData
from components.reporting.station_tracker import StationTracker

_MAX_IMAGES = 1000  # points in the map of the codes


def log_autoencoder(
    autoencoder: ExportedAutoencoder, data: ImageData, split: str, labels: Sequence[str], tracker: StationTracker
) -> None:
    """Logs reconstructions and codes of the first images of a split.

    Args:
        autoencoder: The trained model.
        data: Images of the split; the first 1,000 are plotted.
        split: Name of the split, for the titles.
        labels: Class names in index order.
        tracker: Receives `reconstructions.png` and `codes.png`.
    """

    @cache  # computed once for two plots, and not at all without a run
    def computed() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        images, classes = next(iter(data.batches(_MAX_IMAGES)))
        outputs = autoencoder.from_pixels(tf.cast(images, tf.float32))
        return images.numpy() / 255, classes.numpy(), {name: output.numpy() for name, output in outputs.items()}

    def reconstructions() -> Figure:
        images, _, outputs = computed()
        title = f"{split.capitalize()} images and their reconstructions"
        return autoencoder_plots.reconstructions(images, outputs[layout.RECONSTRUCTION], images.shape[1:], title=title)

    def codes() -> Figure:
        _, classes, outputs = computed()
        return autoencoder_plots.code_map(outputs[layout.CODE], classes, labels, f"Codes of {split} images")

    tracker.log_figure(reconstructions, "reconstructions.png")
    tracker.log_figure(codes, "codes.png")
