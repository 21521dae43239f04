"""TFMA metrics of a classifier: top-k error in percent, and the gain over the best constant answer.

Both count pessimistically. TFMA's own top-k accuracy counts ties as hits, so that a constant softmax has a top-5
accuracy of 1; here a tie counts against the model, and so does an output that is not finite.
"""

from collections import Counter
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.measures import GAIN, TOP_ERROR


def rank_of_label(label: int, scores: np.ndarray) -> int:
    """How many other classes score at least as high as the label: 0 is a clear top-1 hit.

    Args:
        label: class index.
        scores: (classes,).

    Returns:
        0 to classes - 1; classes if the label is out of range or a score is not finite.
    """
    if not 0 <= label < scores.size or not np.all(np.isfinite(scores)):
        return scores.size
    return int(np.count_nonzero(scores >= scores[label])) - 1


class TopKError(tfma.metrics.Metric):
    """Share of examples, in percent, whose label is not among the k best scores.

    Args:
        k: at least 1. Where there are no more than k classes the error is NaN: there is nothing to miss.
        source: fingerprint of this module, kept in the configuration of an evaluation.
        name: default, `top<k>_error`.
    """

    def __init__(self, k: int, source: str = "", name: str | None = None) -> None:
        super().__init__(_computations(_TopKErrorCombiner), name=name or TOP_ERROR.format(k=k), k=k, source=source)


class GainOverConstant(tfma.metrics.Metric):
    """How far a model is above the best constant answer: (accuracy - share) / (1 - share).

    `share` is that of the most frequent class. 0 or less: as good as always giving the same answer; 1: perfect.

    Args:
        source: fingerprint of this module, kept in the configuration of an evaluation.
        name: of the metric.
    """

    def __init__(self, source: str = "", name: str = GAIN) -> None:
        super().__init__(_computations(_GainCombiner), name=name, source=source)


def _computations(combiner: type) -> object:
    # TFMA passes the arguments that it finds by name: beside a baseline, the names of both models.
    def computations(
        name: str,
        eval_config: config_pb2.EvalConfig | None = None,
        model_names: list[str] | None = None,
        example_weighted: bool = False,
        **parameters: int,
    ) -> list[metric_types.MetricComputation]:
        wanted = {name: value for name, value in parameters.items() if name == "k"}
        keys = [
            metric_types.MetricKey(name=name, model_name=model, example_weighted=example_weighted)
            for model in model_names or [""]
        ]
        return [
            metric_types.MetricComputation(
                keys=[key], preprocessors=None, combiner=combiner(key, eval_config, **wanted)
            )
            for key in keys
        ]

    return computations


class _RankCombiner(beam.CombineFn):
    """Counts examples by (label, rank, classes): enough for every metric here, and small."""

    def __init__(self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None) -> None:
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> Counter:
        return Counter()

    def add_input(self, counts: Counter, element: metric_types.StandardMetricInputs) -> Counter:
        for label, scores, _ in metric_util.to_label_prediction_example_weight(
            element,
            eval_config=self._eval_config,
            model_name=self._key.model_name,
            flatten=False,
        ):
            index, values = int(np.asarray(label).reshape(-1)[0]), np.asarray(scores).reshape(-1)
            counts[index, rank_of_label(index, values), values.size] += 1
        return counts

    def merge_accumulators(self, accumulators: Iterable[Counter]) -> Counter:
        return sum(accumulators, Counter())


class _TopKErrorCombiner(_RankCombiner):
    def __init__(self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None, k: int) -> None:
        super().__init__(key, eval_config)
        self._k = k

    def extract_output(self, counts: Counter) -> dict:
        if any(classes <= self._k for _, _, classes in counts):
            return {self._key: float("nan")}
        misses = sum(count for (_, rank, _), count in counts.items() if rank >= self._k)
        return {self._key: 100 * misses / max(counts.total(), 1)}


class _GainCombiner(_RankCombiner):
    def extract_output(self, counts: Counter) -> dict:
        labels: Counter = Counter()
        for (label, _, _), count in counts.items():
            labels[label] += count
        total = max(counts.total(), 1)
        share = max(labels.values(), default=0) / total
        accuracy = sum(count for (_, rank, _), count in counts.items() if rank == 0) / total
        # A slice of one class has nothing to gain over: 0, so that no constant answer looks perfect.
        return {self._key: (accuracy - share) / (1 - share) if share < 1 else 0.0}
