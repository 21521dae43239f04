"""A training whose loss is no number any more ends at once, with one sentence."""

import keras
import numpy as np

from components.errors import VisionTfxError


class FiniteLoss(keras.callbacks.Callback):
    """Stops a training as soon as its loss is infinite or not a number.

    Raises:
        VisionTfxError: The loss is not finite; the sentence names the epoch and the range of updates.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch, self._looked_at = 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remembers the number of the epoch."""
        self._epoch, self._looked_at = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the mean loss of the epoch so far; Keras calls once per some updates."""
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            raise VisionTfxError(
                f"the training diverged: its loss is not a finite number between updates {self._looked_at + 1} and "
                f"{batch + 1} of epoch {self._epoch}; lower --training.learning-rate"
            )
        self._looked_at = batch + 1
