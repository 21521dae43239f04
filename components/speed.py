"""How many images a training handles per second: on the screen, in the log of every epoch and in MLflow."""

import time

import keras

NAME = "images_per_second"


class Speed(keras.callbacks.Callback):
    """Adds `images_per_second` to the logs of every epoch; pass it before the callbacks that read them.

    The time is that of the updates alone, without validation and checkpoints.

    Args:
        count: Images per epoch.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._began = self._ended = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._began = self._ended = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads the clock: the last reading is the end of the updates."""
        self._ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the speed to the logs."""
        if logs is not None and self._ended > self._began:
            logs[NAME] = self._count / (self._ended - self._began)
