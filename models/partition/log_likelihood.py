"""Keras callback that monitors the log-likelihood of an RBM in training."""

from typing import Any

import keras
import numpy as np

from models.checks import check_count
from models.partition.log_partition import (
    ais_log_partition,
    enumerable_bits,
    exact_log_partition,
    log_probability,
    spaced_betas,
)

MAX_EXACT_BITS = 15  # of the smaller side: 2^15 states of 784 x 15 units are summed in 0.2 s


class LogLikelihood(keras.callbacks.Callback):
    """Adds the mean log-probability of held-out images to the logs of an epoch, in nats.

    `log_likelihood` is that mean, `log_z` the log of the partition function it is based on, and `log_z_gap` the reverse
    minus the forward estimate of `log_z`: the log-likelihood may be too high by that much, and by more where a mode of
    the model is missing from both. RBMs with a side of at most 15 binary units are summed exactly, with a gap of 0.
    Larger RBMs are estimated by annealed importance sampling, which does not touch their own random stream; its doubts
    are issued as warnings, see `ais_log_partition`.

    Args:
        data: Held-out images, shape (images, num_visible), labels included where the RBM has label units.
        base_rate_data: Training images for the base rate, shape (images, num_visible).
        every: Epochs from one evaluation to the next, at least 1.
        chains: Number of chains, forward and as many in reverse.
        temperatures: Steps from the base rate to the RBM. 1,000 steps of 784 x 500 units take some 10 s.
        seed: Integer that determines the sampling; None means a random one.

    Raises:
        ValueError: `every` is not an integer of at least 1.

    Example:
        >>> from models.rbm import RBM
        >>> images = np.eye(4, dtype="float32")
        >>> rbm = RBM(hidden_units=2, weight_stddev=0.0)
        >>> rbm.build((None, 4))
        >>> monitor, logs = LogLikelihood(images, images), {}
        >>> monitor.set_model(rbm)
        >>> monitor.on_epoch_end(0, logs)
        >>> {key: round(value, 4) for key, value in logs.items()}  # 16 equally probable images
        {'log_likelihood': -2.7726, 'log_z': 4.1589, 'log_z_gap': 0.0}
    """

    def __init__(
        self,
        data: Any,
        base_rate_data: Any,
        every: int = 1,
        chains: int = 100,
        temperatures: int = 1000,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_count("every", every)
        self.data = np.asarray(data)
        self.base_rate_data = np.asarray(base_rate_data)
        self.every = every
        self.chains = chains
        self.betas = spaced_betas(temperatures)
        self.seed = seed

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the three metrics to `logs`, every `every` epochs."""
        if logs is None or (epoch + 1) % self.every:
            return
        if enumerable_bits(self.model) <= MAX_EXACT_BITS:
            log_z, gap = exact_log_partition(self.model), 0.0
        else:
            estimate = ais_log_partition(self.model, self.base_rate_data, self.chains, self.betas, self.seed)
            log_z, gap = estimate.log_z, estimate.gap
        logs["log_likelihood"] = float(np.mean(log_probability(self.model, self.data, log_z)))
        logs["log_z"] = log_z
        logs["log_z_gap"] = gap
