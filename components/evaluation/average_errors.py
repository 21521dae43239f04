"""Errors of an average and of each of its members on one split, counted as Evaluator counts them."""

import numpy as np
import tensorflow as tf

from components import features
from components.evaluation.classification_metrics import rank_of_label
from components.evaluation.intervals import wilson_interval
from components.evaluation.measures import EXAMPLE_COUNT, MEASURES
from components.evaluation.results import TEN_CROP_TEST, Result
from components.export import layout
from components.export.averaged_classifier import AveragedClassifier
from components.input_pipeline.image_data import split_files
from components.reporting import progress

# An AlexNet needs less than 1 GB for ten crops of 227 x 227 of this many images.
_BATCH = 32


def measure_each(averaged: AveragedClassifier, examples_uri: str, split: str) -> list[tuple[Result, ...]]:
    """Measures all members and the average in one pass over the images.

    Args:
        averaged: The average.
        examples_uri: Folder of an Examples artifact.
        split: "validation", "test" or "test_ten_crop": ten crops of each image of the test split.

    Returns:
        The results of each member, in their order, and last those of the average: top-1 error, top-5 error if there are
        more than five classes (percent, with the 95 % interval), and the number of images.
    """
    ten_crops = split == TEN_CROP_TEST
    images, signature = (features.TEST, layout.TEN_CROP_EXAMPLES) if ten_crops else (split, layout.EXAMPLES)
    of_each = tf.function(lambda records: averaged.member_probabilities(signature, records))
    parts: list[np.ndarray] = []  # each (members + 1, images of a batch)
    for records in tf.data.TFRecordDataset(split_files(examples_uri, images)).batch(_BATCH).prefetch(1):
        probabilities = of_each(records)
        every = np.concatenate([probabilities, tf.reduce_mean(probabilities, axis=0)[None]])
        labels = tf.io.parse_example(records, {features.LABEL: tf.io.FixedLenFeature((), tf.int64)})[features.LABEL]
        parts.append(np.array([list(map(rank_of_label, labels.numpy(), scores)) for scores in every]))
        progress.say(f"{images}, image {sum(part.shape[1] for part in parts):,}")
    return [_results(ranks, len(averaged.labels), split) for ranks in np.concatenate(parts, axis=1)]


def _results(ranks: np.ndarray, classes: int, split: str) -> tuple[Result, ...]:
    results = []
    for measure in MEASURES["classification"]:
        if measure.best is not None and classes > measure.best:
            error = 100 * int(np.count_nonzero(ranks >= measure.best)) / ranks.size
            results.append(Result(measure, split, error, *wilson_interval(error, ranks.size)))
    return (*results, Result(EXAMPLE_COUNT, split, float(ranks.size)))
