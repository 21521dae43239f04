"""Kinds of units of an RBM: conditional distribution and energy of a layer, given the input to each of its units.

A layer with states s, biases b and input x from the other layer enters the energy as `self_energy(s, b)` minus x times
`coupled(s)`. Everything else follows: the conditional of s given x, and the log-sum (or integral) over all states.
"""

import math
from typing import Any, Protocol

import keras
from keras import ops

from models.types import Tensor

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
# Taylor coefficients of the integral of x / (1 - exp(-x)), that is Bernoulli numbers over factorials, for w^3, w^5, ...
# With w at most log 2 the first term left out is below 1e-16.
_DEBYE = (1 / 36, -1 / 3600, 1 / 211680, -1 / 10886400, 1 / 526901760, -691 / 16999766784000, 1 / 1120863744000)
LEAST_LOG_VARIANCE = math.log(1e-8)


def bounded_log_variance(log_variance: Tensor) -> Tensor:
    """Constrains variances to at least 1e-8, as a constraint of Keras: (units,) -> (units,)."""
    return ops.maximum(log_variance, LEAST_LOG_VARIANCE)


class HiddenUnits(Protocol):
    """Methods of a kind of hidden units."""

    def self_energy(self, states: Tensor, biases: Tensor) -> Tensor:
        """Returns the energy in nats of `states` (batch, units) under `biases` (units,) alone: shape (batch,)."""

    def mean(self, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the mean of each unit, given its input: shape (batch, units)."""

    def sample(self, mean: Tensor, seed: Any) -> Tensor:
        """Draws states with the given means; the shape is kept."""

    def log_sum(self, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the log of the sum over all states of exp(x coupled(s) - self_energy(s, b)): shape (batch,)."""


class VisibleUnits(HiddenUnits, Protocol):
    """Methods of a kind of visible units."""

    def coupled(self, states: Tensor) -> Tensor:
        """Returns `states` as the other layer receives them."""

    def bias_statistic(self, states: Tensor) -> Tensor:
        """Returns the part of minus the energy's derivative by b that depends on the states."""

    def scaled_inputs(self, inputs: Tensor) -> Tensor:
        """Returns the inputs in the unit of the biases they are added to."""

    def biases_for_mean(self, mean: Tensor, margin: float) -> Tensor:
        """Returns biases that give unconnected units this mean."""


class BernoulliUnits:
    """Binary units in {0, 1}: self energy -b s. Values between 0 and 1 are probabilities.

    Example:
        >>> BernoulliUnits.mean(ops.zeros((1, 2)), ops.zeros(2)).numpy().tolist()
        [[0.5, 0.5]]
    """

    activation = "sigmoid"  # of a Keras layer whose output is the mean of the units

    @staticmethod
    def self_energy(states: Tensor, biases: Tensor) -> Tensor:
        """Returns the energy in nats of `states` (batch, units) under `biases` (units,) alone: shape (batch,)."""
        return -ops.matmul(states, biases)

    @staticmethod
    def coupled(states: Tensor) -> Tensor:
        """Returns `states`: the other layer receives them unchanged."""
        return states

    bias_statistic = coupled

    @staticmethod
    def scaled_inputs(inputs: Tensor) -> Tensor:
        """Returns `inputs`: they are added to the biases unchanged."""
        return inputs

    @staticmethod
    def mean(inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the probability that each unit is 1, same shape as `inputs`."""
        return ops.sigmoid(inputs + biases)

    @staticmethod
    def sample(mean: Tensor, seed: Any) -> Tensor:
        """Draws states in {0, 1} with probabilities `mean`."""
        draw = keras.random.uniform(ops.shape(mean), dtype=mean.dtype, seed=seed)
        return ops.cast(draw < mean, mean.dtype)

    @staticmethod
    def log_sum(inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the log of the sum over all states of exp(b s + x s), nats: (batch, units) -> (batch,)."""
        return ops.sum(ops.softplus(inputs + biases), axis=-1)

    @staticmethod
    def biases_for_mean(mean: Tensor, margin: float) -> Tensor:
        """Returns biases that give unconnected units this mean; `margin` bounds it away from 0 and 1."""
        mean = ops.clip(mean, margin, 1 - margin)
        return ops.log(mean) - ops.log1p(-mean)


class GaussianUnits:
    """Real-valued units of variance q: self energy (s - b)^2 / (2 q).

    There are two published couplings to the other layer; weights learned with one mean nothing under the other:

    | coupling | energy term | mean of s | source |
    |---|---|---|---|
    | "variance" | -(s / q) x | b + x | Cho, Ilin & Raiko 2011; Liao et al. 2022 |
    | "deviation" | -(s / sqrt(q)) x | b + sqrt(q) x | Hinton's practical guide, equation 17; Krizhevsky 2009 |

    With variance 1 they are the same. "variance" is the default, since the conditional mean does not move when a
    learned variance changes, which makes the variance easier to learn.

    Args:
        log_variance: log q, a variable of shape (units,); None means a variance of 1.
        coupling: "variance" or "deviation".

    Example:
        >>> units = GaussianUnits(log_variance=ops.log([4.0]), coupling="deviation")
        >>> float(units.mean(ops.ones((1, 1)), ops.zeros(1))[0, 0])
        2.0
    """

    activation = "linear"  # of a Keras layer whose output is the mean of the units

    def __init__(self, log_variance: Tensor | None = None, coupling: str = "variance") -> None:
        self.log_variance = log_variance
        self.power = 1.0 if coupling == "variance" else 0.5  # the other layer receives s / q ** power

    def _times_variance(self, states: Tensor, power: float) -> Tensor:
        return states if self.log_variance is None else states * ops.exp(power * self.log_variance)

    def self_energy(self, states: Tensor, biases: Tensor) -> Tensor:
        """Returns the energy in nats of `states` (batch, units) under `biases` (units,) alone: shape (batch,)."""
        return 0.5 * ops.sum(self._times_variance(ops.square(states - biases), -1), axis=-1)

    def coupled(self, states: Tensor) -> Tensor:
        """Returns `states` as the other layer receives them: divided by the variance or by the deviation."""
        return self._times_variance(states, -self.power)

    def bias_statistic(self, states: Tensor) -> Tensor:
        """Returns the part of minus the energy's derivative by b that depends on the states: s / q."""
        return self._times_variance(states, -1)

    def variance_statistic(self, states: Tensor, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns minus the energy's derivative by log q, for each unit: same shape as `states`."""
        own = 0.5 * self._times_variance(ops.square(states - biases), -1)
        return own - self.power * self.coupled(states) * inputs

    def scaled_inputs(self, inputs: Tensor) -> Tensor:
        """Returns the inputs as they are added to the biases: unchanged, or times the deviation."""
        return self._times_variance(inputs, 1 - self.power)

    def mean(self, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the mean of each unit, same shape as `inputs`."""
        return biases + self.scaled_inputs(inputs)

    def sample(self, mean: Tensor, seed: Any) -> Tensor:
        """Adds noise of variance q to the mean."""
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=seed)
        return mean + self._times_variance(noise, 0.5)

    def log_sum(self, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the log of the integral of exp(x coupled(s) - self energy), nats: (batch, units) -> (batch,)."""
        quadratic = 0.5 * self._times_variance(ops.square(inputs), 1 - 2 * self.power)
        terms = quadratic + inputs * self.coupled(ops.broadcast_to(biases, ops.shape(inputs))) + _HALF_LOG_2_PI
        if self.log_variance is not None:
            terms = terms + 0.5 * self.log_variance
        return ops.sum(terms, axis=-1)

    @staticmethod
    def biases_for_mean(mean: Tensor, margin: float) -> Tensor:
        """Returns biases that give unconnected units this mean: the mean itself."""
        return mean


class NoisyRectifiedUnits:
    """Rectified linear units with noise: max(0, x + N(0, sigmoid(x))), the NReLU of Nair & Hinton 2010.

    A unit represents infinitely many binary copies with the same weights and biases lower by 0.5, 1.5, 2.5, ...; its
    state is the number of copies that are on. The mean of that number is log(1 + exp(x)) to within 0.0106, which `mean`
    returns. `log_sum` is its integral, so that gradients and free energies fit each other exactly, and is within 0.042
    nats per unit of the sum over all copies. `self_energy` is exactly that of the copies.

    Example:
        >>> round(float(NoisyRectifiedUnits.mean(ops.zeros((1, 1)), ops.zeros(1))[0, 0]), 4)  # log 2
        0.6931
    """

    activation = "softplus"  # of a Keras layer whose output is the mean of the units

    @staticmethod
    def self_energy(states: Tensor, biases: Tensor) -> Tensor:
        """Returns minus the log of the sum over all sets of `states` copies, nats, shape (batch,).

        Per unit that is s^2 / 2 - b s + sum_{k<=s} log(1 - e^-k).
        """
        copies = ops.arange(1, 41, dtype=states.dtype)  # exp(-41) is below the resolution of float64
        above = ops.log1p(-ops.exp(-(ops.expand_dims(states, -1) + copies)))
        multiplicity = ops.sum(ops.log1p(-ops.exp(-copies)) - above, axis=-1)
        return ops.sum(0.5 * ops.square(states) + multiplicity, axis=-1) - ops.matmul(states, biases)

    @staticmethod
    def mean(inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the mean number of copies that are on, same shape as `inputs`."""
        return ops.softplus(inputs + biases)

    @staticmethod
    def sample(mean: Tensor, seed: Any) -> Tensor:
        """Adds noise of variance sigmoid(x) to the input x of the mean and rectifies the sum."""
        variance = -ops.expm1(-mean)  # sigmoid(x), since mean is log(1 + exp(x))
        inputs = mean + ops.log(ops.maximum(variance, keras.backend.epsilon() ** 2))
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=seed)
        return ops.relu(inputs + ops.sqrt(variance) * noise)

    @staticmethod
    def log_sum(inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the integral of the mean, minus the dilogarithm of -exp(x), nats: (batch, units) -> (batch,)."""
        total = inputs + biases
        low = ops.softplus(ops.where(total > 0, -total, total))  # unlike -abs, differentiable at 0 as well
        series = 0.0
        for coefficient in reversed(_DEBYE):
            series = (series + coefficient) * ops.square(low)
        tail = low * (1 + low / 4 + series)
        above = 0.5 * ops.square(total) + math.pi**2 / 6 - tail
        return ops.sum(ops.where(total > 0, above, tail), axis=-1)


class UnitsWithLabel:
    """Units of another kind, followed by one softmax group, of which exactly one unit is on: the label.

    Args:
        units: Kind of all units but the last `labels`.
        labels: Number of softmax units.

    Example:
        >>> units = UnitsWithLabel(BernoulliUnits(), labels=2)
        >>> units.mean(ops.zeros((1, 3)), ops.zeros(3)).numpy().tolist()
        [[0.5, 0.5, 0.5]]
    """

    def __init__(self, units: VisibleUnits, labels: int) -> None:
        self._units = units
        self._labels = labels

    def _split(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        return tensor[..., : -self._labels], tensor[..., -self._labels :]

    def self_energy(self, states: Tensor, biases: Tensor) -> Tensor:
        """Returns the energy in nats of `states` (batch, units) under `biases` (units,) alone: shape (batch,)."""
        (states, labels), (biases, label_biases) = self._split(states), self._split(biases)
        return self._units.self_energy(states, biases) - ops.matmul(labels, label_biases)

    def coupled(self, states: Tensor) -> Tensor:
        """Returns `states`: the other layer receives them unchanged."""
        return states

    bias_statistic = coupled

    def scaled_inputs(self, inputs: Tensor) -> Tensor:
        """Returns `inputs`: they are added to the biases unchanged."""
        return inputs

    def mean(self, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the means of the units, and the probabilities of the labels, which sum to 1."""
        (inputs, labels), (biases, label_biases) = self._split(inputs), self._split(biases)
        return ops.concatenate([self._units.mean(inputs, biases), ops.softmax(labels + label_biases)], axis=-1)

    def sample(self, mean: Tensor, seed: Any) -> Tensor:
        """Draws states of the units, and one label, as one-hot."""
        mean, labels = self._split(mean)
        drawn = keras.random.categorical(ops.log(labels), 1, seed=seed)[:, 0]
        one_hot = ops.one_hot(drawn, self._labels, dtype=mean.dtype)
        return ops.concatenate([self._units.sample(mean, seed), one_hot], axis=-1)

    def log_sum(self, inputs: Tensor, biases: Tensor) -> Tensor:
        """Returns the log of the sum over all states and labels, nats: (batch, units) -> (batch,)."""
        (inputs, labels), (biases, label_biases) = self._split(inputs), self._split(biases)
        return self._units.log_sum(inputs, biases) + ops.logsumexp(labels + label_biases, axis=-1)

    def biases_for_mean(self, mean: Tensor, margin: float) -> Tensor:
        """Returns biases that give unconnected units this mean; the labels' means sum to 1."""
        mean, labels = self._split(mean)
        return ops.concatenate([self._units.biases_for_mean(mean, margin), ops.log(ops.maximum(labels, margin))])


# Kinds of hidden units by the name that `models.rbm.RBM` accepts.
HIDDEN_TYPES: dict[str, Any] = {
    "bernoulli": BernoulliUnits,
    "gaussian": GaussianUnits,
    "nrelu": NoisyRectifiedUnits,
}
