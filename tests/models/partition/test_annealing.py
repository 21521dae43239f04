"""Chains along the path from the base rate to an RBM, step by step, against the definition of the path."""

import itertools

import numpy as np
import pytest
from keras import ops

from models.partition.annealing import AnnealedChains, softplus_increase
from models.partition.annealing_paths import BinaryPath, GaussianPath
from models.partition.log_partition import spaced_betas


def numbers(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


def states(units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def with_labels(binary, labels):
    return np.array([[*v, *y] for v in states(binary) for y in np.eye(labels)])


@pytest.mark.parametrize("x", [0.0, 1e-4, -0.3, 2.0, -30.0, 300.0, -300.0])
@pytest.mark.parametrize("width", [1e-5, 1e-3, 1.0])
def test_softplus_increases_without_cancellation(x, width):
    low = 0.5
    mean = 1 / (1 + np.exp(-low * x))
    if width * abs(x) < 1e-3:  # the series in the width: a difference of softplus would not be exact in float64 either
        wanted = width * x * mean * (1 + width * x * (1 - mean) / 2)
    else:
        wanted = np.logaddexp(0, (low + width) * x) - np.logaddexp(0, low * x)
    found = numbers(softplus_increase(ops.convert_to_tensor([x], dtype="float32"), low, width))[0]
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-30)


def gaussian_chains(dtype, seed=0):
    random = np.random.default_rng(2)
    base_mean, mean = random.normal(size=(2, 6))
    base_variance, variance = random.uniform(0.5, 2, size=(2, 6))
    kernel, hidden_bias = random.normal(size=(6, 4)), random.normal(size=4)
    units = GaussianPath(base_mean, base_variance, mean, variance, dtype)

    def log_p(v, beta):
        own = (1 - beta) * (v - base_mean) ** 2 / base_variance + beta * (v - mean) ** 2 / variance
        return -0.5 * own.sum(axis=-1) + np.logaddexp(0, beta * (v @ kernel + hidden_bias)).sum(axis=-1)

    return AnnealedChains(kernel, hidden_bias, units, seed, dtype), log_p


def binary_chains(dtype, labels=0, seed=0, visible=6, hidden=4, scale=1.0):
    random = np.random.default_rng(2)
    base_bias, bias = random.normal(size=(2, visible))
    kernel, hidden_bias = random.normal(size=(visible, hidden), scale=scale), random.normal(size=hidden, scale=scale)

    def log_p(v, beta):
        own = v @ ((1 - beta) * base_bias + beta * bias)
        return own + np.logaddexp(0, beta * (v @ kernel + hidden_bias)).sum(axis=-1)

    return AnnealedChains(kernel, hidden_bias, BinaryPath(base_bias, bias, labels, dtype), seed, dtype), log_p


@pytest.mark.parametrize("chains", [binary_chains, gaussian_chains])
def test_weights_are_rises_of_the_path(chains):
    annealed, log_p = chains("float64")
    start = np.random.default_rng(3).random((5, 6))
    _, log_weights = annealed.run(start, [[0.3, 0.2, 0.5]])
    np.testing.assert_allclose(log_weights, log_p(start, 0.5) - log_p(start, 0.3), rtol=1e-10)


@pytest.mark.lengthy
def test_float32_weights_keep_their_digits():
    """Summed over 400 steps, each against float64 at the same states; the terms go up to 1,000 nats."""
    annealed, log_p = binary_chains("float32", visible=200, hidden=150, scale=3.0)
    betas = spaced_betas(400)
    v = (np.random.default_rng(4).random((8, 200)) < 0.5).astype("float32")
    found, wanted = np.zeros(8), np.zeros(8)
    for low, high in itertools.pairwise(betas):
        before = v.astype("float64")
        v, rise = annealed.run(v, [[low, high - low, high]])
        found += rise
        wanted += log_p(before, high) - log_p(before, low)
    assert np.abs(wanted).min() > 300
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize("labels", [0, 3])
def test_a_step_leaves_the_distribution_at_its_temperature_as_it_is(labels):
    annealed, log_p = binary_chains("float32", labels)
    v = with_labels(6 - labels, labels) if labels else states(6)
    p = np.exp(log_p(v, 0.6))
    p /= p.sum()
    random = np.random.default_rng(6)
    start = v[random.choice(len(v), size=40000, p=p)]
    end, _ = annealed.run(start, [[0.6, 0.0, 0.6]])
    assert not np.array_equal(start, end)
    found = np.array([np.mean(np.all(end == row, axis=1)) for row in v])
    assert np.abs(found - p).max() < 5 * np.sqrt(p.max() / 40000)
    np.testing.assert_allclose(found.sum(), 1)


def test_a_step_leaves_the_moments_of_gaussian_units_as_they_are():
    annealed, _ = gaussian_chains("float64")
    start = np.zeros((20000, 6))
    once, _ = annealed.run(start, np.tile([0.6, 0.0, 0.6], (30, 1)))
    again, _ = annealed.run(once, [[0.6, 0.0, 0.6]])
    np.testing.assert_allclose(again.mean(axis=0), once.mean(axis=0), atol=0.06)
    np.testing.assert_allclose(again.var(axis=0), once.var(axis=0), rtol=0.06)
