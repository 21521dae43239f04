"""Reads TFX's ModelEvaluation artifact: results by slice, and the reasons why a model was refused."""

import math
from collections.abc import Mapping

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2, validation_result_pb2

from components.evaluation.intervals import mean_interval, wilson_interval
from components.evaluation.measures import ALL, BY_NAME, EXAMPLE_COUNT, STANDARD_ERROR, Measure, option
from components.evaluation.results import Result

OVERALL = "overall"
# TFMA names the model only if there is a baseline beside it.
_CANDIDATE = ("", tfma.CANDIDATE_KEY)


def read_results(evaluation_uri: str, split: str) -> dict[str, tuple[Result, ...]]:
    """Reads the results of the candidate on every slice.

    Args:
        evaluation_uri: Folder of a ModelEvaluation artifact.
        split: Split on which the model was evaluated; a key of `components.evaluation.results.SPLIT_WORDS`.

    Returns:
        By slice ("overall", "label_name=cat"): a result for each measure of the objective, with its 95 % interval, for
        its constant answer, the gain over that answer and the number of images. A measure that cannot be taken, such
        as the top-5 error of five classes, is left out.
    """
    return {_slice_name(metrics.slice_key): _results(metrics, split) for metrics in tfma.load_metrics(evaluation_uri)}


def _slice_name(key: metrics_for_slice_pb2.SliceKey) -> str:
    # All slices are of bytes features: see `components.evaluation.eval_config`.
    return " ".join(f"{part.column}={part.bytes_value.decode()}" for part in key.single_slice_keys) or OVERALL


def _results(metrics: metrics_for_slice_pb2.MetricsForSlice, split: str) -> tuple[Result, ...]:
    values = {
        each.key.name: each.value.double_value.value
        for each in metrics.metric_keys_and_values
        # A "diff" is the distance to the baseline.
        if each.key.model_name in _CANDIDATE and not each.key.is_diff and each.value.HasField("double_value")
    }
    values = {name: value for name, value in values.items() if not math.isnan(value)}
    found = [measure for measure in BY_NAME.values() if measure.name in values]
    return tuple(Result(each, split, values[each.name], *_interval(each, values)) for each in found)


def _interval(measure: Measure, values: Mapping[str, float]) -> tuple[float, float] | tuple[()]:
    if measure.best is not None:
        return wilson_interval(values[measure.name], int(values[EXAMPLE_COUNT.name]))
    if measure in ALL:
        standard_error = values.get(STANDARD_ERROR.format(name=measure.name), math.inf)
        return mean_interval(values[measure.name], standard_error)
    return ()


def refusals(evaluation_uri: str) -> list[str]:
    """Returns why TFMA refused a model: one line for each threshold that was not met, empty if it was blessed.

    Args:
        evaluation_uri: Folder of a ModelEvaluation artifact.
    """
    result = tfma.load_validation_result(evaluation_uri)
    failures = [failure for per_slice in result.metric_validations_per_slice for failure in per_slice.failures]
    return [_sentence(failure) for failure in failures] + ["the split has no images"] * len(result.missing_slices)


def _sentence(failure: validation_result_pb2.ValidationFailure) -> str:
    name, value, threshold = failure.metric_key.name, failure.metric_value.double_value.value, failure.metric_threshold
    measure = next((each for each in ALL if each.name == name), None)
    if measure is None:
        return f"{name} is {value:.4g}; --gates.min-gain requires {threshold.value_threshold.lower_bound.value:.4g}"
    compared = threshold.HasField("change_threshold")
    if math.isnan(value):
        return _not_a_number(measure, compared)
    if compared:
        return _worse_than_baseline(measure, value, threshold.change_threshold.absolute.value)
    bound = threshold.value_threshold
    if measure.higher_is_better:
        required = f"requires {bound.lower_bound.value:.4g}"
    else:
        required = f"allows {bound.upper_bound.value:.4g}"
    return f"{name} is {value:.4g}{measure.unit}; {option(measure.bound)} {required}"


def _worse_than_baseline(measure: Measure, change: float, threshold: float) -> str:
    unit = "percentage points" if measure.best is not None else measure.unit.strip()
    side = "below" if measure.higher_is_better else "above"
    worse = f"{abs(change):.2f} {unit} {side} that of the newest other blessed model"
    return f"{measure.name} is {worse}; {option(measure.change)} allows {abs(threshold):.2f}"


def _not_a_number(measure: Measure, compared: bool) -> str:
    if measure.best is not None:
        return f"{measure.name} cannot be measured with so few classes; leave out {option(measure.bound)}"
    if compared:
        return (
            f"{measure.name} cannot be compared with that of the newest other blessed model: one of the two is not a "
            "number, or that model has another objective; give this model another --name"
        )
    return f"{measure.name} is not a number because the training diverged; lower its learning rate"
