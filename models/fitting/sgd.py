"""Gradient descent with momentum as the papers define it: weight cost inside the gradient, momentum that rises once."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from models.config import RBMConfig
from models.types import Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class MomentumSGD(keras.optimizers.Optimizer):
    """Gradient descent with momentum and an L2 weight cost that is part of the gradient.

    One update of a weight `w` with gradient `g`, learning rate `e`, momentum `m` and weight cost `c`:

        v <- m * v - e * (g + c * w)
        w <- w + v

    `keras.optimizers.SGD(weight_decay=c)` follows another rule: it shrinks the weight beside the momentum, so the decay
    does not accumulate in `v`. Biases (variables of rank 0 or 1) have no weight cost.

    Args:
        learning_rate: A float above 0, or a `keras.optimizers.schedules.LearningRateSchedule` of the iteration.
        momentum: m, at least 0 and below 1.
        initial_momentum: m of the first `momentum_switch` iterations; None means `momentum` throughout.
        momentum_switch: Iterations (parameter updates) before the momentum becomes `momentum`.
        weight_cost: c, at least 0; 0 leaves it out.
        name: Name of the optimizer.
        **kwargs: Further arguments of every Keras optimizer, such as `clipnorm`.

    Raises:
        ValueError: A momentum is outside [0, 1), the weight cost is negative, or `weight_decay` was passed.

    Example:
        >>> weight = keras.Variable([[1.0]])
        >>> optimizer = MomentumSGD(learning_rate=0.5, momentum=0.9, weight_cost=0.25)
        >>> optimizer.apply([ops.ones((1, 1))], [weight])
        >>> float(weight.numpy()[0, 0])  # 1 - 0.5 * (1 + 0.25 * 1)
        0.375

    Source: Hinton & Salakhutdinov, Science 313 (2006), released code `rbm.m`; Krizhevsky et al., NIPS 2012, section 5.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        initial_momentum: float | None = None,
        momentum_switch: int = 0,
        weight_cost: float = 0.0,
        name: str = "momentum_sgd",
        **kwargs: Any,
    ) -> None:
        if kwargs.get("weight_decay") is not None:
            raise ValueError(
                "MomentumSGD has no decoupled `weight_decay`; pass `weight_cost`, which is part of the gradient; "
                f"received weight_decay={kwargs['weight_decay']}"
            )
        initial_momentum = momentum if initial_momentum is None else initial_momentum
        for key, value in (("momentum", momentum), ("initial_momentum", initial_momentum)):
            if not 0 <= value < 1:
                raise ValueError(f"`{key}` must be at least 0 and below 1; received {key}={value}")
        if weight_cost < 0:
            raise ValueError(f"`weight_cost` must be at least 0; received weight_cost={weight_cost}")
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = float(momentum)
        self.initial_momentum = float(initial_momentum)
        self.momentum_switch = int(momentum_switch)
        self.weight_cost = float(weight_cost)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates a velocity of zeros for every variable."""
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """Updates `variable` in place by one step along `gradient`, which has the same shape."""
        # Private in Keras 3.15, and used by each of its own optimizers; without it an update cannot find its velocity.
        velocity = self.velocities[self._get_variable_index(variable)]
        learning_rate = ops.cast(learning_rate, variable.dtype)
        momentum = self._current_momentum(variable.dtype)
        step = ops.subtract(ops.multiply(momentum, velocity), ops.multiply(learning_rate, gradient))
        if self.weight_cost and len(variable.shape) > 1:
            shrinkage = ops.multiply(learning_rate, self.weight_cost)
            step = ops.subtract(step, ops.multiply(shrinkage, variable))
        self.assign(velocity, step)
        self.assign_add(variable, step)

    def _current_momentum(self, dtype: str) -> Any:
        if self.momentum == self.initial_momentum or not self.momentum_switch:
            return self.momentum
        early, late = (ops.convert_to_tensor(m, dtype) for m in (self.initial_momentum, self.momentum))
        return ops.where(self.iterations < self.momentum_switch, early, late)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = super().get_config()
        del config["weight_decay"]
        return config | {
            "momentum": self.momentum,
            "initial_momentum": self.initial_momentum,
            "momentum_switch": self.momentum_switch,
            "weight_cost": self.weight_cost,
        }


def decaying_rate(rate: float, schedule: str, updates: int) -> Any:
    """Returns the learning rate of a schedule: "constant", or "linear", which falls to 0 over so many updates."""
    if schedule == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, max(1, updates), 0.0)
    return rate


def pretraining_optimizer(config: RBMConfig, num_examples: int, gaussian: bool = False) -> MomentumSGD:
    """Returns the optimizer that an `RBMConfig` describes.

    Args:
        config: Rates, momentum, schedule and weight cost.
        num_examples: Number of training examples, from which the updates per epoch follow.
        gaussian: Whether the RBM has Gaussian units on either side, which require a smaller learning rate.
    """
    updates_per_epoch = -(-num_examples // config.batch_size)
    rate = config.gaussian_learning_rate if gaussian else config.learning_rate
    return MomentumSGD(
        decaying_rate(rate, config.schedule, config.epochs * updates_per_epoch),
        momentum=config.final_momentum,
        initial_momentum=config.initial_momentum,
        momentum_switch=config.momentum_switch_epochs * updates_per_epoch,
        weight_cost=config.weight_cost,
    )
