"""Computations in the graph that read and assign Keras variables in a defined order."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from models.types import Tensor


def fori_loop_with_variables(
    count: Any, body: Callable[[Any, Tensor], Tensor], start: Tensor, variables: Sequence[keras.Variable]
) -> Tensor:
    """Runs `ops.fori_loop` from 0 to `count` with a body that assigns to variables.

    Where Keras variables stand for values in a scope (always on JAX), an assignment inside a loop would be lost. The
    loop therefore carries the values of the variables along.

    Args:
        count: Number of rounds, at least 0; a tensor only where the backend allows it.
        body: Function of the round and the current value that returns the next value, of the same shape.
        start: First value, one tensor.
        variables: Keras variables to carry: all that the body assigns to and that would lose the assignment.

    Returns:
        The last value.
    """
    if isinstance(count, int) and count == 0:  # JAX would trace the body all the same
        return start

    def assign(values: Sequence[Tensor]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def current() -> list[Tensor]:
        return [ops.stop_gradient(variable) for variable in variables]  # tensors, not the variables again

    def carry(i: Any, carried: tuple[Sequence[Tensor], Tensor]) -> tuple[Sequence[Tensor], Tensor]:
        assign(carried[0])
        value = body(i, carried[1])
        return current(), value

    values, value = ops.fori_loop(0, count, carry, (current(), start))
    assign(values)
    return value


def read_variables_once(model: keras.Model, compute: Callable[[], Any]) -> Any:
    """Returns the result of `compute()`, which reads every trainable variable of the model once, at the start.

    TensorFlow 2.21 loses the order between the update of a variable and its later reads for other gradients: its
    dependency optimizer treats the operation that Keras' optimizer puts around all gradients (IdentityN) as a barrier,
    and that operation is pruned afterwards. One training in ten came out differently with learned variances.

    Args:
        model: Model whose variables `compute` reads; its non-trainable variables keep the values that `compute`
            assigns.
        compute: Function without arguments.
    """
    if keras.backend.backend() != "tensorflow":
        return compute()
    values = [(variable, ops.stop_gradient(variable)) for variable in model.trainable_variables]  # a tensor each
    with keras.StatelessScope(state_mapping=values) as scope:
        result = compute()
    for variable in model.non_trainable_variables:
        value = scope.get_current_value(variable)
        if value is not None:
            variable.assign(value)
    return result
