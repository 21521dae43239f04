"""TFMA metrics of models that answer with a figure per image: its mean, and the gain over the best constant answer.

The model says the figure itself, and beside it that of the constant answer: squared error of a reconstruction and of
the mean image, log-probability under the model and under independent pixels.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from components.evaluation.measures import GAIN, STANDARD_ERROR


class MeanOutput(tfma.metrics.Metric):
    """Mean over all images of one output of the model, and the standard error of that mean.

    A model without the output, such as a baseline of another objective, and one of which a single figure is not finite
    have a mean of NaN, which no bound lets pass.

    Args:
        output: name of the output, shape (N,); the metric's name is the same.
        source: fingerprint of this module, kept in the configuration of an evaluation.
    """

    def __init__(self, output: str, source: str = "") -> None:
        names = (output, STANDARD_ERROR.format(name=output))
        computations = _computations(names, lambda model, keys: _MeanCombiner(model, output, keys))
        super().__init__(computations, name=output, output=output, source=source)


class GainOverConstantOutput(tfma.metrics.Metric):
    """How far a model is above the best constant answer: 1 - cost / cost of the constant answer.

    0 or less: as good as always giving the same answer; 1: perfect; NaN where a figure is not finite.

    Args:
        output: name of the output that holds the cost, or minus it, shape (N,).
        constant: the same of the constant answer.
        source: fingerprint of this module, kept in the configuration of an evaluation.
    """

    def __init__(self, output: str, constant: str, source: str = "") -> None:
        computations = _computations((GAIN,), lambda model, keys: _GainCombiner(model, output, constant, keys))
        super().__init__(computations, name=GAIN, output=output, constant=constant, source=source)


def _computations(names: Sequence[str], combiner: Callable) -> Callable:
    """What TFMA calls to get one computation for each model, of metrics with these names."""

    # TFMA passes arguments that it finds by name, beside a baseline the names of both models, and the metric's own.
    def computations(
        model_names: list[str] | None = None, example_weighted: bool = False, **_: object
    ) -> list[metric_types.MetricComputation]:
        made = []
        for model in model_names or [""]:
            keys = [
                metric_types.MetricKey(name=name, model_name=model, example_weighted=example_weighted) for name in names
            ]
            made.append(metric_types.MetricComputation(keys=keys, preprocessors=None, combiner=combiner(model, keys)))
        return made

    return computations


class _Sums(NamedTuple):
    """Number, mean and sum of squared deviations of some figures: merged without cancellation (Chan et al. 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def plus(self, other: "_Sums") -> "_Sums":
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        return _Sums(
            count,
            self.mean + shift * other.count / count,
            self.squares + other.squares + shift**2 * self.count * other.count / count,
        )

    def standard_error(self) -> float:
        return float(np.sqrt(self.squares / (self.count - 1) / self.count)) if self.count > 1 else float("nan")


def _figures(inputs: metric_types.StandardMetricInputs, model: str, output: str) -> np.ndarray:
    """An output of one model for the images of `inputs`."""
    outputs = inputs.predictions
    outputs = outputs[model] if model else outputs
    figures = np.asarray(outputs.get(output, np.nan), np.float64).reshape(-1)
    return np.where(np.isfinite(figures), figures, np.nan)


class _SumsCombiner(beam.CombineFn):
    def __init__(self, model: str, *outputs: str) -> None:
        self._model = model
        self._outputs = outputs

    def create_accumulator(self) -> tuple[_Sums, ...]:
        return tuple(_Sums() for _ in self._outputs)

    def add_input(self, sums: tuple[_Sums, ...], element: metric_types.StandardMetricInputs) -> tuple[_Sums, ...]:
        figures = [_figures(element, self._model, output) for output in self._outputs]
        added = [_Sums(each.size, each.mean(), float(np.square(each - each.mean()).sum())) for each in figures]
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
        mean = total.mean if total.count else float("nan")
        return dict(zip(self._keys, (mean, total.standard_error()), strict=True))


class _GainCombiner(_SumsCombiner):
    def __init__(self, model: str, output: str, constant: str, keys: list[metric_types.MetricKey]) -> None:
        super().__init__(model, output, constant)
        [self._key] = keys

    def extract_output(self, sums: tuple[_Sums, ...]) -> dict:
        own, constant = sums
        # A constant answer without any error leaves nothing to gain over: 0.
        return {self._key: 1 - own.mean / constant.mean if constant.mean else 0.0}
