"""Confidence intervals against their definition."""

import math
from statistics import NormalDist

import pytest

from components.evaluation.intervals import mean_interval, wilson_interval

pytest.importorskip("scipy")
Z95 = NormalDist().inv_cdf(0.975)


@pytest.mark.parametrize(("error", "count"), [(1.25, 10_000), (0.0, 180), (50.0, 30), (100.0, 7)])
def test_wilson_bounds_solve_their_equation(error, count):
    # The bounds are the p with |p_hat - p| = z sqrt(p (1 - p) / n).
    for bound in wilson_interval(error, count):
        p = bound / 100
        if 0 < p < 1:
            assert abs(error / 100 - p) == pytest.approx(Z95 * math.sqrt(p * (1 - p) / count), abs=1e-9)


def test_interval_holds_the_error():
    low, high = wilson_interval(0.0, 100)
    assert low == 0
    assert 3 < high < 4
    assert wilson_interval(100.0, 7)[1] == 100
    assert wilson_interval(0.0, 0) == (0.0, 100.0)


def test_interval_of_a_mean_is_that_of_the_normal_distribution():
    assert mean_interval(3.0, 0.1) == pytest.approx((2.804, 3.196), abs=1e-4)
