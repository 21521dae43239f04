"""SavedModel of a density: log-probabilities of images under a single RBM."""

import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.export import layout
from components.export.exported_model import ExportedModel, Outputs
from models.partition.estimate import LogPartitionEstimate
from models.rbm import RBM

_SAMPLES = 10


class ExportedDensity(ExportedModel):
    """Log-probabilities of binary images, sampled from grey ones: a grey level is the probability that its pixel is on.

    A density of binary images has no probability for a grey image. The output is therefore the mean over ten binary
    samples. The grey image alone seeds the sampling, so that it gets the same output every time; an image of black and
    white pixels is its own sample.

    | output | shape | content |
    |---|---|---|
    | `log_probability` | (N,) | nats, with the forward estimate of log Z |
    | `base_rate_log_probability` | (N,) | nats, of the best constant prediction: independent pixels |
    | `hidden` | (N, hidden units) | probabilities of the hidden units, from the grey levels |
    | `reconstruction` | (N, height, width, channels) | in [0, 1], mean-field, one step down from `hidden` |

    `assets/log_partition.json` holds `estimate_summary` and the estimate's warnings.

    Args:
        rbm: RBM with binary units in both layers.
        image_shape: (height, width, channels), whose product is the number of visible units.
        estimate: Estimate of the RBM's partition function.
        pixel_means: Means of the training images, in (0, 1), shape (height * width * channels,).

    Example:
        >>> rbm = RBM(3, seed=1)
        >>> rbm.build((None, 4))
        >>> estimate = LogPartitionEstimate(3.0, 0.1, 9.0, 3.2, 0.1, 9.0)
        >>> model = ExportedDensity(rbm, (2, 2, 1), estimate, np.full(4, 0.5))
        >>> {name: tuple(value.shape) for name, value in model.from_pixels(tf.zeros((1, 2, 2, 1))).items()}
        {'log_probability': (1,), 'base_rate_log_probability': (1,), 'hidden': (1, 3), 'reconstruction': (1, 2, 2, 1)}
    """

    def __init__(
        self, rbm: RBM, image_shape: tuple[int, int, int], estimate: LogPartitionEstimate, pixel_means: np.ndarray
    ) -> None:
        super().__init__(image_shape)
        self.attach("rbm", rbm)
        self.image_shape = image_shape
        self.estimate = estimate
        self.log_z = tf.constant(estimate.log_z, tf.float32)
        self.log_odds = tf.constant(np.log(pixel_means) - np.log1p(-pixel_means), tf.float32)
        self.log_all_off = tf.constant(np.log1p(-pixel_means).sum(), tf.float32)

    def from_pixels(self, pixels: tf.Tensor) -> Outputs:
        """Computes the outputs for images in grey levels, float (N, height, width, channels)."""
        visible = tf.reshape(pixels / 255, (-1, self.rbm.kernel.shape[0]))
        hidden, binary = self.rbm.hidden_probabilities(visible), _binary_samples(pixels)
        free_energy = tf.reshape(self.rbm.free_energy(tf.reshape(binary, (-1, visible.shape[1]))), (-1, _SAMPLES))
        return {
            layout.LOG_PROBABILITY: -tf.reduce_mean(free_energy, axis=1) - self.log_z,
            # Linear in the pixels, so its mean over all binary samples is its value at the grey levels.
            layout.BASE_RATE_LOG_PROBABILITY: tf.linalg.matvec(visible, self.log_odds) + self.log_all_off,
            layout.HIDDEN: hidden,
            layout.RECONSTRUCTION: tf.reshape(self.rbm.visible_probabilities(hidden), (-1, *self.image_shape)),
        }

    def text_assets(self) -> Mapping[str, str]:
        """Returns `assets/log_partition.json`: the summary of the estimate of log Z, and its warnings."""
        summary = estimate_summary(self.estimate) | {"warnings": self.estimate.warnings}
        return {layout.PARTITION_FILE: json.dumps(summary, indent=2) + "\n"}


def estimate_summary(estimate: LogPartitionEstimate) -> dict[str, float]:
    """Returns the numbers of an estimate by name, in nats except for the effective numbers of chains.

    `log_z` is the forward estimate, `reverse` the reverse one and `gap` their distance; `lower` and `upper` bracket
    both by three of their standard errors.
    """
    return {
        "log_z": estimate.log_z,
        "reverse": estimate.reverse_log_z,
        "gap": estimate.gap,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "standard_error": estimate.standard_error,
        "effective_chains": estimate.effective_chains,
        "reverse_effective_chains": estimate.reverse_effective_chains,
    }


def partition_metrics(summary: Mapping[str, float]) -> dict[str, float]:
    """Returns the numbers of `estimate_summary` under their names as a run's metrics, which all begin with `log_z`.

    Example:
        >>> partition_metrics({"log_z": 200.5, "gap": 0.25})
        {'log_z': 200.5, 'log_z_gap': 0.25}
    """
    return {name if name == "log_z" else f"log_z_{name}": value for name, value in summary.items()}


def _binary_samples(pixels: tf.Tensor) -> tf.Tensor:
    """Samples ten binary images, float (N, 10, height * width * channels), from the grey levels of each image."""
    flat = tf.reshape(pixels, (-1, np.prod(pixels.shape[1:])))
    levels = tf.cast(tf.round(flat), tf.int64)
    places = tf.range(1, flat.shape[1] + 1, dtype=tf.int64)
    seeds = tf.stack([tf.reduce_sum(levels, axis=1), tf.reduce_sum(levels * places, axis=1)], axis=1)
    shape = (_SAMPLES, flat.shape[1])
    noise = tf.map_fn(lambda seed: tf.random.stateless_uniform(shape, seed), seeds, fn_output_signature=tf.float32)
    return tf.cast(noise < flat[:, None] / 255, tf.float32)
