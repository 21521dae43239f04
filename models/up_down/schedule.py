"""Schedules of the up-down algorithm: Gibbs steps and learning rate."""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any

import keras

from models.config import UpDownConfig
from models.fitting.sgd import MomentumSGD, decaying_rate


class GibbsStages(keras.callbacks.Callback):
    """Sets the `gibbs_steps` of a `models.up_down.net.UpDownNet` to those of the stage that each epoch belongs to.

    Args:
        epochs: Number of epochs of each stage.
        gibbs_steps: Number of Gibbs steps in each stage.

    Raises:
        ValueError: The two differ in length.

    Example:
        >>> from models.up_down.net import UpDownNet
        >>> stages = GibbsStages(epochs=(2, 1), gibbs_steps=(3, 6))
        >>> stages.set_model(UpDownNet((3, 2), num_classes=2))
        >>> stages.model.compile()
        >>> stages.on_epoch_begin(2)
        >>> stages.model.gibbs_steps
        6
    """

    def __init__(self, epochs: Sequence[int], gibbs_steps: Sequence[int]) -> None:
        super().__init__()
        if len(epochs) != len(gibbs_steps):
            raise ValueError(
                "each stage of up-down has one entry in `epochs` and one in `gibbs_steps`; "
                f"received epochs={epochs}, gibbs_steps={gibbs_steps}"
            )
        self._ends = list(itertools.accumulate(epochs))
        self._gibbs_steps = gibbs_steps

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Changes the steps at the beginning of a stage."""
        steps = self._gibbs_steps[bisect.bisect_right(self._ends, epoch)]
        if steps != self.model.gibbs_steps:
            self.model.set_gibbs_steps(steps)


def up_down_optimizer(config: UpDownConfig, num_examples: int) -> MomentumSGD:
    """Returns the optimizer that an `UpDownConfig` describes, for a number of training images."""
    updates = sum(config.epochs) * -(-num_examples // config.batch_size)
    rate = decaying_rate(config.learning_rate, config.schedule, updates)
    return MomentumSGD(rate, momentum=config.momentum, weight_cost=config.weight_cost)
