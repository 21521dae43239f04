"""Progress of the running node, for the runner's screen."""

from collections.abc import Callable, Mapping
from typing import Any

# In an epoch's logs, see `components.reporting.speed`.
IMAGES_PER_SECOND = "images_per_second"
_listeners: list[Callable[[str], None]] = []


def listen(listener: Callable[[str], None]) -> None:
    """Registers the listener for the progress of all nodes, in place of any earlier listener.

    Example:
        >>> lines = []
        >>> listen(lines.append)
        >>> say("layer 2, epoch 14 of 50")
        >>> lines
        ['layer 2, epoch 14 of 50']
    """
    _listeners[:] = [listener]


def say(text: str) -> None:
    """Sends a line such as "layer 2, epoch 14 of 50" to the listener, if there is one."""
    for listener in _listeners:
        listener(text)


def epochs(total: int, metric: str, prefix: str = "") -> Any:
    """Returns a Keras callback that reports each epoch with one metric and the speed.

    Args:
        total: Number of epochs.
        metric: Name of the metric in the epoch's logs; if it is missing there, it is left out, and so is the speed.
        prefix: Beginning of each line, such as "layer 2, ".
    """
    import keras  # late, because nodes that train nothing do not need it

    def report(epoch: int, logs: Mapping[str, float] | None) -> None:
        logs = logs or {}
        shown = f", {metric.replace('_', ' ')} {logs[metric]:.4g}" if metric in logs else ""
        speed = f", {logs[IMAGES_PER_SECOND]:,.0f} images/s" if IMAGES_PER_SECOND in logs else ""
        say(f"{prefix}epoch {epoch + 1} of {total}{shown}{speed}")

    return keras.callbacks.LambdaCallback(on_epoch_end=report)
