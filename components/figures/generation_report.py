"""Plot of images that a deep belief net with labels generates, logged to MLflow."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from components.figures import rbm_plots
from components.reporting.station_tracker import StationTracker
from models.up_down import LabelDBN

# 1,000 Gibbs steps of 100 chains of a 510 x 2000 RBM take some 8 s of processor time in a graph, and 20 s without.
_CLASSES, _SAMPLES, _STEPS = 10, 10, 1000


def log_generated(
    net: LabelDBN, image_shape: Sequence[int], labels: Sequence[str], tracker: StationTracker, steps: int = _STEPS
) -> None:
    """Logs ten images that the net generates for each of the first ten classes.

    Args:
        net: The trained net.
        image_shape: (height, width, channels).
        labels: Class names in index order.
        tracker: Receives `generated.png`.
        steps: Gibbs steps of the top RBM for each image.
    """

    def plot() -> Figure:
        shown = labels[:_CLASSES]
        wanted = np.repeat(np.arange(len(shown)), _SAMPLES)
        generate = tf.function(lambda: net.generate(len(wanted), gibbs_steps=steps, label=wanted))
        images = generate().numpy()
        return rbm_plots.class_samples(images.reshape(len(shown), _SAMPLES, -1), image_shape, shown)

    tracker.log_figure(plot, "generated.png")
