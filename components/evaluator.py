"""What Evaluator measures and what it refuses: TFMA configurations, and results read back with intervals."""

import json
import math
from collections.abc import Sequence

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2

from components import features
from components.fingerprint import fingerprint

# Slices besides the overall one: each class, and bands of size and luminance.
_SLICES = (features.LABEL_NAME, features.SIZE_BAND, features.LUMINANCE_BAND)
_METRICS = "components.error_metrics"
_BOUND_OPTION = {f"top{k}_error": f"--gates.max-top{k}-error" for k in (1, 5)}
# Two-sided 95 % of the normal distribution.
_Z95 = 1.959964


def validation_config(num_top: Sequence[int], min_gain: float, max_error_increase: float) -> config_pb2.EvalConfig:
    """The judgement on validation: better than a constant answer, no worse than the baseline.

    Args:
        num_top: the k of the top-k errors that are measured; 1 first.
        min_gain: lower bound of the gain over the best constant answer.
        max_error_increase: percentage points that the top-1 error may lie above the baseline's.
    """
    config = _config(num_top, min_gain, {})
    change = config_pb2.GenericChangeThreshold(
        absolute={"value": max_error_increase + 1e-9}, direction=config_pb2.MetricDirection.LOWER_IS_BETTER
    )
    _overall_threshold(config.metrics_specs[0].metrics[0]).change_threshold.CopyFrom(change)
    return config


def test_config(num_top: Sequence[int], min_gain: float, max_errors: dict[int, float]) -> config_pb2.EvalConfig:
    """The judgement on test: better than a constant answer, below absolute bounds.

    Args:
        num_top: the k of the top-k errors that are measured; 1 first.
        min_gain: lower bound of the gain over the best constant answer.
        max_errors: upper bound of the top-k error in percent, by k.
    """
    return _config(num_top, min_gain, max_errors)


def _config(num_top: Sequence[int], min_gain: float, max_errors: dict[int, float]) -> config_pb2.EvalConfig:
    # In the configuration, and so in the cache key: other metrics are another evaluation.
    source = fingerprint(_METRICS)
    config = config_pb2.EvalConfig()
    # TFMA adds the same for the baseline, where there is one, and names both.
    config.model_specs.add(signature_name="examples", label_key=features.LABEL, prediction_key="probabilities")
    config.slicing_specs.add()
    for feature in _SLICES:
        config.slicing_specs.add(feature_keys=[feature])
    spec = config.metrics_specs.add()
    for k in num_top:
        metric = spec.metrics.add(
            class_name="TopKError", module=_METRICS, config=json.dumps({"k": k, "source": source})
        )
        if k in max_errors:
            _overall_threshold(metric).value_threshold.upper_bound.value = max_errors[k]
    gain = spec.metrics.add(class_name="GainOverConstant", module=_METRICS, config=json.dumps({"source": source}))
    _overall_threshold(gain).value_threshold.lower_bound.value = min_gain
    spec.metrics.add(class_name="ExampleCount")
    return config


def _overall_threshold(metric: config_pb2.MetricConfig) -> config_pb2.MetricThreshold:
    """A threshold for all examples together. A plain one would be asked of every slice, of a class of 20 too."""
    per_slice = metric.per_slice_thresholds.add()
    per_slice.slicing_specs.add()
    return per_slice.threshold


def wilson_interval(error: float, count: int) -> tuple[float, float]:
    """95 % interval of an error rate (Wilson 1927): it stays sensible at 0 and for few examples.

    Args:
        error: in percent.
        count: number of examples.

    Returns:
        Lower and upper bound in percent; (0, 100) without examples.
    """
    if count == 0:
        return 0.0, 100.0
    p, z2 = error / 100, _Z95**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * math.sqrt(p * (1 - p) / count + z2 / (4 * count**2))
    return max(0.0, 100 * (centre - half)), min(100.0, 100 * (centre + half))


def read_metrics(evaluation_uri: str) -> dict[str, dict[str, float]]:
    """Metrics of the candidate by slice, each error with its interval.

    Args:
        evaluation_uri: folder of a ModelEvaluation artifact.

    Returns:
        By slice ("overall", "label_name=cat"): `top1_error`, `top1_error_low`, `top1_error_high` (percent), the
        same for top-5, `gain_over_constant` and `example_count`.
    """
    # TFMA names the candidate only where there is a baseline beside it.
    named = tfma.load_eval_result(evaluation_uri, model_name=tfma.CANDIDATE_KEY).slicing_metrics
    metrics = named if any(per_slice for _, per_slice in named) else _only_model(evaluation_uri)
    return {_slice_name(key): _flat(per_slice) for key, per_slice in metrics}


def _only_model(evaluation_uri: str) -> list:
    return tfma.load_eval_result(evaluation_uri).slicing_metrics


def _slice_name(key: tuple) -> str:
    return " ".join(f"{feature}={value}" for feature, value in key) or "overall"


def _flat(metrics: dict) -> dict[str, float]:
    # TFMA writes NaN as text: the top-5 error of five classes.
    values = {name: float(value["doubleValue"]) for name, value in metrics[""][""].items() if "doubleValue" in value}
    # A "_diff" is the distance to the baseline.
    values = {name: value for name, value in values.items() if not (math.isnan(value) or name.endswith("_diff"))}
    for name in [name for name in values if name.endswith("_error")]:
        low, high = wilson_interval(values[name], int(values["example_count"]))
        values |= {f"{name}_low": low, f"{name}_high": high}
    return values


def refusals(evaluation_uri: str) -> list[str]:
    """Why TFMA refused a model: one line per threshold that was not met, empty if it was blessed."""
    result = tfma.load_validation_result(evaluation_uri)
    failures = [failure for per_slice in result.metric_validations_per_slice for failure in per_slice.failures]
    return [_sentence(failure) for failure in failures] + ["the split has no examples"] * len(result.missing_slices)


def _sentence(failure: validation_result_pb2.ValidationFailure) -> str:
    name, value = failure.metric_key.name, failure.metric_value.double_value.value
    bound = failure.metric_threshold.value_threshold
    if failure.metric_threshold.HasField("change_threshold"):
        allowed = failure.metric_threshold.change_threshold.absolute.value
        points = f"{value:.2f} percentage points above the newest other blessed model's"
        return f"{name} is {points}; --gates.max-error-increase allows {allowed:.2f}"
    if math.isnan(value):
        return f"{name} cannot be measured with so few classes; leave out {_BOUND_OPTION[name]}"
    if bound.HasField("upper_bound"):
        return f"{name} is {value:.4g} %; {_BOUND_OPTION[name]} allows {bound.upper_bound.value:.4g}"
    return f"{name} is {value:.4g}; --gates.min-gain asks for {bound.lower_bound.value:.4g}"
