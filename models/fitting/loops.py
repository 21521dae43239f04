"""Loops in the graph, and variables inside them."""

from keras import ops


def repeated(count, body, start, variables):
    """`ops.fori_loop` from 0 to `count`, with a body that assigns to variables.

    Where Keras variables stand for values in a scope (on JAX always), an assignment inside a loop would be lost: the
    loop carries their values along.

    Args:
        count: Number of rounds, at least 0; a tensor only where the backend allows it.
        body: Function of the round and the value so far that returns the next value, of the same shape.
        start: The first value, one tensor.
        variables: The Keras variables to carry, all of those that the body assigns to and that need it.

    Returns:
        The last value.
    """
    if isinstance(count, int) and count == 0:  # JAX would trace the body all the same
        return start

    def assign(values):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def current():
        return [ops.stop_gradient(variable) for variable in variables]  # tensors, not the variables again

    def carry(i, carried):
        assign(carried[0])
        value = body(i, carried[1])
        return current(), value

    values, value = ops.fori_loop(0, count, carry, (current(), start))
    assign(values)
    return value
