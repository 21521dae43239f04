"""Intervals of error rates, against their definition."""

import math

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def evaluator():
    from components import evaluator

    return evaluator


@pytest.mark.parametrize(("error", "count"), [(1.25, 10_000), (0.0, 180), (50.0, 30), (100.0, 7)])
def test_wilson_bounds_solve_their_equation(evaluator, error, count):
    # The bounds are the p with |p_hat - p| = z sqrt(p (1 - p) / n).
    for bound in evaluator.wilson_interval(error, count):
        p = bound / 100
        if 0 < p < 1:
            assert abs(error / 100 - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / count), abs=1e-9)


def test_interval_holds_the_error(evaluator):
    low, high = evaluator.wilson_interval(0.0, 100)
    assert low == 0
    assert 3 < high < 4
    assert evaluator.wilson_interval(0.0, 0) == (0.0, 100.0)


def test_no_worse_than_the_baseline_lets_an_equal_model_pass(evaluator):
    config = evaluator.validation_config((1, 5), 0.1, 0.0)
    threshold = config.metrics_specs[0].metrics[0].per_slice_thresholds[0].threshold.change_threshold
    assert 0 < threshold.absolute.value < 1e-6
    assert len(config.model_specs) == 1  # TFMA adds the baseline where there is one
