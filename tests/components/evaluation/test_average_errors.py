"""Errors of an average and of its members: one pass, counted pessimistically, as Evaluator counts."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

CLASSES = 6


class Fixed:
    """An average of two members whose answer is written into the first pixels of each image."""

    labels = tuple("abcdef")

    def __init__(self, answers: np.ndarray) -> None:
        self.answers = answers  # (members, images, classes)
        self.asked = []
        self._seen = tf.Variable(0)

    def member_probabilities(self, signature, records):
        self.asked.append(signature)
        start = self._seen.read_value()
        self._seen.assign_add(tf.size(records))
        return tf.constant(self.answers, tf.float32)[:, start : start + tf.size(records)]


@pytest.fixture(scope="module")
def average_errors():
    pytest.importorskip("tensorflow_model_analysis")
    from components.evaluation import average_errors

    return average_errors


def test_counts_against_numpy(average_errors, tmp_path, write_examples_artifact):
    random = np.random.default_rng(3)
    labels, answers = random.integers(0, CLASSES, 75), random.dirichlet(np.ones(CLASSES), (2, 75)).astype("f")
    images = random.integers(0, 256, (75, 2, 2), np.uint8)
    uri = write_examples_artifact(tmp_path, {"test": (images, labels)}, shards=2)
    averaged = Fixed(answers)
    found = average_errors.measure_each(averaged, uri, "test_ten_crop")
    assert set(averaged.asked) == {"ten_crop_examples"}
    for results, scores in zip(found, [*answers, answers.mean(axis=0)], strict=True):
        order = np.argsort(-scores, axis=1)
        top1, top5, count = results
        assert top1.value == pytest.approx(100 * np.mean(order[:, 0] != labels))
        assert top5.value == pytest.approx(100 * np.mean(order[:, 5] == labels))
        assert top1.low < top1.value < top1.high
        assert count.value == 75
        assert {result.split for result in results} == {"test_ten_crop"}


def values(results):
    return {result.measure.name: result.value for result in results}


def test_a_constant_answer_hits_nothing(average_errors, tmp_path, write_examples_artifact):
    uri = write_examples_artifact(tmp_path, {"test": (np.zeros((3, 2, 2), np.uint8), [0, 1, 2])})
    for results in average_errors.measure_each(Fixed(np.full((2, 3, CLASSES), 1 / CLASSES)), uri, "test"):
        assert values(results) == {"top1_error": 100, "top5_error": 100, "example_count": 3}


def test_five_classes_have_no_top5_error(average_errors, tmp_path, write_examples_artifact):
    uri = write_examples_artifact(tmp_path, {"test": (np.zeros((2, 2, 2), np.uint8), [0, 1])})
    averaged = Fixed(np.eye(5)[None, :2])
    averaged.labels = tuple("abcde")
    assert "top5_error" not in values(average_errors.measure_each(averaged, uri, "test")[0])
