"""The SavedModel of a density: log-probabilities of images under one restricted Boltzmann machine."""

import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.export import layout
from components.export.exported_model import ExportedModel
from models.partition.estimate import LogPartitionEstimate
from models.rbm import RBM

_DRAWS = 10


class ExportedDensity(ExportedModel):
    """Log-probabilities of binary images, drawn from grey ones: a grey level is the probability that its pixel is on.

    A density of binary images has no probability for a grey one. What is answered is the mean over ten binary images,
    whose draw is decided by the grey image alone, so that an image gets the same answer every time; an image of black
    and white pixels is its own draw.

    | output | shape | what |
    |---|---|---|
    | `log_probability` | (N,) | nats, with the forward estimate of log Z |
    | `base_rate_log_probability` | (N,) | nats, of the best constant answer: independent pixels with the data's means |
    | `hidden` | (N, hidden units) | probabilities of the hidden units, from the grey levels |
    | `reconstruction` | (N, height, width, channels) | in [0, 1], mean-field, by one step down from there |

    `assets/log_partition.json` holds what `estimate_summary` returns, and the reasons not to trust it.

    Args:
        rbm: the machine, with binary units on both sides.
        image_shape: (height, width, channels), whose product is the number of visible units.
        estimate: of its partition function.
        pixel_means: of the training images, in (0, 1), (height * width * channels,).
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

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels)."""
        visible = tf.reshape(pixels / 255, (-1, self.rbm.kernel.shape[0]))
        hidden, binary = self.rbm.hidden_probabilities(visible), _draws(pixels)
        free_energy = tf.reshape(self.rbm.free_energy(tf.reshape(binary, (-1, visible.shape[1]))), (-1, _DRAWS))
        return {
            layout.LOG_PROBABILITY: -tf.reduce_mean(free_energy, axis=1) - self.log_z,
            # The mean over all draws, not over ten: it is linear in the pixels.
            layout.BASE_RATE_LOG_PROBABILITY: tf.linalg.matvec(visible, self.log_odds) + self.log_all_off,
            layout.HIDDEN: hidden,
            layout.RECONSTRUCTION: tf.reshape(self.rbm.visible_probabilities(hidden), (-1, *self.image_shape)),
        }

    def text_assets(self) -> Mapping[str, str]:
        """The estimate of log Z."""
        said = estimate_summary(self.estimate) | {"warnings": self.estimate.warnings}
        return {layout.PARTITION_FILE: json.dumps(said, indent=2) + "\n"}


def estimate_summary(estimate: LogPartitionEstimate) -> dict[str, float]:
    """An estimate's figures by name: nats, but for the effective numbers of chains.

    `log_z` is the forward estimate, `reverse` the one beside it and `gap` their distance; `lower` and `upper` bracket
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


def partition_metrics(figures: Mapping[str, float]) -> dict[str, float]:
    """What `estimate_summary` returns, by the names of metrics of a run: all begin with `log_z`."""
    return {name if name == "log_z" else f"log_z_{name}": value for name, value in figures.items()}


def _draws(pixels: tf.Tensor) -> tf.Tensor:
    """Grey levels, float (N, height, width, channels), to binary images, float (N, 10, height * width * channels)."""
    flat = tf.reshape(pixels, (-1, np.prod(pixels.shape[1:])))
    levels = tf.cast(tf.round(flat), tf.int64)
    places = tf.range(1, flat.shape[1] + 1, dtype=tf.int64)
    seeds = tf.stack([tf.reduce_sum(levels, axis=1), tf.reduce_sum(levels * places, axis=1)], axis=1)
    shape = (_DRAWS, flat.shape[1])
    noise = tf.map_fn(lambda seed: tf.random.stateless_uniform(shape, seed), seeds, fn_output_signature=tf.float32)
    return tf.cast(noise < flat[:, None] / 255, tf.float32)
