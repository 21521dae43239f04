"""How many images a training handles per second: on the screen, in the log of every epoch and in MLflow."""

import time

import keras

from components.reporting.progress import IMAGES_PER_SECOND


class Speed(keras.callbacks.Callback):
    """Adds `images_per_second` to the logs of every epoch; pass it before the callbacks that read them.

    The time is that from the first update to the last, without validation.

    Args:
        batch_size: Images per update.
        count: Images per epoch; its last update may have fewer, and the rest of an interrupted epoch has fewer updates.
    """

    def __init__(self, batch_size: int, count: int) -> None:
        super().__init__()
        self._batch_size, self._count = batch_size, count
        self._began = self._ended = 0.0
        self._seen = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._began = self._ended = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads the clock: the last reading is the end of the updates."""
        self._ended = time.perf_counter()
        self._seen = min((batch + 1) * self._batch_size, self._count)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the speed to the logs."""
        if logs is not None and self._ended > self._began:
            logs[IMAGES_PER_SECOND] = self._seen / (self._ended - self._began)
