"""Results and refusals, read from artifacts as TFMA writes them."""

import math

import pytest

from components.evaluation.measures import BY_NAME
from components.evaluation.results import Result

tfma = pytest.importorskip("tensorflow_model_analysis")


@pytest.fixture(scope="module")
def model_evaluation():
    from components.evaluation import model_evaluation as module

    return module


def write(path, *protos):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for proto in protos:
            writer.write(proto.SerializeToString())


def slice_of(values, label=None, baseline=None):
    """The metrics of one slice, and beside a baseline those of both models and their difference."""
    from tensorflow_model_analysis.proto import metrics_for_slice_pb2

    metrics = metrics_for_slice_pb2.MetricsForSlice()
    if label is not None:
        metrics.slice_key.single_slice_keys.add(column="label_name", bytes_value=label.encode())

    def add(model, named, is_diff=False):
        for name, value in named.items():
            added = metrics.metric_keys_and_values.add()
            added.key.name, added.key.model_name, added.key.is_diff = name, model, is_diff
            added.value.double_value.value = value

    add("" if baseline is None else "candidate", values)
    if baseline is not None:
        add("baseline", baseline)
        add("candidate", {name: values[name] - baseline[name] for name in values}, is_diff=True)
    return metrics


ERRORS = {"top1_error": 2.0, "top5_error": math.nan, "gain_over_constant": 0.9, "example_count": 100.0}


@pytest.mark.parametrize("baseline", [None, ERRORS | {"top1_error": 50.0}])
def test_results_of_the_candidate_by_slice(model_evaluation, tmp_path, baseline):
    rows = [slice_of(ERRORS, label, baseline) for label in (None, "chat \u00e9tonn\u00e9")]
    write(tmp_path / "metrics-00000-of-00001.tfrecord", *rows)
    by_slice = model_evaluation.read_results(str(tmp_path), "test")
    assert list(by_slice) == ["overall", "label_name=chat \u00e9tonn\u00e9"]
    top1, gain, count = by_slice["overall"]
    assert (top1.measure.name, top1.split, top1.value) == ("top1_error", "test", 2.0)
    assert 0 < top1.low < 2 < top1.high < 8
    assert (gain, count) == (
        Result(BY_NAME["gain_over_constant"], "test", 0.9),
        Result(BY_NAME["example_count"], "test", 100.0),
    )


def test_a_mean_has_an_interval_and_its_constant_answer_has_none(model_evaluation, tmp_path):
    values = {
        "squared_error": 3.0, "squared_error_standard_error": 0.1,
        "mean_image_error": 52.7, "mean_image_error_standard_error": 0.5, "example_count": 50.0,
    }  # fmt: skip
    write(tmp_path / "metrics-00000-of-00001.tfrecord", slice_of(values))
    own, constant, *others = model_evaluation.read_results(str(tmp_path), "validation")["overall"]
    assert (own.low, own.high) == pytest.approx((2.804, 3.196), abs=1e-4)
    assert own.text == "squared error 3.00 per image (95 % confidence 2.80 to 3.20)"
    assert constant.text == "mean image 52.70"
    assert [other.low for other in others] == [None] * 3


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
            "log_probability is -95.25 nats; --gates.min-log-probability requires -90",
        ),
        (
            ("log_probability", -1.5, {"change": -0.5}),
            "log_probability is 1.50 nats below that of the newest other blessed model; "
            "--gates.max-log-probability-decrease allows 0.50",
        ),
        (
            ("top1_error", 1.5, {"change": 0.5}),
            "top1_error is 1.50 percentage points above that of the newest other blessed model; "
            "--gates.max-error-increase allows 0.50",
        ),
        (
            ("squared_error", float("nan"), {"high": 3}),
            "squared_error is not a number because the training diverged; lower its learning rate",
        ),
        (
            ("top5_error", float("nan"), {"high": 3}),
            "top5_error cannot be measured with so few classes; leave out --gates.max-top5-error",
        ),
        (("gain_over_constant", 0.05, {"low": 0.1}), "gain_over_constant is 0.05; --gates.min-gain requires 0.1"),
    ],
)
def test_a_refusal_names_metric_unit_and_option(model_evaluation, tmp_path, found, sentence):
    from tensorflow_model_analysis.proto import validation_result_pb2

    name, value, threshold = found
    result = validation_result_pb2.ValidationResult()
    result.metric_validations_per_slice.add().failures.append(failure(name, value, **threshold))
    write(tmp_path / "validations.tfrecord", result)
    assert model_evaluation.refusals(str(tmp_path)) == [sentence]


def test_a_split_without_images_is_refused(model_evaluation, tmp_path):
    from tensorflow_model_analysis.proto import validation_result_pb2

    result = validation_result_pb2.ValidationResult()
    result.missing_slices.add()
    write(tmp_path / "validations.tfrecord", result)
    assert model_evaluation.refusals(str(tmp_path)) == ["the split has no images"]
