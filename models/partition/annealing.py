"""Markov chains along a path of machines, from independent visible units to a restricted Boltzmann machine."""

import keras
import numpy as np
from keras import ops

STEPS_AT_ONCE = 100  # at most; in between, weights are added up in double precision
NUMBERS_AT_ONCE = 2**23  # random numbers for those steps: 32 MB, 65 steps of 100 chains with 784 and 500 units


class AnnealedChains(keras.Model):
    """Gibbs chains whose inverse temperature beta moves, and the weights that they gather on the way.

    At beta the visible states have the unnormalised probability, with the hidden units summed out,

        p*_beta(v) = exp(-(1 - beta) E_A(v) - beta E_B(v)) prod_j (1 + exp(beta x_j)),    x = b + v U

    where E_A is the energy of the base rate, independent visible units without hidden ones, and E_B that of the
    machine's visible units alone. At 0 it is the base rate times 2 per hidden unit, at 1 the machine. The chains run in
    one loop in the graph, where there is one.

    Args:
        kernel: U, shape (num_visible, hidden_units), as the hidden units see it.
        hidden_bias: b, shape (hidden_units,).
        units: The visible units along the path, from `models.partition.annealing_paths`.
        seed: Integer that decides all sampling; none means a random one.
        dtype: "float32" or "float64".

    Source: Salakhutdinov & Murray, On the Quantitative Analysis of Deep Belief Networks, ICML 2008, section 4.1.
    """

    def __init__(self, kernel, hidden_bias, units, seed=None, dtype="float32"):
        super().__init__(dtype=dtype)
        self.num_visible, self.hidden_units = np.shape(kernel)
        self.base_log_partition = units.base_log_partition + self.hidden_units * np.log(2)
        self._units = units
        self._kernel = ops.convert_to_tensor(kernel, dtype=dtype)
        self._hidden_bias = ops.convert_to_tensor(hidden_bias, dtype=dtype)
        self._seed_generator = keras.random.SeedGenerator(seed)
        # XLA is what makes JAX fast and TensorFlow slow on a CPU; torch has no compiled loop.
        self.compile(jit_compile=keras.backend.backend() == "jax")

    def run(self, states, schedule):
        """Moves the chains, step by step.

        Weights are rises of log p*, in the chains' precision within a chunk of steps and in double precision over all.

        Args:
            states: Visible states, shape (chains, num_visible).
            schedule: Shape (steps, 3), with columns low, width (at least 0) and beta. At each step the log weight rises
                by log p*_{low + width}(v) - log p*_low(v), then v moves by one step of Gibbs sampling at beta.

        Returns:
            States after the last step, shape (chains, num_visible), and log weights in nats, shape (chains,); NumPy.
        """
        log_weights = np.zeros(len(states))
        chunk = min(STEPS_AT_ONCE, max(1, NUMBERS_AT_ONCE // (len(states) * (self.num_visible + self.hidden_units))))
        for start in range(0, len(schedule), chunk):
            part = np.asarray(schedule[start : start + chunk], dtype=self.compute_dtype)
            states, rises = self.predict_on_batch([np.asarray(states, dtype=self.compute_dtype), part])
            log_weights += rises
        return states, log_weights

    def call(self, inputs):
        """Runs the steps of one chunk: states and schedule as in `run` -> states and log weights."""
        states, schedule = inputs
        steps, chains = ops.shape(schedule)[0], ops.shape(states)[0]
        # All drawn before the loop: within one, JAX would give every step the same numbers.
        visible_noise = self._units.noise((steps, chains, self.num_visible), states.dtype, self._seed_generator)
        hidden_noise = keras.random.uniform(
            (steps, chains, self.hidden_units), dtype=states.dtype, seed=self._seed_generator
        )

        def step(i, carried):
            states, log_weights = carried
            low, width, beta = schedule[i][0], schedule[i][1], schedule[i][2]
            inputs = ops.matmul(states, self._kernel) + self._hidden_bias
            rise = width * self._units.energy_fall(states) + ops.sum(softplus_rise(inputs, low, width), axis=-1)
            hidden = ops.cast(hidden_noise[i] < ops.sigmoid(beta * inputs), states.dtype)
            to_visible = ops.matmul(hidden, ops.transpose(self._kernel))
            return self._units.draw(to_visible, beta, visible_noise[i]), log_weights + rise

        return ops.fori_loop(0, steps, step, (states, ops.zeros((chains,), dtype=states.dtype)))


def softplus_rise(x, low, width):
    """log(1 + exp((low + width) x)) - log(1 + exp(low x)) without cancellation, however small `width` is.

    Taken as a difference of two softplus of size 100, steps of 1e-5 would lose all but two digits in float32. This form
    has a relative error of some 1e-7, and neither `exp` nor `log` can overflow.

    Args:
        x: Any shape.
        low: Number, at least 0.
        width: Number, at least 0.

    Returns:
        Same shape as `x`.
    """
    size = ops.abs(x)
    return ops.relu(width * x) + ops.log1p(ops.sigmoid(-low * size) * ops.expm1(-width * size))
