"""TFMA configurations of the evaluators: metrics, slices and thresholds."""

import json
from collections.abc import Mapping

from tensorflow_model_analysis.proto import config_pb2

from components import features
from components.evaluation.measures import MEASURES, Measure
from components.export import layout
from components.fingerprint import fingerprint

# Slices besides the overall one: classes, bands of size and of luminance, and the WordNet hypernyms of the classes.
_SLICES = (features.LABEL_NAME, features.SIZE_BAND, features.LUMINANCE_BAND, features.WORDNET)
_CLASSIFICATION_METRICS = "components.evaluation.classification_metrics"
_OUTPUT_METRICS = "components.evaluation.output_metrics"


def validation_config(objective: str, min_gain: float, max_worse: float) -> config_pb2.EvalConfig:
    """Returns the evaluation on validation: better than a constant answer, and no worse than the baseline.

    Args:
        objective: Objective of the model; a key of `components.evaluation.measures.MEASURES`.
        min_gain: Lower bound of the gain over the best constant answer.
        max_worse: How much worse than the baseline's the first measure of the objective may be, in its own unit:
            percentage points of an error, nats of a log-probability.
    """
    config = _config(objective, min_gain, {})
    threshold = config_pb2.GenericChangeThreshold()
    # TFMA requires a higher-is-better change to be at least this, and any other change to be at most this.
    if MEASURES[objective][0].higher_is_better:
        threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
        threshold.absolute.value = -max_worse - 1e-9
    else:
        threshold.direction = config_pb2.MetricDirection.LOWER_IS_BETTER
        threshold.absolute.value = max_worse + 1e-9
    _overall_threshold(config.metrics_specs[0].metrics[0]).change_threshold.CopyFrom(threshold)
    return config


def test_config(objective: str, min_gain: float, bounds: Mapping[str, float]) -> config_pb2.EvalConfig:
    """Returns the evaluation on test: better than a constant answer, and within absolute bounds.

    Args:
        objective: Objective of the model; a key of `components.evaluation.measures.MEASURES`.
        min_gain: Lower bound of the gain over the best constant answer.
        bounds: Bound by name of a measure, in its unit: a lower bound if higher is better, otherwise an upper bound.
    """
    return _config(objective, min_gain, bounds)


def ten_crop_config() -> config_pb2.EvalConfig:
    """Returns a second evaluation on test, of the signature that averages ten crops; it has no thresholds."""
    config = _config("classification", 0.0, {}, layout.TEN_CROP_EXAMPLES)
    for metric in config.metrics_specs[0].metrics:
        del metric.per_slice_thresholds[:]
    return config


def _config(
    objective: str, min_gain: float, bounds: Mapping[str, float], signature: str = layout.EXAMPLES
) -> config_pb2.EvalConfig:
    measures = MEASURES[objective]
    config = config_pb2.EvalConfig()
    # TFMA adds a second specification for the baseline, if there is one, and names both.
    output = measures[0].name if measures[0].best is None else layout.PROBABILITIES
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
    if measure.best is not None:
        return _add(spec, _CLASSIFICATION_METRICS, "TopKErrorRate", k=measure.best)
    metric = _add(spec, _OUTPUT_METRICS, "MeanOutput", output=measure.name)
    if measure.constant is not None:
        _add(spec, _OUTPUT_METRICS, "MeanOutput", output=measure.constant.name)
    return metric


def _add_gain(spec: config_pb2.MetricsSpec, measure: Measure) -> config_pb2.MetricConfig:
    if measure.constant is None:
        return _add(spec, _CLASSIFICATION_METRICS, "GainOverConstant")
    return _add(spec, _OUTPUT_METRICS, "GainOverConstantOutput", output=measure.name, constant=measure.constant.name)


def _add(spec: config_pb2.MetricsSpec, module: str, name: str, **parameters: object) -> config_pb2.MetricConfig:
    # The fingerprint enters the cache key with the configuration: a changed metric evaluates again.
    config = json.dumps({**parameters, "source": fingerprint(module)})
    return spec.metrics.add(class_name=name, module=module, config=config)


def _overall_threshold(metric: config_pb2.MetricConfig) -> config_pb2.MetricThreshold:
    """Returns a threshold for all images together: a plain one applies to every slice, even a class of 20 images."""
    per_slice = metric.per_slice_thresholds.add()
    per_slice.slicing_specs.add()
    return per_slice.threshold
