"""Classification errors in percent, as the papers report them."""

from typing import Any

import keras
from keras import ops

from models.types import Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class TopKError(keras.metrics.Mean):
    """Percentage of examples whose true class is not among the `k` highest scores.

    Ties count against the model: the true class is among the best only if fewer than `k` other classes have the same
    or a higher score. A constant output therefore has an error of 100 %, and so has an output of NaN. (TensorFlow's
    top-k metrics count ties as hits and rate a constant output as perfect.)

    Args:
        k: Number of guesses, at least 1. With at most `k` classes the error is always 0 %.
        name: Name in the logs; None means "top1_error" for k = 1, and so on.
        dtype: Type of the result; None means Keras' default.

    Raises:
        ValueError: `k` is below 1.

    Example:
        >>> error = TopKError(k=1)
        >>> error.update_state([0, 1], [[0.9, 0.1], [0.8, 0.2]])
        >>> float(error.result())
        50.0
    """

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        if k < 1:
            raise ValueError(f"`k` must be at least 1; received k={k}")
        super().__init__(name=name or f"top{k}_error", dtype=dtype)
        self.k = k

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds one batch to the mean.

        Args:
            y_true: Class indices, shape (batch,) or (batch, 1); or shares of the classes, shape (batch, classes), the
                largest of which is the true class.
            y_pred: Scores, logits or probabilities, shape (batch, classes); the highest is the first guess.
            sample_weight: Weight of each example, shape (batch,); None means 1.
        """
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.convert_to_tensor(y_true)
        if len(y_true.shape) > 1 and y_true.shape[-1] not in (None, 1):
            y_true = ops.argmax(y_true, axis=-1)
        y_true = ops.cast(ops.reshape(y_true, (-1, 1)), "int32")
        true_score = ops.take_along_axis(y_pred, y_true, axis=-1)
        # "not lower" instead of "higher or equal": comparisons with NaN are false, and NaN must not win.
        not_lower = ops.logical_not(y_pred < true_score)
        rank = ops.sum(ops.cast(not_lower, "int32"), axis=-1)  # 1 is best: the true class itself is not lower
        super().update_state(100.0 * ops.cast(rank > self.k, self.dtype), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"k": self.k, "name": self.name, "dtype": self.dtype}
