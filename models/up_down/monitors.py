"""Keras callback that monitors the classification error of a deep belief net with labels."""

from collections.abc import Callable
from typing import Any

import keras

from models.metrics import TopKError
from models.types import Dataset, Tensor
from models.up_down import labelled_data


class ValidationTop1Error(keras.callbacks.Callback):
    """Adds `val_top1_error` to the epoch's logs: percentage of held-out images whose best label is wrong.

    Args:
        held_out: Pair of arrays, or tf.data, of images and labels.
        logits: Function of images (batch, ...) that returns logits (batch, classes).
        chunk: Number of images per call of `logits`.

    Example:
        >>> import numpy as np
        >>> monitor, logs = ValidationTop1Error((np.eye(4), [0, 1, 2, 0]), logits=lambda images: images), {}
        >>> monitor.on_epoch_end(0, logs)
        >>> logs
        {'val_top1_error': 25.0}
    """

    def __init__(self, held_out: Dataset, logits: Callable[[Any], Tensor], chunk: int = 1000) -> None:
        super().__init__()
        self._held_out = held_out
        self._logits = logits
        self._chunk = chunk

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the error to `logs`."""
        error = TopKError(k=1)
        for images, labels in labelled_data.batches(self._held_out, self._chunk):
            error.update_state(labels, self._logits(images))
        if logs is not None:
            logs["val_top1_error"] = float(error.result())
