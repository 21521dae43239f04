"""What Evaluator measures and what it refuses: TFMA configurations, and results read back with intervals."""

import json
import math
from collections.abc import Mapping

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2

from components import features
from components.evaluation.measures import ALL, MEASURES, Measure, option
from components.export import layout
from components.fingerprint import fingerprint

# Slices besides the overall one: each class, bands of size and luminance, and what the classes are kinds of.
_SLICES = (features.LABEL_NAME, features.SIZE_BAND, features.LUMINANCE_BAND, features.WORDNET)
_ERRORS = "components.evaluation.classification_metrics"
_COSTS = "components.evaluation.output_metrics"
_TOP = {"top1_error": 1, "top5_error": 5}
_BY_NAME = {measure.name: measure for measure in ALL}
# Two-sided 95 % of the normal distribution.
_Z95 = 1.959964


def validation_config(objective: str, min_gain: float, max_worse: float) -> config_pb2.EvalConfig:
    """The judgement on validation: better than a constant answer, no worse than the baseline.

    Args:
        objective: of the model; a key of `components.evaluation.measures.MEASURES`.
        min_gain: lower bound of the gain over the best constant answer.
        max_worse: how much worse than the baseline's the objective's first measure may be, in its own unit:
            percentage points of an error, nats of a log-probability.
    """
    config = _config(objective, min_gain, {})
    threshold = config_pb2.GenericChangeThreshold()
    # TFMA asks of a higher-is-better change that it is at least this, of the others that it is at most this.
    if MEASURES[objective][0].higher_is_better:
        threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
        threshold.absolute.value = -max_worse - 1e-9
    else:
        threshold.direction = config_pb2.MetricDirection.LOWER_IS_BETTER
        threshold.absolute.value = max_worse + 1e-9
    _overall_threshold(config.metrics_specs[0].metrics[0]).change_threshold.CopyFrom(threshold)
    return config


def test_config(objective: str, min_gain: float, bounds: Mapping[str, float]) -> config_pb2.EvalConfig:
    """The judgement on test: better than a constant answer, within absolute bounds.

    Args:
        objective: of the model; a key of `components.evaluation.measures.MEASURES`.
        min_gain: lower bound of the gain over the best constant answer.
        bounds: by the name of a measure, what it may be at most, or where higher is better must be at least.
    """
    return _config(objective, min_gain, bounds)


def ten_crop_config() -> config_pb2.EvalConfig:
    """A second measurement on test, of the signature that averages ten crops; it judges nothing."""
    config = _config("classification", 0.0, {}, layout.TEN_CROP_EXAMPLES)
    for metric in config.metrics_specs[0].metrics:
        del metric.per_slice_thresholds[:]
    return config


def _config(
    objective: str, min_gain: float, bounds: Mapping[str, float], signature: str = layout.EXAMPLES
) -> config_pb2.EvalConfig:
    measures = MEASURES[objective]
    config = config_pb2.EvalConfig()
    # TFMA adds the same for the baseline, where there is one, and names both.
    output = layout.PROBABILITIES if measures[0].name in _TOP else measures[0].name
    config.model_specs.add(signature_name=signature, label_key=features.LABEL, prediction_key=output)
    config.slicing_specs.add()
    for feature in _SLICES:
        config.slicing_specs.add(feature_keys=[feature])
    spec = config.metrics_specs.add()
    for measure in measures:
        metric = _add_metric(spec, measure)
        if measure.name in bounds:
            threshold = _overall_threshold(metric).value_threshold
            bound = threshold.lower_bound if measure.higher_is_better else threshold.upper_bound
            bound.value = bounds[measure.name]
    gain = _add_gain(spec, measures[0])
    _overall_threshold(gain).value_threshold.lower_bound.value = min_gain
    spec.metrics.add(class_name="ExampleCount")
    return config


def _add_metric(spec: config_pb2.MetricsSpec, measure: Measure) -> config_pb2.MetricConfig:
    if measure.name in _TOP:
        return _add(spec, _ERRORS, "TopKError", k=_TOP[measure.name])
    metric = _add(spec, _COSTS, "MeanOutput", output=measure.name)
    _add(spec, _COSTS, "MeanOutput", output=measure.constant)
    return metric


def _add_gain(spec: config_pb2.MetricsSpec, measure: Measure) -> config_pb2.MetricConfig:
    if measure.name in _TOP:
        return _add(spec, _ERRORS, "GainOverConstant")
    return _add(spec, _COSTS, "GainOverConstantOutput", output=measure.name, constant=measure.constant)


def _add(spec: config_pb2.MetricsSpec, module: str, name: str, **parameters: object) -> config_pb2.MetricConfig:
    # The source is in the configuration, and so in the cache key: other metrics are another evaluation.
    config = json.dumps({**parameters, "source": fingerprint(module)})
    return spec.metrics.add(class_name=name, module=module, config=config)


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
        By slice ("overall", "label_name=cat"): each measure of the objective (see
        `components.evaluation.measures`) with its 95 % interval, such as `top1_error`, `top1_error_low`,
        `top1_error_high` (percent), or `log_probability` (nats); `gain_over_constant` and `example_count`.
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
    for name in values.keys() & _BY_NAME.keys():
        low, high = _interval(name, values)
        values |= {f"{name}_low": low, f"{name}_high": high}
    return values


def _interval(name: str, values: Mapping[str, float]) -> tuple[float, float]:
    if name in _TOP:
        return wilson_interval(values[name], int(values["example_count"]))
    half = _Z95 * values.get(f"{name}_standard_error", float("inf"))
    return values[name] - half, values[name] + half


def refusals(evaluation_uri: str) -> list[str]:
    """Why TFMA refused a model: one line per threshold that was not met, empty if it was blessed."""
    result = tfma.load_validation_result(evaluation_uri)
    failures = [failure for per_slice in result.metric_validations_per_slice for failure in per_slice.failures]
    return [_sentence(failure) for failure in failures] + ["the split has no examples"] * len(result.missing_slices)


def _sentence(failure: validation_result_pb2.ValidationFailure) -> str:
    name, value = failure.metric_key.name, failure.metric_value.double_value.value
    measure, threshold = _BY_NAME.get(name), failure.metric_threshold
    if measure is not None and math.isnan(value):
        return _not_a_number(measure, compared=threshold.HasField("change_threshold"))
    if measure is None:
        return f"{name} is {value:.4g}; --gates.min-gain asks for {threshold.value_threshold.lower_bound.value:.4g}"
    if threshold.HasField("change_threshold"):
        allowed, unit = abs(threshold.change_threshold.absolute.value), measure.unit.strip()
        unit = "percentage points" if unit == "%" else unit
        side = "below" if measure.higher_is_better else "above"
        worse = f"{abs(value):.2f} {unit} {side} the newest other blessed model's"
        return f"{name} is {worse}; {option(measure.change)} allows {allowed:.2f}"
    bound = threshold.value_threshold
    if measure.higher_is_better:
        asked = f"asks for {bound.lower_bound.value:.4g}"
    else:
        asked = f"allows {bound.upper_bound.value:.4g}"
    return f"{name} is {value:.4g}{measure.unit}; {option(measure.bound)} {asked}"


def _not_a_number(measure: Measure, compared: bool) -> str:
    if measure.name in _TOP:
        return f"{measure.name} cannot be measured with so few classes; leave out {option(measure.bound)}"
    if compared:
        return (
            f"{measure.name} cannot be compared with the newest other blessed model's: one of the two is not a number, "
            "or that model has another objective; give this one a --name of its own"
        )
    return f"{measure.name} is not a number: the training diverged; lower its learning rate"
