"""Markov chains along a path of distributions, from independent visible units to an RBM."""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.partition.annealing_paths import BinaryPath, GaussianPath
from models.types import Tensor

STEPS_PER_CALL = 100  # at most; between calls, log weights are added up in double precision
NUMBERS_PER_CALL = 2**23  # random numbers for those steps: 32 MB, 65 steps of 100 chains with 784 and 500 units


class AnnealedChains(keras.Model):
    """Gibbs chains whose inverse temperature beta changes step by step, and the log weights that they accumulate.

    At beta the visible states have the unnormalised probability, with the hidden units summed out,

        p*_beta(v) = exp(-(1 - beta) E_A(v) - beta E_B(v)) prod_j (1 + exp(beta x_j)),    x = b + v U

    where E_A is the energy of the base rate, independent visible units without hidden units, and E_B that of the RBM's
    visible units alone. At beta 0 it is the base rate times 2 per hidden unit, at beta 1 it is the RBM. The chains run
    in one loop in the graph, where there is one.

    Args:
        kernel: U, shape (num_visible, hidden_units), for visible states as the hidden units receive them.
        hidden_bias: b, shape (hidden_units,).
        units: Visible units along the path, see `models.partition.annealing_paths`.
        seed: Integer that determines all sampling; None means a random one.
        dtype: "float32" or "float64".

    Example:
        >>> units = BinaryPath(np.zeros(3), np.zeros(3), labels=0, dtype="float32")
        >>> chains = AnnealedChains(np.zeros((3, 2)), np.zeros(2), units, seed=1)
        >>> states, log_weights = chains.run(np.zeros((4, 3)), [[0.0, 0.5, 0.5], [0.5, 0.5, 1.0]])
        >>> states.shape, float(abs(log_weights).max())  # the path does not change the distribution
        ((4, 3), 0.0)

    Source: Salakhutdinov & Murray, On the Quantitative Analysis of Deep Belief Networks, ICML 2008, section 4.1.
    """

    def __init__(
        self,
        kernel: np.ndarray,
        hidden_bias: np.ndarray,
        units: BinaryPath | GaussianPath,
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(dtype=dtype)
        self.num_visible, self.hidden_units = np.shape(kernel)
        self.base_log_partition = units.base_log_partition + self.hidden_units * np.log(2)
        self._units = units
        self._kernel = ops.convert_to_tensor(kernel, dtype=dtype)
        self._hidden_bias = ops.convert_to_tensor(hidden_bias, dtype=dtype)
        self._seed_generator = keras.random.SeedGenerator(seed)
        # XLA makes JAX fast, but TensorFlow slow on a CPU; torch has no compiled loop.
        self.compile(jit_compile=keras.backend.backend() == "jax")

    def run(self, states: Any, schedule: Any) -> tuple[np.ndarray, np.ndarray]:
        """Moves the chains, step by step.

        Log weights are increases of log p*, in the chains' precision within a call and in double precision over all.

        Args:
            states: Visible states, shape (chains, num_visible).
            schedule: Shape (steps, 3), with columns low, width (at least 0) and beta. At each step the log weight
                increases by log p*_{low + width}(v) - log p*_low(v), then v moves by one Gibbs step at beta.

        Returns:
            States after the last step, shape (chains, num_visible), and log weights in nats, shape (chains,); NumPy.
        """
        log_weights = np.zeros(len(states))
        numbers_per_step = len(states) * (self.num_visible + self.hidden_units)
        chunk = min(STEPS_PER_CALL, max(1, NUMBERS_PER_CALL // numbers_per_step))
        for start in range(0, len(schedule), chunk):
            part = np.asarray(schedule[start : start + chunk], dtype=self.compute_dtype)
            states, increases = self.predict_on_batch([np.asarray(states, dtype=self.compute_dtype), part])
            log_weights += increases
        return states, log_weights

    def call(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Runs the steps of one chunk: states and schedule as in `run` -> states and log weights."""
        states, schedule = inputs
        steps, chains = ops.shape(schedule)[0], ops.shape(states)[0]
        # All drawn before the loop: within one, JAX would give every step the same numbers.
        visible_noise = self._units.noise((steps, chains, self.num_visible), states.dtype, self._seed_generator)
        hidden_noise = keras.random.uniform(
            (steps, chains, self.hidden_units), dtype=states.dtype, seed=self._seed_generator
        )

        def step(i: Any, carried: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            states, log_weights = carried
            low, width, beta = schedule[i][0], schedule[i][1], schedule[i][2]
            inputs = ops.matmul(states, self._kernel) + self._hidden_bias
            increase = width * self._units.energy_fall(states) + ops.sum(softplus_increase(inputs, low, width), axis=-1)
            hidden = ops.cast(hidden_noise[i] < ops.sigmoid(beta * inputs), states.dtype)
            to_visible = ops.matmul(hidden, ops.transpose(self._kernel))
            return self._units.draw(to_visible, beta, visible_noise[i]), log_weights + increase

        return ops.fori_loop(0, steps, step, (states, ops.zeros((chains,), dtype=states.dtype)))


def softplus_increase(x: Tensor, low: Any, width: Any) -> Tensor:
    """Returns log(1 + exp((low + width) x)) - log(1 + exp(low x)) without cancellation, however small `width` is.

    As a difference of two softplus values of size 100, steps of 1e-5 would lose all but two digits in float32. This
    form has a relative error of some 1e-7, and neither `exp` nor `log` can overflow.

    Args:
        x: Tensor of any shape.
        low: Number of at least 0.
        width: Number of at least 0.

    Returns:
        Tensor of the shape of `x`.
    """
    size = ops.abs(x)
    return ops.relu(width * x) + ops.log1p(ops.sigmoid(-low * size) * ops.expm1(-width * size))
