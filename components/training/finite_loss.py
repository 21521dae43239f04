"""Check that the loss of a training stays finite."""

import keras
import numpy as np

from components.errors import VisionTfxError


class FiniteLoss(keras.callbacks.Callback):
    """Stops training with a one-line error as soon as the loss is NaN or infinite.

    Args:
        rate: Option of the learning rate, which the message advises to lower.
        training: Name of the training, the subject of the message.
        metric: Name of the checked metric in the logs of a batch: its mean over the epoch so far.
        one_update: Whether a batch of `fit` is one update; the message then names the range of updates.

    Raises:
        VisionTfxError: The metric is not finite; the message names the epoch.

    Example:
        >>> check = FiniteLoss()
        >>> check.on_epoch_begin(0)
        >>> check.on_train_batch_end(9, {"loss": float("nan")})
        Traceback (most recent call last):
            ...
        components.errors.VisionTfxError: the training diverged: its loss is not a finite number between updates 1 ...
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
        self._epoch, self._checked = 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the number of the epoch for the message."""
        self._epoch, self._checked = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Checks the mean of the epoch so far; Keras calls this once per `steps_per_execution` batches."""
        if not np.isfinite((logs or {}).get(self._metric, 0.0)):
            updates = f"between updates {self._checked + 1} and {batch + 1} of" if self._one_update else "in"
            raise VisionTfxError(
                f"{self._training} diverged: its {self._metric.replace('_', ' ')} is not a finite number {updates} "
                f"epoch {self._epoch}; lower {self._rate}"
            )
        self._checked = batch + 1
