"""Learning rate schedule of AlexNet's authors: lower the rate when the validation error stops falling."""

import keras

# "The learning rate was initialized at 0.01 and reduced three times prior to termination."
_REDUCTIONS = 3
_FACTOR = 0.1


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Divides the learning rate by 10 when a metric has not fallen for several epochs, at most three times.

    Args:
        monitor: Name of the metric in the logs; lower is better.
        patience: Number of epochs without improvement before a reduction.
        learning_rate: Initial rate; the smallest rate is a thousandth of it.

    Example:
        >>> plateau = Plateau("val_top1_error", patience=5, learning_rate=0.01)
        >>> plateau.factor, plateau.patience, f"{plateau.min_lr:.5f}"
        (0.1, 5, '0.00001')

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 5.
    """

    _COUNTERS = ("best", "wait")

    def __init__(self, monitor: str, patience: int, learning_rate: float) -> None:
        least = learning_rate * _FACTOR**_REDUCTIONS
        self._begun = False
        super().__init__(monitor, _FACTOR, patience, mode="min", min_delta=0.0, min_lr=least, verbose=0)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Resets the state, unless this `fit` resumes an earlier one."""
        if not self._begun:
            super().on_train_begin(logs)
            self._begun = True

    def state(self) -> dict[str, float]:
        """Returns the counters; the rate itself is one of the optimizer's variables."""
        return {key: float(getattr(self, key)) for key in self._COUNTERS}

    def set_state(self, counters: dict[str, float]) -> None:
        """Restores counters that `state` returned."""
        for key in self._COUNTERS:
            setattr(self, key, counters[key])
