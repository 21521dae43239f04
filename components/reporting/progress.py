"""What a running station is at, told to whoever listens: the screen of the runner, or nobody."""

from collections.abc import Callable, Mapping
from typing import Any

# In an epoch's logs, see `components.reporting.speed`.
IMAGES_PER_SECOND = "images_per_second"
_listeners: list[Callable[[str], None]] = []


def listen(listener: Callable[[str], None]) -> None:
    """Lets `listener` hear what every station says, in place of any earlier listener."""
    _listeners[:] = [listener]


def say(text: str) -> None:
    """Tells the listener, such as "layer 2, epoch 14 of 50"."""
    for listener in _listeners:
        listener(text)


def epochs(total: int, metric: str, prefix: str = "") -> Any:
    """A Keras callback that says the epoch, one metric and the speed.

    Args:
        total: number of epochs.
        metric: name in the epoch's logs; left out when it is not there, as the speed is.
        prefix: goes before, such as "layer 2, ".
    """
    import keras  # late: a station that trains nothing should not pay for it

    def tell(epoch: int, logs: Mapping[str, float] | None) -> None:
        logs = logs or {}
        shown = f", {metric.replace('_', ' ')} {logs[metric]:.4g}" if metric in logs else ""
        speed = f", {logs[IMAGES_PER_SECOND]:,.0f} images/s" if IMAGES_PER_SECOND in logs else ""
        say(f"{prefix}epoch {epoch + 1} of {total}{shown}{speed}")

    return keras.callbacks.LambdaCallback(on_epoch_end=tell)
