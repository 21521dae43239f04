"""The partition function of a restricted Boltzmann machine: enumerated, or by annealed importance sampling."""

import dataclasses
import warnings

import numpy as np
from keras import ops

from models.data_range import check_unit_interval
from models.fitting.closed_form import check_count
from models.partition.annealing import AnnealedChains
from models.partition.annealing_paths import BinaryPath, GaussianPath
from models.partition.estimate import LogPartitionEstimate

MOST_BITS = 25  # 2^25 states of 784 x 25 units take some 100 s of processor time; every unit more doubles it
NUMBERS_AT_ONCE = 2**22  # of the wider side while enumerating: 16 MB in float32
SMOOTHING = 0.05  # images all on, and as many all off, that join the base rate's data, per image of the data
LEAST_SHARE = 0.1  # of the chains that should carry the weight
WIDEST_GAP = 3.0  # nats between forward and reverse estimate


def exact_log_partition(rbm):
    """Log of the partition function: a sum over all states of the smaller side, with the other summed in closed form.

    The sum runs over chunks of states (some 100 MB of memory) and in double precision; each term has the machine's.

    Args:
        rbm: A built machine with at most 25 units on an enumerable side: binary hidden units, or binary visible units,
            where a group of label units counts as the logarithm to base 2 of its size. Where the visible side is
            enumerated, hidden units of any kind are summed or integrated as in `free_energy`.

    Returns:
        log Z in nats, a float.

    Raises:
        ValueError: No side is enumerable, or the smaller one has more than 25 units.
    """
    _check_built(rbm)
    bits = _enumerable_bits(rbm)
    if not bits or min(bits.values()) > MOST_BITS:
        raise ValueError(
            f"The exact partition function needs a side of binary units, of at most {MOST_BITS}. Received: "
            f"{_number_visible(rbm)} {rbm.visible_type} visible units, {rbm.label_units} of them labels, and "
            f"{rbm.hidden_units} {rbm.hidden_type} hidden units. Use `ais_log_partition` for binary hidden units."
        )
    if min(bits, key=bits.get) == "hidden":
        return _log_sum_over(rbm.hidden_units, _number_visible(rbm), rbm.hidden_free_energy)
    free_energy = rbm.free_energy_by_label if rbm.label_units else rbm.free_energy
    return _log_sum_over(_number_visible(rbm) - rbm.label_units, rbm.hidden_units, free_energy)


def smaller_side(rbm):
    """Units, in bits, of the smaller side that `exact_log_partition` can enumerate; infinity where there is none."""
    return min(_enumerable_bits(rbm).values(), default=np.inf)


def _enumerable_bits(rbm):
    bits = {}
    if rbm.hidden_type == "bernoulli":
        bits["hidden"] = rbm.hidden_units
    if rbm.visible_type == "bernoulli":
        bits["visible"] = _number_visible(rbm) - rbm.label_units + np.log2(max(rbm.label_units, 1))
    return bits


def _log_sum_over(units, other_units, free_energy):
    """Log of the sum of exp(-free_energy) over all binary states of `units` units."""
    log_sums = []
    chunk = max(1, NUMBERS_AT_ONCE // max(units, other_units))
    for start in range(0, 2**units, chunk):
        numbers = np.arange(start, min(start + chunk, 2**units))
        states = (numbers[:, None] >> np.arange(units)) & 1
        log_terms = -ops.convert_to_numpy(free_energy(states)).astype("float64")
        log_sums.append(np.logaddexp.reduce(log_terms, axis=None))
    return float(np.logaddexp.reduce(log_sums))


def ais_log_partition(rbm, data=None, chains=100, betas=None, seed=None):
    """Estimates the log of the partition function by annealed importance sampling, from below and from above.

    Forward chains start at the base rate, independent visible units with the data's mean, and follow the machines
    between it and this one in small steps of the inverse temperature. As many reverse chains start where the forward
    ones ended, drawn by their weights and moved on for a tenth as many steps of Gibbs sampling, and go back to the base
    rate. The reverse estimate is an upper bound on average only as far as those are samples of the machine: a mode that
    no forward chain found is missing in both.

    14,500 steps of 100 chains of a 784 x 500 machine take about a minute on two cores, each way.

    Args:
        rbm: A built machine with binary hidden units, and binary or Gaussian visible units.
        data: Training images for the base rate, shape (images, num_visible), labels included; some thousands do. One
            row is taken as the mean of many, which is all that binary units need; Gaussian ones get variance 1 then.
            Without data binary units start uniform and Gaussian ones standardised, which is worse by far: see below.
        chains: Number of chains each way, at least 2.
        betas: Inverse temperatures, rising from 0 to 1; by default the published 14,500 steps of `spaced_betas`.
        seed: Integer that decides all sampling; none means a random one.

    Returns:
        A `LogPartitionEstimate`, in nats. Its `warnings`, which are issued as well, say why not to trust it: there were
        no data (with a uniform base rate errors of 15 to 22 nats were seen beside standard errors below 1), the
        effective number of chains is below a tenth, or forward and reverse estimate are more than 3 nats apart.

    Raises:
        ValueError: Other hidden units, weights that are not finite, or arguments or data out of range.

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

    at_machine = np.tile([1.0, 0.0, 1.0], (len(low) // 10, 1))
    backward = np.stack([low, width, low], axis=1)[::-1]
    states = states[_resampled(log_weights, np.random.default_rng(seed))]
    _, log_weights = annealed.run(states, np.vstack([at_machine, backward]))
    reverse_log_ratio, reverse_error, reverse_effective = _log_mean(-log_weights)

    base = annealed.base_log_partition
    values = (base + log_ratio, error, effective, base - reverse_log_ratio, reverse_error, reverse_effective)
    estimate = LogPartitionEstimate(*map(float, values))
    found = _reasons_for_doubt(estimate, uniform=data is None, chains=chains)
    for sentence in found:
        warnings.warn(f"Estimate of log Z: {sentence}.", stacklevel=2)
    return dataclasses.replace(estimate, warnings=found)


def spaced_betas(steps=14500):
    """Inverse temperatures from 0 to 1, closest near 1: of 29 parts of the steps 1 goes to 0.5, 8 to 0.9 and 20 to 1.

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


def log_probability(rbm, visible, log_z):
    """Log-probability of each image, in nats; of Gaussian visible units, log-density.

    For binary units it is one only where all values are 0 or 1. Grey levels between enter the free energy as they are,
    which gives no probability of anything, but a bound: -F is convex, so the value is at most the expected
    log-probability of an image whose pixels are drawn with the grey levels as probabilities. Published figures treat
    pixels one way or the other; compare those that treat them alike.

    Args:
        rbm: The machine.
        visible: Shape (batch, num_visible).
        log_z: Log of its partition function in nats, such as `exact_log_partition(rbm)`. An estimate from below, such
            as `ais_log_partition(...).log_z`, makes the result too high by what it misses.

    Returns:
        Shape (batch,), NumPy, float64. A mean above 0, which binary units cannot have, is warned of: `log_z` misses a
        mode then that no chain has found.

    Raises:
        ValueError: Binary units, and values outside [0, 1].
    """
    binary = rbm.visible_type == "bernoulli"
    if binary:
        check_unit_interval("visible", visible)
    values = -ops.convert_to_numpy(rbm.free_energy(visible)).astype("float64") - log_z
    if binary and np.mean(values) > 0:
        excess = f"{np.mean(values):.1f}"
        warnings.warn(f"Mean log-probability above 0: log Z is too low, by {excess} nats at least.", stacklevel=2)
    return values


def _annealed_chains(rbm, data, seed):
    kernel, bias, hidden_bias = (_numbers(weight) for weight in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    dtype = rbm.compute_dtype
    data = None if data is None else _checked_data(rbm, data)
    if rbm.visible_type == "bernoulli":
        path = BinaryPath(_base_bias(data, len(bias), rbm.label_units), bias, rbm.label_units, dtype)
        return AnnealedChains(kernel, hidden_bias, path, seed, dtype)
    variance = np.ones_like(bias) if rbm.log_variance is None else np.exp(_numbers(rbm.log_variance))
    if data is None or len(data) == 1:
        base = np.zeros_like(bias) if data is None else data[0], np.ones_like(bias)
    else:
        base = data.mean(axis=0), data.var(axis=0) + SMOOTHING * variance  # a constant pixel has no variance of its own
    kernel = _numbers(ops.convert_to_numpy(rbm.directed()[0][0]))
    return AnnealedChains(kernel, hidden_bias, GaussianPath(*base, bias, variance, dtype), seed, dtype)


def _base_bias(data, num_visible, labels):
    """Biases of independent binary units, and of a label, with the smoothed mean of the data."""
    if data is None:
        return np.zeros(num_visible)
    on, off = data.mean(axis=0) + SMOOTHING, 1 - data.mean(axis=0) + SMOOTHING
    return np.log(on) - np.where(np.arange(num_visible) < num_visible - labels, np.log(off), 0)


def _log_mean(log_weights):
    """Log of the mean of exp(log_weights), its standard error, and the effective number of weights."""
    top = np.max(log_weights)
    weights = np.exp(log_weights - top)
    mean = np.mean(weights)
    error = np.std(weights, ddof=1) / (np.sqrt(len(weights)) * mean)
    return top + np.log(mean), error, np.sum(weights) ** 2 / np.sum(weights**2)


def _resampled(log_weights, random):
    """Indices of chains, as many as there are, each drawn as often as its weight asks for, to within one."""
    shares = np.cumsum(np.exp(log_weights - np.max(log_weights)))
    positions = (np.arange(len(shares)) + random.random()) / len(shares)
    return np.searchsorted(shares / shares[-1], positions)


def _reasons_for_doubt(estimate, uniform, chains):
    """One sentence for each reason not to trust the estimate; what is no number is doubted too."""
    effective = min(estimate.effective_chains, estimate.reverse_effective_chains)
    reasons = {
        "The base rate knows nothing of the data, which can make the estimate wrong by 15 to 22 nats beside a standard "
        "error below 1: pass training images as `data`": uniform,
        f"The weight of {chains} chains is that of {effective:.1f}: take more inverse temperatures": (
            not effective >= LEAST_SHARE * chains
        ),
        f"Forward and reverse estimate are {estimate.gap:.1f} nats apart: take more inverse temperatures": (
            not abs(estimate.gap) <= WIDEST_GAP
        ),
    }
    return tuple(sentence for sentence, holds in reasons.items() if holds)


def _check(rbm, chains, betas):
    _check_built(rbm)
    if rbm.hidden_type != "bernoulli":
        raise ValueError(
            "Annealed importance sampling needs binary hidden units, which it sums out at every temperature. Received: "
            f'hidden_type="{rbm.hidden_type}". With at most {MOST_BITS} binary visible units use `exact_log_partition`.'
        )
    check_count("chains", chains, least=2)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or np.any(np.diff(betas) <= 0):
        raise ValueError(f"`betas` must rise from 0 to 1, such as `spaced_betas(1000)`. Received: betas={betas}")
    if not all(np.all(np.isfinite(_numbers(weight))) for weight in rbm.trainable_variables):
        raise ValueError("The machine has weights that are not finite. Train it with a smaller learning rate.")


def _check_built(rbm):
    if not rbm.built:
        raise ValueError("The machine has no weights yet. Train it, load it, or call its `build((None, num_visible))`.")


def _checked_data(rbm, data):
    data, num_visible = np.asarray(data, dtype="float64"), _number_visible(rbm)
    if data.ndim != 2 or data.shape[1] != num_visible or not len(data):
        raise ValueError(f"`data` must have shape (images, {num_visible}). Received: data of shape {data.shape}")
    if rbm.visible_type == "bernoulli":
        check_unit_interval("data", data)
    return data


def _number_visible(rbm):
    return rbm.kernel.shape[0]


def _numbers(weight):
    return np.asarray(weight, dtype="float64")
