"""Loops in the graph whose body changes variables, on every backend."""

import keras
from keras import ops


def repeated(count, body, start, variables):
    """`ops.fori_loop` from 0 to `count`, with a body that assigns to variables.

    Args:
        count: Number of rounds; a tensor only where the backend allows it.
        body: Function of the round and the value so far that returns the next value, of the same shape.
        start: The first value, one tensor.
        variables: All Keras variables that the body assigns to. On JAX assignments inside a loop are lost, so there the
            loop carries them along; elsewhere they are not looked at.

    Returns:
        The last value.
    """
    if keras.backend.backend() != "jax":
        return ops.fori_loop(0, count, body, start)

    def assign(values):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def current():
        return [ops.convert_to_tensor(variable) for variable in variables]

    def carry(i, carried):
        assign(carried[0])
        value = body(i, carried[1])
        return current(), value

    values, value = ops.fori_loop(0, count, carry, (current(), start))
    assign(values)
    return value
