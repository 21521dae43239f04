"""TFMA metrics of models that return a number for each image: its mean, and the gain over the best constant answer.

The model returns this number and the same number of the constant answer: the squared error of a reconstruction and of
the mean image, or the log-probability under the model and under independent pixels.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from components.evaluation.measures import GAIN, STANDARD_ERROR


class MeanOutput(tfma.metrics.Metric):
    """TFMA metric: mean over all images of one output of the model, and the standard error of that mean.

    The mean is NaN, which no threshold accepts, if a single value is not finite or if the model lacks the output, as a
    baseline of another objective does.

    Args:
        output: Name of the output, shape (N,), and of the metric.
        source: Fingerprint of this module, which enters the cache key with the configuration of an evaluation.

    Example:
        >>> MeanOutput("squared_error").get_config()["name"]
        'squared_error'
    """

    def __init__(self, output: str, source: str = "") -> None:
        names = (output, STANDARD_ERROR.format(name=output))
        computations = _computations(names, lambda model, keys: _MeanCombiner(model, output, keys))
        super().__init__(computations, name=output, output=output, source=source)


class GainOverConstantOutput(tfma.metrics.Metric):
    """TFMA metric: gain over the best constant answer, 1 - cost / cost of the constant answer.

    A model with a gain of 0 or less is no better than the same answer for every image; a perfect model has a gain of 1.
    The gain is NaN if a single value is not finite.

    Args:
        output: Name of the output that holds the cost of each image, or minus the cost, shape (N,).
        constant: Name of the output that holds the same number of the constant answer, shape (N,).
        source: Fingerprint of this module, which enters the cache key with the configuration of an evaluation.

    Example:
        >>> GainOverConstantOutput("squared_error", "mean_image_error").get_config()["name"]
        'gain_over_constant'
    """

    def __init__(self, output: str, constant: str, source: str = "") -> None:
        computations = _computations((GAIN.name,), lambda model, keys: _GainCombiner(model, output, constant, keys))
        super().__init__(computations, name=GAIN.name, output=output, constant=constant, source=source)


def _computations(names: Sequence[str], combiner: Callable) -> Callable:
    """Returns the function that TFMA calls for one computation per model, each of metrics with these names."""

    # TFMA passes arguments by name, the metric's own too. With a baseline, `model_names` holds both models' names.
    def computations(
        model_names: list[str] | None = None, example_weighted: bool = False, **_: object
    ) -> list[metric_types.MetricComputation]:
        found = []
        for model in model_names or [""]:
            keys = [
                metric_types.MetricKey(name=name, model_name=model, example_weighted=example_weighted) for name in names
            ]
            found.append(metric_types.MetricComputation(keys=keys, preprocessors=None, combiner=combiner(model, keys)))
        return found

    return computations


class _Sums(NamedTuple):
    """Number, mean and sum of squared deviations of some values, merged without cancellation (Chan et al. 1979)."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def plus(self, other: "_Sums") -> "_Sums":
        count = self.number + other.number
        if count == 0:
            return self
        shift = other.mean - self.mean
        return _Sums(
            count,
            self.mean + shift * other.number / count,
            self.squares + other.squares + shift**2 * self.number * other.number / count,
        )

    def standard_error(self) -> float:
        return float(np.sqrt(self.squares / (self.number - 1) / self.number)) if self.number > 1 else float("nan")


def _values(inputs: metric_types.StandardMetricInputs, model: str, output: str) -> np.ndarray:
    """Returns an output of one model for the images of `inputs`, with NaN for every value that is not finite."""
    outputs = inputs.predictions
    outputs = outputs[model] if model else outputs
    values = np.asarray(outputs.get(output, np.nan), np.float64).reshape(-1)
    return np.where(np.isfinite(values), values, np.nan)


class _SumsCombiner(beam.CombineFn):
    def __init__(self, model: str, *outputs: str) -> None:
        self._model = model
        self._outputs = outputs

    def create_accumulator(self) -> tuple[_Sums, ...]:
        return tuple(_Sums() for _ in self._outputs)

    def add_input(self, sums: tuple[_Sums, ...], element: metric_types.StandardMetricInputs) -> tuple[_Sums, ...]:
        values = [_values(element, self._model, output) for output in self._outputs]
        added = [_Sums(each.size, each.mean(), float(np.square(each - each.mean()).sum())) for each in values]
        return tuple(old.plus(new) for old, new in zip(sums, added, strict=True))

    def merge_accumulators(self, accumulators: Iterable[tuple[_Sums, ...]]) -> tuple[_Sums, ...]:
        total = self.create_accumulator()
        for sums in accumulators:
            total = tuple(old.plus(new) for old, new in zip(total, sums, strict=True))
        return total


class _MeanCombiner(_SumsCombiner):
    def __init__(self, model: str, output: str, keys: list[metric_types.MetricKey]) -> None:
        super().__init__(model, output)
        self._keys = keys

    def extract_output(self, sums: tuple[_Sums, ...]) -> dict:
        [total] = sums
        mean = total.mean if total.number else float("nan")
        return dict(zip(self._keys, (mean, total.standard_error()), strict=True))


class _GainCombiner(_SumsCombiner):
    def __init__(self, model: str, output: str, constant: str, keys: list[metric_types.MetricKey]) -> None:
        super().__init__(model, output, constant)
        [self._key] = keys

    def extract_output(self, sums: tuple[_Sums, ...]) -> dict:
        own, constant = sums
        # No model can improve on a constant answer without any error: a gain of 0.
        return {self._key: 1 - own.mean / constant.mean if constant.mean else 0.0}
