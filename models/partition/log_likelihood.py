"""What density estimation is about, watched while a restricted Boltzmann machine trains."""

import keras
import numpy as np

from models.fitting.closed_form import check_count
from models.partition.log_partition import (
    ais_log_partition,
    exact_log_partition,
    log_probability,
    smaller_side,
    spaced_betas,
)

EXACT_UP_TO = 15  # bits of the smaller side: 2^15 states of 784 x 15 units are summed in 0.2 s


class LogLikelihood(keras.callbacks.Callback):
    """Adds the mean log-probability of held-out images to the logs of an epoch, in nats.

    `log_likelihood` is that mean, `log_z` the log of the partition function it stands on, and `log_z_gap` by how much
    the reverse estimate of it lies above: the log-likelihood may be too high by so much, and by more where a mode of
    the model is missing in both. Machines with a side of at most 15 binary units are summed exactly, with a gap of 0.
    Larger ones are estimated by annealed importance sampling, which leaves their own random stream alone; what
    `ais_log_partition` doubts comes as warnings.

    Args:
        data: Held-out images, shape (images, num_visible), labels included where the machine has them.
        base_rate_data: Training images for the base rate, shape (images, num_visible).
        every: Epochs from one look to the next, at least 1.
        chains: Number of chains, forward and as many in reverse.
        temperatures: Steps from the base rate to the machine. 1,000 steps of a 784 x 500 machine take some 10 s.
        seed: Integer that decides the sampling; none means a random one.

    Raises:
        ValueError: `every` is no integer of at least 1.
    """

    def __init__(self, data, base_rate_data, every=1, chains=100, temperatures=1000, seed=None):
        super().__init__()
        check_count("every", every)
        self.data = np.asarray(data)
        self.base_rate_data = np.asarray(base_rate_data)
        self.every = every
        self.chains = chains
        self.betas = spaced_betas(temperatures)
        self.seed = seed

    def on_epoch_end(self, epoch, logs=None):
        """Adds the three to `logs`, every `every` epochs."""
        if logs is None or (epoch + 1) % self.every:
            return
        if smaller_side(self.model) <= EXACT_UP_TO:
            log_z, gap = exact_log_partition(self.model), 0.0
        else:
            estimate = ais_log_partition(self.model, self.base_rate_data, self.chains, self.betas, self.seed)
            log_z, gap = estimate.log_z, estimate.gap
        logs["log_likelihood"] = float(np.mean(log_probability(self.model, self.data, log_z)))
        logs["log_z"] = log_z
        logs["log_z_gap"] = gap
