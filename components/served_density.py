"""The SavedModel of a density: log-probabilities of images under one restricted Boltzmann machine."""

import json
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.served_model import PARTITION_FILE, ServedModel
from models.log_partition_estimate import LogPartitionEstimate
from models.rbm import RBM

LOG_PROBABILITY = "log_probability"
BASE_RATE = "base_rate_log_probability"


class ServedDensity(ServedModel):
    """Log-probabilities of images scaled to [0, 1], whose grey levels enter as they are (see `models.partition`).

    | output | shape | what |
    |---|---|---|
    | `log_probability` | (N,) | nats, with the forward estimate of log Z |
    | `base_rate_log_probability` | (N,) | nats, of the best constant answer: independent pixels with the data's means |
    | `hidden` | (N, hidden units) | probabilities of the hidden units |
    | `reconstruction` | (N, height, width, channels) | in [0, 1], mean-field, by one step down from there |

    `assets/log_partition.json` holds log Z, its bracket and standard error in nats, and the reasons not to trust it.

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
        self.hold("rbm", rbm)
        self.image_shape = image_shape
        self.estimate = estimate
        self.log_z = tf.constant(estimate.log_z, tf.float32)
        self.log_odds = tf.constant(np.log(pixel_means) - np.log1p(-pixel_means), tf.float32)
        self.log_all_off = tf.constant(np.log1p(-pixel_means).sum(), tf.float32)

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels)."""
        visible = tf.reshape(pixels / 255, (-1, self.rbm.kernel.shape[0]))
        hidden = self.rbm.hidden_probabilities(visible)
        return {
            LOG_PROBABILITY: -self.rbm.free_energy(visible) - self.log_z,
            BASE_RATE: tf.linalg.matvec(visible, self.log_odds) + self.log_all_off,
            "hidden": hidden,
            "reconstruction": tf.reshape(self.rbm.visible_probabilities(hidden), (-1, *self.image_shape)),
        }

    def texts(self) -> Mapping[str, str]:
        """The estimate of log Z."""
        said = {key: getattr(self.estimate, key) for key in ("log_z", "lower", "upper", "standard_error", "warnings")}
        return {PARTITION_FILE: json.dumps(said, indent=2) + "\n"}
