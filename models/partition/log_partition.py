"""Partition function of an RBM: exact by enumeration, or estimated by annealed importance sampling."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from models.checks import check_count, check_unit_interval
from models.partition.annealing import AnnealedChains
from models.partition.annealing_paths import BinaryPath, GaussianPath
from models.partition.estimate import LogPartitionEstimate
from models.rbm import RBM
from models.types import Tensor

MAX_BITS = 25  # 2^25 states of 784 x 25 units take some 100 s of processor time; every further unit doubles it
NUMBERS_AT_ONCE = 2**22  # of the wider side while enumerating: 16 MB in float32
SMOOTHING = 0.05  # images all on, and as many all off, that join the base rate's data, per image of the data
MIN_EFFECTIVE_SHARE = 0.1  # of the chains that should carry the weight
MAX_GAP = 3.0  # nats between forward and reverse estimate


def exact_log_partition(rbm: RBM) -> float:
    """Sums exp(-energy) over all states of an RBM, by enumeration of its smaller side.

    The sum runs over chunks of states (some 100 MB of memory) and in double precision; each term has the precision of
    the RBM.

    Args:
        rbm: A built RBM with at most 25 units on an enumerable side: binary hidden units, or binary visible units,
            where a group of label units counts as the logarithm to base 2 of its size. If the visible side is
            enumerated, hidden units of any kind are summed or integrated as in `free_energy`.

    Returns:
        log Z in nats.

    Raises:
        ValueError: No side is enumerable, the smaller one has more than 25 units, or the RBM has no weights.

    Example:
        >>> rbm = RBM(hidden_units=3, seed=1, weight_stddev=0.0)
        >>> rbm.build((None, 4))
        >>> round(float(exact_log_partition(rbm) / np.log(2)), 5)  # 2^7 states of energy 0
        7.0
    """
    _check_built(rbm)
    bits = _bits_by_side(rbm)
    if not bits or min(bits.values()) > MAX_BITS:
        raise ValueError(
            f"the exact partition function requires a side of binary units, at most {MAX_BITS}; use "
            f"`ais_log_partition` for binary hidden units; received {_num_visible(rbm)} {rbm.visible_type} visible "
            f"units, {rbm.label_units} of them labels, and {rbm.hidden_units} {rbm.hidden_type} hidden units"
        )
    if min(bits, key=lambda side: bits[side]) == "hidden":
        return _log_sum_over(rbm.hidden_units, _num_visible(rbm), rbm.hidden_free_energy)
    free_energy = rbm.free_energy_by_label if rbm.label_units else rbm.free_energy
    return _log_sum_over(_num_visible(rbm) - rbm.label_units, rbm.hidden_units, free_energy)


def enumerable_bits(rbm: RBM) -> float:
    """Returns the units, in bits, of the smaller side that `exact_log_partition` can enumerate.

    Infinity if neither side is enumerable.
    """
    return min(_bits_by_side(rbm).values(), default=np.inf)


def _bits_by_side(rbm: RBM) -> dict[str, float]:
    bits: dict[str, float] = {}
    if rbm.hidden_type == "bernoulli":
        bits["hidden"] = rbm.hidden_units
    if rbm.visible_type == "bernoulli":
        bits["visible"] = _num_visible(rbm) - rbm.label_units + np.log2(max(rbm.label_units, 1))
    return bits


def _log_sum_over(units: int, other_units: int, free_energy: Callable[[Tensor], Tensor]) -> float:
    """Returns the log of the sum of exp(-free_energy) over all binary states of `units` units."""
    log_sums = []
    chunk = max(1, NUMBERS_AT_ONCE // max(units, other_units))
    for start in range(0, 2**units, chunk):
        numbers = np.arange(start, min(start + chunk, 2**units))
        states = (numbers[:, None] >> np.arange(units)) & 1
        log_terms = -ops.convert_to_numpy(free_energy(states)).astype("float64")
        log_sums.append(np.logaddexp.reduce(log_terms, axis=None))
    return float(np.logaddexp.reduce(log_sums))


def ais_log_partition(
    rbm: RBM, data: Any = None, chains: int = 100, betas: Any = None, seed: int | None = None
) -> LogPartitionEstimate:
    """Estimates the log of the partition function by annealed importance sampling, from below and from above.

    Forward chains start at the base rate, independent visible units with the data's mean, and move to the RBM in small
    steps of the inverse temperature. As many reverse chains start where the forward chains ended, resampled by weight
    and moved by a tenth as many Gibbs steps, and return to the base rate. The reverse estimate is an upper bound on
    average only as far as those states are samples of the RBM: a mode that no forward chain found is missing from both
    estimates.

    14,500 steps of 100 chains of 784 x 500 units take about a minute on two cores, each way.

    Args:
        rbm: A built RBM with binary hidden units, and binary or Gaussian visible units.
        data: Training images for the base rate, shape (images, num_visible), labels included; some thousands suffice.
            A single row is used as the mean of many images, which is all that binary units need; Gaussian units then
            have variance 1. None means uniform binary units and standardised Gaussian units, which is far worse: see
            below.
        chains: Number of chains each way, at least 2.
        betas: Inverse temperatures, rising from 0 to 1; None means the published 14,500 steps of `spaced_betas`.
        seed: Integer that determines all sampling; None means a random one.

    Returns:
        The estimate, in nats. Its `warnings`, which are issued as well, give the reasons to distrust it: there were no
        data (with a uniform base rate, errors of 15 to 22 nats occurred beside standard errors below 1), the effective
        number of chains is below a tenth, or forward and reverse estimate differ by more than 3 nats.

    Raises:
        ValueError: The hidden units are not binary, weights are missing or not finite, or arguments or data are out of
            range.

    Example:
        >>> rbm = RBM(hidden_units=3, seed=1)
        >>> rbm.build((None, 4))
        >>> images = np.eye(4)
        >>> estimate = ais_log_partition(rbm, images, chains=50, betas=spaced_betas(100), seed=1)
        >>> bool(abs(estimate.log_z - exact_log_partition(rbm)) < 0.1)
        True

    Source: Salakhutdinov & Murray, On the Quantitative Analysis of Deep Belief Networks, ICML 2008. Reverse chains:
    Burda, Grosse & Salakhutdinov, Accurate and Conservative Estimates of MRF Log-Likelihood, AISTATS 2015.
    """
    betas = spaced_betas() if betas is None else np.asarray(betas, dtype="float64")
    _check(rbm, chains, betas)
    annealed = _annealed_chains(rbm, data, seed)
    low, width = betas[:-1], np.diff(betas)

    start = np.zeros((1, 3))  # at beta 0 a Gibbs step is an independent draw from the base rate, wherever it starts
    forward = np.vstack([start, np.stack([low, width, betas[1:]], axis=1)])
    states, log_weights = annealed.run(np.zeros((chains, annealed.num_visible)), forward)
    log_ratio, error, effective = _log_mean(log_weights)

    at_rbm = np.tile([1.0, 0.0, 1.0], (len(low) // 10, 1))
    backward = np.stack([low, width, low], axis=1)[::-1]
    states = states[_resampled(log_weights, np.random.default_rng(seed))]
    _, log_weights = annealed.run(states, np.vstack([at_rbm, backward]))
    reverse_log_ratio, reverse_error, reverse_effective = _log_mean(-log_weights)

    base = annealed.base_log_partition
    estimate = LogPartitionEstimate(
        log_z=float(base + log_ratio),
        standard_error=float(error),
        effective_chains=float(effective),
        reverse_log_z=float(base - reverse_log_ratio),
        reverse_standard_error=float(reverse_error),
        reverse_effective_chains=float(reverse_effective),
    )
    doubts = _doubts(estimate, uniform=data is None, chains=chains)
    for sentence in doubts:
        warnings.warn(f"estimate of log Z: {sentence}", stacklevel=2)
    return dataclasses.replace(estimate, warnings=doubts)


def spaced_betas(steps: int = 14500) -> np.ndarray:
    """Returns inverse temperatures from 0 to 1, closest near 1.

    Of 29 parts of the steps, 1 goes up to 0.5, 8 up to 0.9 and 20 up to 1.

    Args:
        steps: Number of steps, at least 3. The published 14,500 are 500, 4,000 and 10,000.

    Returns:
        Shape (steps + 1,), float64.

    Source: Salakhutdinov & Murray 2008, section 6.1.
    """
    check_count("steps", steps, least=3)
    first, second = max(1, round(steps / 29)), max(1, round(steps * 8 / 29))
    parts = [np.linspace(0, 0.5, first, endpoint=False), np.linspace(0.5, 0.9, second, endpoint=False)]
    return np.concatenate([*parts, np.linspace(0.9, 1, steps - first - second + 1)])


def log_probability(rbm: RBM, visible: Tensor, log_z: float) -> np.ndarray:
    """Returns the log-probability of each image, in nats; for Gaussian visible units, the log-density.

    For binary units it is a log-probability only where all values are 0 or 1. Grey levels in between enter the free
    energy as they are, which gives a bound and not the probability of an image: -F is convex, so the value is at most
    the expected log-probability of an image whose pixels are drawn with the grey levels as probabilities. Published
    results treat pixels one way or the other; compare only those that treat them alike.

    Args:
        rbm: The RBM.
        visible: Images, shape (batch, num_visible).
        log_z: Log of its partition function in nats, such as `exact_log_partition(rbm)`. An estimate from below, such
            as `ais_log_partition(...).log_z`, makes the result too high by the amount it falls short.

    Returns:
        Shape (batch,), NumPy, float64. A mean above 0, which binary units cannot have, issues a warning: `log_z` then
        misses a mode that no chain has found.

    Raises:
        ValueError: Values for binary units are outside [0, 1].
    """
    binary = rbm.visible_type == "bernoulli"
    if binary:
        check_unit_interval("visible", visible)
    values = -ops.convert_to_numpy(rbm.free_energy(visible)).astype("float64") - log_z
    if binary and np.mean(values) > 0:
        excess = f"{np.mean(values):.1f}"
        warnings.warn(f"the mean log-probability is above 0: log Z is too low, by {excess} nats at least", stacklevel=2)
    return values


def _annealed_chains(rbm: RBM, data: Any, seed: int | None) -> AnnealedChains:
    kernel, bias, hidden_bias = (_float64(weight) for weight in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    dtype = rbm.compute_dtype
    data = None if data is None else _checked_data(rbm, data)
    if rbm.visible_type == "bernoulli":
        path = BinaryPath(_base_bias(data, len(bias), rbm.label_units), bias, rbm.label_units, dtype)
        return AnnealedChains(kernel, hidden_bias, path, seed, dtype)
    variance = np.ones_like(bias) if rbm.log_variance is None else np.exp(_float64(rbm.log_variance))
    if data is None or len(data) == 1:
        base = np.zeros_like(bias) if data is None else data[0], np.ones_like(bias)
    else:
        base = data.mean(axis=0), data.var(axis=0) + SMOOTHING * variance  # a constant pixel has no variance of its own
    kernel = _float64(ops.convert_to_numpy(rbm.directed()[0][0]))
    return AnnealedChains(kernel, hidden_bias, GaussianPath(*base, bias, variance, dtype), seed, dtype)


def _base_bias(data: np.ndarray | None, num_visible: int, labels: int) -> np.ndarray:
    """Returns biases of independent binary units, and of a label, with the smoothed mean of the data."""
    if data is None:
        return np.zeros(num_visible)
    on, off = data.mean(axis=0) + SMOOTHING, 1 - data.mean(axis=0) + SMOOTHING
    return np.log(on) - np.where(np.arange(num_visible) < num_visible - labels, np.log(off), 0)


def _log_mean(log_weights: np.ndarray) -> tuple[float, float, float]:
    """Returns the log of the mean of exp(log_weights), its standard error, and the effective number of weights."""
    top = np.max(log_weights)
    weights = np.exp(log_weights - top)
    mean = np.mean(weights)
    error = np.std(weights, ddof=1) / (np.sqrt(len(weights)) * mean)
    return top + np.log(mean), error, np.sum(weights) ** 2 / np.sum(weights**2)


def _resampled(log_weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns indices of as many chains, each drawn in proportion to its weight, to within one."""
    shares = np.cumsum(np.exp(log_weights - np.max(log_weights)))
    positions = (np.arange(len(shares)) + random.random()) / len(shares)
    return np.searchsorted(shares / shares[-1], positions)


def _doubts(estimate: LogPartitionEstimate, uniform: bool, chains: int) -> tuple[str, ...]:
    """Returns one sentence for each reason to distrust the estimate; NaN is a reason too."""
    effective = min(estimate.effective_chains, estimate.reverse_effective_chains)
    reasons = {
        "the base rate is uniform, which can make the estimate wrong by 15 to 22 nats beside a standard error below 1; "
        "pass training images as `data`": uniform,
        f"{effective:.1f} of {chains} chains carry the weight; use more inverse temperatures": (
            not effective >= MIN_EFFECTIVE_SHARE * chains
        ),
        f"the forward and the reverse estimate are {estimate.gap:.1f} nats apart; use more inverse temperatures": (
            not abs(estimate.gap) <= MAX_GAP
        ),
    }
    return tuple(sentence for sentence, holds in reasons.items() if holds)


def _check(rbm: RBM, chains: int, betas: np.ndarray) -> None:
    _check_built(rbm)
    if rbm.hidden_type != "bernoulli":
        raise ValueError(
            "annealed importance sampling requires binary hidden units, which it sums out at every temperature; with "
            f"at most {MAX_BITS} binary visible units use `exact_log_partition`; received "
            f'hidden_type="{rbm.hidden_type}"'
        )
    check_count("chains", chains, least=2)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or np.any(np.diff(betas) <= 0):
        raise ValueError(f"`betas` must rise from 0 to 1, such as `spaced_betas(1000)`; received betas={betas}")
    if not all(np.all(np.isfinite(_float64(weight))) for weight in rbm.trainable_variables):
        raise ValueError("the RBM has weights that are not finite; train it with a smaller learning rate")


def _check_built(rbm: RBM) -> None:
    if not rbm.built:
        raise ValueError("the RBM has no weights yet; train it, load it, or call its `build((None, num_visible))`")


def _checked_data(rbm: RBM, data: Any) -> np.ndarray:
    data, num_visible = np.asarray(data, dtype="float64"), _num_visible(rbm)
    if data.ndim != 2 or data.shape[1] != num_visible or not len(data):
        raise ValueError(f"`data` must have shape (images, {num_visible}); received data of shape {data.shape}")
    if rbm.visible_type == "bernoulli":
        check_unit_interval("data", data)
    return data


def _num_visible(rbm: RBM) -> int:
    return rbm.kernel.shape[0]


def _float64(weight: Any) -> np.ndarray:
    return np.asarray(weight, dtype="float64")
