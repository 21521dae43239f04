"""TFMA metrics of a classifier: top-k error in percent, and the gain over the best constant answer.

Both count pessimistically: a tie counts against the model, and so does an output that is not finite. TFMA's own top-k
accuracy counts ties as hits, which gives a constant softmax a top-5 accuracy of 1.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation.measures import GAIN, TOP_ERROR


def rank_of_label(label: int, scores: np.ndarray) -> int:
    """Returns how many other classes score at least as high as the label; 0 is a clear top-1 hit.

    Args:
        label: Index of the class.
        scores: Scores of all classes, shape (classes,).

    Returns:
        Rank from 0 to classes - 1; classes if the label is out of range or a score is not finite.

    Example:
        >>> rank_of_label(1, np.array([0.2, 0.5, 0.3]))
        0
        >>> rank_of_label(0, np.full(3, 1 / 3))
        2
    """
    if not 0 <= label < scores.size or not np.all(np.isfinite(scores)):
        return scores.size
    return int(np.count_nonzero(scores >= scores[label])) - 1


class TopKErrorRate(tfma.metrics.Metric):
    """TFMA metric: share of images, in percent, whose label is not among the k best scores.

    With at most k classes no answer can be wrong, so the error is NaN.

    Args:
        k: Number of best scores that count as a hit, at least 1.
        source: Fingerprint of this module, which enters the cache key with the configuration of an evaluation.
        name: Name of the metric; default `top<k>_error`.

    Example:
        >>> TopKErrorRate(k=5).get_config()["name"]
        'top5_error'
    """

    def __init__(self, k: int, source: str = "", name: str | None = None) -> None:
        super().__init__(_computations(_TopKErrorRateCombiner), name=name or TOP_ERROR.format(k=k), k=k, source=source)


class GainOverConstant(tfma.metrics.Metric):
    """TFMA metric: gain in accuracy over the best constant answer, (accuracy - share) / (1 - share).

    `share` is the share of the most frequent class. A model with a gain of 0 or less is no better than the same answer
    for every image; a perfect model has a gain of 1.

    Args:
        source: Fingerprint of this module, which enters the cache key with the configuration of an evaluation.
        name: Name of the metric.

    Example:
        >>> GainOverConstant().get_config()["name"]
        'gain_over_constant'
    """

    def __init__(self, source: str = "", name: str = GAIN.name) -> None:
        super().__init__(_computations(_GainCombiner), name=name, source=source)


def _computations(combiner: type["_RankCombiner"]) -> Callable[..., list[metric_types.MetricComputation]]:
    # TFMA passes arguments by name. With a baseline, `model_names` holds the names of both models.
    def computations(
        name: str,
        eval_config: config_pb2.EvalConfig | None = None,
        model_names: list[str] | None = None,
        example_weighted: bool = False,
        **parameters: int,
    ) -> list[metric_types.MetricComputation]:
        own = {name: value for name, value in parameters.items() if name == "k"}
        keys = [
            metric_types.MetricKey(name=name, model_name=model, example_weighted=example_weighted)
            for model in model_names or [""]
        ]
        return [
            metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=combiner(key, eval_config, **own))
            for key in keys
        ]

    return computations


class _RankCombiner(beam.CombineFn):
    """Counts images by (label, rank, classes), which is all that the metrics of this module need."""

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


class _TopKErrorRateCombiner(_RankCombiner):
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
        # In a slice of one class the constant answer is perfect: a gain of 0, so that it does not look like 1.
        return {self._key: (accuracy - share) / (1 - share) if share < 1 else 0.0}
