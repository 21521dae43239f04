"""Thresholds of the evaluators."""

import pytest


@pytest.fixture(scope="module")
def eval_config():
    from components.evaluation import eval_config as module

    return module


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
