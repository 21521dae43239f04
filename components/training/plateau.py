"""The learning rate falls where the validation error no longer does, as the authors of AlexNet did by hand."""

import keras

# "The learning rate was initialized at 0.01 and reduced three times prior to termination."
_REDUCTIONS = 3
_FACTOR = 0.1


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Divides the learning rate by 10 whenever a value has not fallen for some epochs, at most three times.

    Args:
        monitor: Name in the logs; lower is better.
        patience: In epochs.
        learning_rate: The first rate, from which the least one follows.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 5.
    """

    _FACTS = ("best", "wait")

    def __init__(self, monitor: str, patience: int, learning_rate: float) -> None:
        least = learning_rate * _FACTOR**_REDUCTIONS
        self._begun = False
        super().__init__(monitor, _FACTOR, patience, mode="min", min_delta=0.0, min_lr=least, verbose=0)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forgets everything, but not where the `fit` goes on with a training that an earlier one began."""
        if not self._begun:
            super().on_train_begin(logs)
            self._begun = True

    def state(self) -> dict:
        """The counters; the rate itself is among the optimizer's variables."""
        return {key: float(getattr(self, key)) for key in self._FACTS}

    def set_state(self, facts: dict) -> None:
        """Takes back what `state` gave."""
        for key in self._FACTS:
            setattr(self, key, facts[key])
