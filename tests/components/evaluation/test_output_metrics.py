"""Metrics of models that return a number for each image, against NumPy."""

import numpy as np
import pytest

tfma = pytest.importorskip("tensorflow_model_analysis")


def evaluate(outputs, model="", objective="reconstruction", groups=3):
    """All of our metrics of an objective through TFMA's own specifications, from outputs by name; no model."""
    from components.evaluation import eval_config

    config = eval_config.test_config(objective, 0.1, {})
    config.model_specs[0].name = model
    config.metrics_specs[0].model_names[:] = [model] if model else []
    metrics = {}
    for computation in tfma.metrics.metric_specs.to_computations(list(config.metrics_specs), config):
        combiner = computation.combiner
        if not type(combiner).__module__.startswith("components"):
            continue
        accumulators = []
        for part in range(groups):
            accumulator = combiner.create_accumulator()
            rows = [{name: values[i : i + 1] for name, values in outputs.items()} for i in range(part, 50, groups)]
            for row in rows:
                predictions = {model: row} if model else row
                accumulator = combiner.add_input(
                    accumulator, tfma.metrics.StandardMetricInputs(predictions=predictions)
                )
            accumulators.append(accumulator)
        empty = combiner.create_accumulator()
        metrics |= combiner.extract_output(combiner.merge_accumulators([empty, *accumulators, empty]))
    return {key.name: value for key, value in metrics.items()}


@pytest.fixture
def costs():
    rng = np.random.default_rng(0)
    return {"squared_error": 1e4 + rng.random(50), "mean_image_error": 2e4 + rng.random(50)}


@pytest.mark.parametrize("model", ["", "candidate"])
def test_mean_standard_error_and_gain(costs, model):
    metrics = evaluate(costs, model)
    own, constant = costs.values()
    assert metrics["squared_error"] == pytest.approx(own.mean(), rel=1e-12)
    assert metrics["mean_image_error"] == pytest.approx(constant.mean(), rel=1e-12)
    # 10,000 above 0: a sum of squares would have lost half of the digits
    assert metrics["squared_error_standard_error"] == pytest.approx(own.std(ddof=1) / np.sqrt(50), rel=1e-9)
    assert metrics["gain_over_constant"] == pytest.approx(1 - own.mean() / constant.mean(), rel=1e-12)


def test_gain_of_log_probabilities_is_that_of_their_costs():
    outputs = {"log_probability": np.full(50, -80.0), "base_rate_log_probability": np.full(50, -200.0)}
    metrics = evaluate(outputs, objective="density")
    assert metrics["log_probability"] == -80
    assert metrics["gain_over_constant"] == pytest.approx(0.6)


def test_the_constant_answer_itself_gains_nothing(costs):
    assert evaluate(costs | {"squared_error": costs["mean_image_error"]})["gain_over_constant"] == 0


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_spoils_all(costs, broken):
    costs["squared_error"][7] = broken
    metrics = evaluate(costs)
    assert np.isnan(metrics["squared_error"])
    assert np.isnan(metrics["gain_over_constant"])


def test_a_model_of_another_objective_has_no_mean(costs):
    assert np.isnan(evaluate({"probabilities": costs["squared_error"]}, "baseline")["squared_error"])
