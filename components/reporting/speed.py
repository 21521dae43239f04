"""Training speed in images per second: on the screen, in the logs of every epoch and in MLflow."""

import time
from collections.abc import Callable

import keras

from components.reporting.progress import IMAGES_PER_SECOND


class Speed(keras.callbacks.Callback):
    """Adds `images_per_second` to the logs of every epoch; pass it before the callbacks that read them.

    The time is measured from the first update to the last, without validation.

    Args:
        batch_size: Images per update.
        count: Images per epoch; the last update may have fewer, and the rest of a resumed epoch has fewer updates.
        clock: Returns the time in seconds.

    Example:
        >>> speed, logs = Speed(batch_size=100, count=1000, clock=iter([0.0, 2.0]).__next__), {}
        >>> speed.on_epoch_begin(0)
        >>> speed.on_train_batch_end(9)
        >>> speed.on_epoch_end(0, logs)
        >>> logs
        {'images_per_second': 500.0}
    """

    def __init__(self, batch_size: int, count: int, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._batch_size, self._count, self._clock = batch_size, count, clock
        self._began = self._ended = 0.0
        self._seen = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._began = self._ended = self._clock()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads the clock; the last reading is the end of the updates."""
        self._ended = self._clock()
        self._seen = min((batch + 1) * self._batch_size, self._count)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the speed to the logs."""
        if logs is not None and self._ended > self._began:
            logs[IMAGES_PER_SECOND] = self._seen / (self._ended - self._began)
