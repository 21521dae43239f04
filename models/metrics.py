"""Errors in percent, as the papers report them."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("vision_tfx")
class TopKError(keras.metrics.Mean):
    """Share of examples, in percent, whose true class is not among the `k` highest scores.

    Ties count against the model: the true class is among the best only if fewer than `k` other classes score as high
    or higher. So a constant output has an error of 100 %, and so has an output that is NaN. (TensorFlow's top-k
    metrics count ties as hits and call a constant output perfect.)

    Args:
        k: How many guesses are allowed, at least 1. With `k` or fewer classes there is nothing to miss: 0 %.
        name: Name in the logs; by default "top1_error" for k = 1, and so on.
        dtype: Type of the result.

    Raises:
        ValueError: `k` below 1.
    """

    def __init__(self, k=5, name=None, dtype=None):
        if k < 1:
            raise ValueError(f"`k` must be at least 1. Received: k={k}")
        super().__init__(name=name or f"top{k}_error", dtype=dtype)
        self.k = k

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts one batch.

        Args:
            y_true: Class indices, shape (batch,) or (batch, 1); or shares of the classes, shape (batch, classes), of
                which the largest is the true one.
            y_pred: Scores, logits or probabilities, shape (batch, classes); the highest is the first guess.
            sample_weight: Weight of each example, shape (batch,); none means 1.
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

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"k": self.k, "name": self.name, "dtype": self.dtype}
