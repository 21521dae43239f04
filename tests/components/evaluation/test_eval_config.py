"""Intervals against their definition; thresholds and what is said when they are not met."""

import math

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def eval_config():
    from components.evaluation import eval_config as module

    return module


@pytest.mark.parametrize(("error", "count"), [(1.25, 10_000), (0.0, 180), (50.0, 30), (100.0, 7)])
def test_wilson_bounds_solve_their_equation(eval_config, error, count):
    # The bounds are the p with |p_hat - p| = z sqrt(p (1 - p) / n).
    for bound in eval_config.wilson_interval(error, count):
        p = bound / 100
        if 0 < p < 1:
            assert abs(error / 100 - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / count), abs=1e-9)


def test_interval_holds_the_error(eval_config):
    low, high = eval_config.wilson_interval(0.0, 100)
    assert low == 0
    assert 3 < high < 4
    assert eval_config.wilson_interval(0.0, 0) == (0.0, 100.0)


def test_no_worse_than_the_baseline_lets_an_equal_model_pass(eval_config):
    config = eval_config.validation_config("classification", 0.1, 0.0)
    threshold = config.metrics_specs[0].metrics[0].per_slice_thresholds[0].threshold.change_threshold
    assert 0 < threshold.absolute.value < 1e-6
    assert len(config.model_specs) == 1  # TFMA adds the baseline where there is one


@pytest.mark.parametrize("objective", ["classification", "joint", "reconstruction", "density"])
def test_worse_than_the_baseline_is_refused_whatever_better_means(eval_config, objective):
    from tensorflow_model_analysis.proto import config_pb2

    from components.evaluation.measures import MEASURES

    config = eval_config.validation_config(objective, 0.1, 2.5)
    change = config.metrics_specs[0].metrics[0].per_slice_thresholds[0].threshold.change_threshold
    if MEASURES[objective][0].higher_is_better:
        assert change.direction == config_pb2.MetricDirection.HIGHER_IS_BETTER
        assert change.absolute.value == pytest.approx(-2.5)
    else:
        assert change.direction == config_pb2.MetricDirection.LOWER_IS_BETTER
        assert change.absolute.value == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("objective", "bounds", "side"),
    [("reconstruction", {"squared_error": 3.0}, "upper_bound"), ("density", {"log_probability": -90.0}, "lower_bound")],
)
def test_bounds_lie_on_the_side_of_what_is_worse(eval_config, objective, bounds, side):
    config = eval_config.test_config(objective, 0.1, bounds)
    threshold = config.metrics_specs[0].metrics[0].per_slice_thresholds[0].threshold.value_threshold
    assert [field.name for field, _ in threshold.ListFields()] == [side]
    assert getattr(threshold, side).value == next(iter(bounds.values()))


def failure(name, value, **threshold):
    from tensorflow_model_analysis.proto import validation_result_pb2

    found = validation_result_pb2.ValidationFailure()
    found.metric_key.name = name
    found.metric_value.double_value.value = value
    if "change" in threshold:
        found.metric_threshold.change_threshold.absolute.value = threshold["change"]
    elif "low" in threshold:
        found.metric_threshold.value_threshold.lower_bound.value = threshold["low"]
    else:
        found.metric_threshold.value_threshold.upper_bound.value = threshold["high"]
    return found


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (("top1_error", 3.889, {"high": 1}), "top1_error is 3.889 %; --gates.max-top1-error allows 1"),
        (("squared_error", 3.5, {"high": 3}), "squared_error is 3.5 per image; --gates.max-squared-error allows 3"),
        (
            ("log_probability", -95.25, {"low": -90}),
            "log_probability is -95.25 nats; --gates.min-log-probability asks for -90",
        ),
        (
            ("log_probability", -1.5, {"change": -0.5}),
            "log_probability is 1.50 nats below the newest other blessed model's; "
            "--gates.max-log-probability-decrease allows 0.50",
        ),
        (
            ("top1_error", 1.5, {"change": 0.5}),
            "top1_error is 1.50 percentage points above the newest other blessed model's; "
            "--gates.max-error-increase allows 0.50",
        ),
        (
            ("squared_error", float("nan"), {"high": 3}),
            "squared_error is not a number: the training diverged; lower its learning rate",
        ),
        (("gain_over_constant", 0.05, {"low": 0.1}), "gain_over_constant is 0.05; --gates.min-gain asks for 0.1"),
    ],
)
def test_a_refusal_names_figure_unit_and_option(eval_config, found, sentence):
    name, value, threshold = found
    assert eval_config._sentence(failure(name, value, **threshold)) == sentence


def test_interval_of_a_mean_is_that_of_the_normal_distribution(eval_config):
    values = {"doubleValue": 3.0}, {"doubleValue": 0.1}, {"doubleValue": 50}
    names = ("squared_error", "squared_error_standard_error", "example_count")
    flat = eval_config._flat({"": {"": dict(zip(names, values, strict=True))}})
    assert (flat["squared_error_low"], flat["squared_error_high"]) == pytest.approx((2.804, 3.196), abs=1e-4)
    assert "squared_error_standard_error_low" not in flat
