"""What changes while a net is trained by up-down: steps of Gibbs sampling, and the learning rate."""

import bisect
import itertools

import keras

from models.fitting.sgd import MomentumSGD


class GibbsStages(keras.callbacks.Callback):
    """Gives a `models.up_down.net.UpDownNet` the `gibbs_steps` of the stage that each epoch belongs to.

    Args:
        epochs: Epochs of each stage.
        gibbs_steps: Steps of each stage.

    Raises:
        ValueError: Not as many of one as of the other.
    """

    def __init__(self, epochs, gibbs_steps):
        super().__init__()
        if len(epochs) != len(gibbs_steps):
            raise ValueError(
                "Every stage of up-down has its `epochs` and its `gibbs_steps`. "
                f"Received: epochs={epochs}, gibbs_steps={gibbs_steps}"
            )
        self._ends = list(itertools.accumulate(epochs))
        self._gibbs_steps = gibbs_steps

    def on_epoch_begin(self, epoch, logs=None):
        """Looks whether a new stage begins."""
        steps = self._gibbs_steps[bisect.bisect_right(self._ends, epoch)]
        if steps != self.model.gibbs_steps:
            self.model.set_gibbs_steps(steps)


def up_down_optimizer(config, num_examples):
    """The optimizer of a `models.config.UpDownConfig` for so many training images."""
    rate = config.learning_rate
    if config.schedule == "linear":
        updates = sum(config.epochs) * -(-num_examples // config.batch_size)
        rate = keras.optimizers.schedules.PolynomialDecay(rate, max(1, updates), 0.0)
    return MomentumSGD(rate, momentum=config.momentum, weight_cost=config.weight_cost)
