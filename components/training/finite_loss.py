"""A training whose loss is no number any more ends at once, with one sentence."""

import keras
import numpy as np

from components.errors import VisionTfxError


class FiniteLoss(keras.callbacks.Callback):
    """Stops a training as soon as its loss, or what stands for it, is infinite or not a number.

    Args:
        rate: Option of the learning rate that the sentence says to lower.
        training: What is trained, as the sentence begins.
        metric: Name in the logs of a batch: its mean over the epoch so far.
        one_update: Whether a batch of `fit` is one update; the sentence then names the range of updates.

    Raises:
        VisionTfxError: The loss is not finite; the sentence names the epoch.
    """

    def __init__(
        self,
        rate: str = "--training.learning-rate",
        training: str = "the training",
        metric: str = "loss",
        one_update: bool = True,
    ) -> None:
        super().__init__()
        self._rate, self._training, self._metric, self._one_update = rate, training, metric, one_update
        self._epoch, self._looked_at = 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remembers the number of the epoch."""
        self._epoch, self._looked_at = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the mean loss of the epoch so far; Keras calls once per some batches."""
        if not np.isfinite((logs or {}).get(self._metric, 0.0)):
            updates = f"between updates {self._looked_at + 1} and {batch + 1} of" if self._one_update else "in"
            raise VisionTfxError(
                f"{self._training} diverged: its {self._metric.replace('_', ' ')} is not a finite number {updates} "
                f"epoch {self._epoch}; lower {self._rate}"
            )
        self._looked_at = batch + 1
