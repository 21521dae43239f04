"""Keras callbacks that add diagnostic metrics of an RBM in training to the logs of an epoch."""

import keras
from keras import ops

from models.types import Tensor


class FreeEnergyGap(keras.callbacks.Callback):
    """Adds `free_energy_gap`: mean free energy of some training images minus that of held-out images, in nats.

    The partition function cancels, so the gap compares the probabilities that the model assigns to the two sets. It
    stays near 0 as long as the model does not over-fit, and falls further and further below 0 when it does.

    Args:
        training: Fixed part of the training images, shape (images, num_visible).
        held_out: As many images that are not trained on, shape (images, num_visible).

    Example:
        >>> from models.rbm import RBM
        >>> images = ops.eye(4)
        >>> rbm = RBM(hidden_units=2, seed=1)
        >>> rbm.build((None, 4))
        >>> monitor, logs = FreeEnergyGap(images, images), {}
        >>> monitor.set_model(rbm)
        >>> monitor.on_epoch_end(0, logs)
        >>> logs
        {'free_energy_gap': 0.0}

    Source: Hinton, A Practical Guide to Training Restricted Boltzmann Machines (2010), section 6.
    """

    def __init__(self, training: Tensor, held_out: Tensor) -> None:
        super().__init__()
        self.training = training
        self.held_out = held_out

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the gap to `logs`."""
        gap = ops.mean(self.model.free_energy(self.training)) - ops.mean(self.model.free_energy(self.held_out))
        _add(logs, "free_energy_gap", gap)


class PseudoLogLikelihood(keras.callbacks.Callback):
    """Adds `pseudo_log_likelihood`: its mean over held-out images, in nats per image; higher is better.

    It is exact and costs 2 num_visible free energies per image: 100 images of 784 pixels with 500 hidden units take
    0.25 s.

    Args:
        held_out: Images that are not trained on, shape (images, num_visible).

    Example:
        >>> from models.rbm import RBM
        >>> images = ops.eye(4)
        >>> rbm = RBM(hidden_units=2, weight_stddev=0.0)
        >>> rbm.build((None, 4))
        >>> monitor, logs = PseudoLogLikelihood(images), {}
        >>> monitor.set_model(rbm)
        >>> monitor.on_epoch_end(0, logs)
        >>> round(logs["pseudo_log_likelihood"], 4)  # 4 log 1/2
        -2.7726
    """

    def __init__(self, held_out: Tensor) -> None:
        super().__init__()
        self.held_out = held_out

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the mean to `logs`."""
        _add(logs, "pseudo_log_likelihood", ops.mean(self.model.pseudo_log_likelihood(self.held_out)))


def _add(logs: dict[str, float] | None, key: str, value: Tensor) -> None:
    if logs is not None:
        logs[key] = float(ops.convert_to_numpy(value))
