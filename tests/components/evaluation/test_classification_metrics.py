"""The metrics that judge a model, against counting by hand."""

import json

import numpy as np
import pytest

tfma = pytest.importorskip("tensorflow_model_analysis")
beam = pytest.importorskip("apache_beam")

from components.evaluation.classification_metrics import rank_of_label  # noqa: E402


def test_rank_counts_ties_against_the_model():
    scores = np.array([0.2, 0.5, 0.2, 0.1])
    assert [rank_of_label(label, scores) for label in range(4)] == [2, 0, 2, 3]
    assert rank_of_label(0, np.full(10, 0.1)) == 9


@pytest.mark.parametrize("label", [-1, 4])
def test_label_out_of_range_is_a_miss(label):
    assert rank_of_label(label, np.array([0.2, 0.5, 0.2, 0.1])) == 4


def test_output_that_is_not_finite_is_a_miss():
    assert rank_of_label(1, np.array([0.2, 0.5, np.nan])) == 3


def evaluate(labels, scores):
    """All metrics through TFMA itself, from labels and scores; no model."""
    from components.evaluation import eval_config

    config = eval_config.test_config("classification", 0.1, {})
    for spec in config.model_specs:
        spec.Clear()
        spec.label_key, spec.prediction_key = "label", "scores"
    del config.slicing_specs[1:]
    metrics = {}
    inputs = [
        {"labels": np.array([y]), "predictions": np.asarray(s), "example_weights": None}
        for y, s in zip(labels, scores, strict=True)
    ]
    specs = tfma.metrics.metric_specs.to_computations(list(config.metrics_specs), eval_config=config)
    for computation in specs:
        combiner = computation.combiner
        if not type(combiner).__module__.startswith("components"):
            continue
        halves = []
        for part in (inputs[::2], inputs[1::2]):
            accumulator = combiner.create_accumulator()
            for values in part:
                element = tfma.metrics.StandardMetricInputs(
                    {
                        "labels": values["labels"],
                        "predictions": values["predictions"],
                        "example_weights": np.array([1.0]),
                    }
                )
                accumulator = combiner.add_input(accumulator, element)
            halves.append(accumulator)
        for key, value in combiner.extract_output(combiner.merge_accumulators(halves)).items():
            metrics[key.name] = value
    return metrics


def test_errors_and_gain_against_counting():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200)
    scores = rng.random((200, 10))
    scores[np.arange(200), labels] += 0.3
    metrics = evaluate(labels, scores)
    order = np.argsort(-scores, axis=1)
    top1 = 100 * np.mean(order[:, 0] != labels)
    top5 = 100 * np.mean([label not in row[:5] for label, row in zip(labels, order, strict=True)])
    share = np.bincount(labels).max() / 200
    assert metrics["top1_error"] == pytest.approx(top1)
    assert metrics["top5_error"] == pytest.approx(top5)
    assert metrics["gain_over_constant"] == pytest.approx(((1 - top1 / 100) - share) / (1 - share))


@pytest.mark.parametrize(
    "scores", [np.full(10, 0.1), np.eye(10)[3], np.full(10, np.nan)], ids=["flat", "one class", "nan"]
)
def test_a_degenerate_model_gains_nothing(scores):
    labels = np.repeat(np.arange(10), [10, 10, 10, 30, 10, 10, 5, 5, 5, 5])
    metrics = evaluate(labels, [scores] * len(labels))
    assert metrics["gain_over_constant"] <= 0


def test_top5_needs_more_than_five_classes():
    assert np.isnan(evaluate([0, 1, 2], np.eye(5)[:3])["top5_error"])


def test_configuration_names_its_source():
    from components.evaluation import eval_config

    [spec] = eval_config.test_config("joint", 0.1, {"top1_error": 5.0}).metrics_specs
    assert json.loads(spec.metrics[0].config)["source"]
    assert spec.metrics[0].per_slice_thresholds[0].threshold.value_threshold.upper_bound.value == 5.0
