"""How wrong an average and each of its members are on one split, counted as Evaluator counts."""

import numpy as np
import tensorflow as tf

from components import features
from components.evaluation.classification_metrics import rank_of_label
from components.evaluation.eval_config import wilson_interval
from components.evaluation.measures import TOP1, TOP5
from components.export import layout
from components.export.averaged_classifier import AveragedClassifier
from components.input_pipeline.image_data import split_files
from components.reporting import progress

# Ten crops of 227 x 227 of this many images take an AlexNet less than 1 GB.
_BATCH = 32
_BEST = {TOP1.name: 1, TOP5.name: 5}


def measure_each(
    averaged: AveragedClassifier, examples_uri: str, split: str, signature: str = layout.EXAMPLES
) -> list[dict[str, float]]:
    """Errors of all members, in their order, and last those of the average; one pass over the images.

    Args:
        averaged: the average.
        examples_uri: folder of an Examples artifact.
        split: whose images.
        signature: that takes tf.Examples: one crop, or ten.

    Returns:
        Each with `top1_error`, `top1_error_low`, `top1_error_high` (percent; 95 % interval), the same of
        `top5_error` where there are more than five classes, and `example_count`.
    """
    of_each = tf.function(lambda records: averaged.member_probabilities(signature, records))
    parts: list[np.ndarray] = []  # each (members + 1, images of a batch)
    for records in tf.data.TFRecordDataset(split_files(examples_uri, split)).batch(_BATCH).prefetch(1):
        probabilities = of_each(records)
        every = np.concatenate([probabilities, tf.reduce_mean(probabilities, axis=0)[None]])
        labels = tf.io.parse_example(records, {features.LABEL: tf.io.FixedLenFeature((), tf.int64)})[features.LABEL]
        parts.append(np.array([list(map(rank_of_label, labels.numpy(), scores)) for scores in every]))
        progress.say(f"{split}, image {sum(part.shape[1] for part in parts):,}")
    return [_errors(ranks, len(averaged.labels)) for ranks in np.concatenate(parts, axis=1)]


def _errors(ranks: np.ndarray, classes: int) -> dict[str, float]:
    errors = {"example_count": float(ranks.size)}
    for name, best in _BEST.items():
        if classes > best:
            error = 100 * int(np.count_nonzero(ranks >= best)) / ranks.size
            low, high = wilson_interval(error, ranks.size)
            errors |= {name: error, f"{name}_low": low, f"{name}_high": high}
    return errors
