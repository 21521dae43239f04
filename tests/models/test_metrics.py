import keras
import numpy as np
import pytest

from models.metrics import TopKError


def brute_force(labels, scores, k):
    wrong = 0
    for label, row in zip(labels, scores, strict=True):
        others = np.delete(row, label)
        wrong += np.sum(others >= row[label]) >= k
    return 100 * wrong / len(labels)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_equals_brute_force_with_many_ties(k):
    random = np.random.default_rng(k)
    scores = random.integers(0, 6, size=(200, 10)).astype("float32")
    labels = random.integers(0, 10, size=200)
    metric = TopKError(k)
    metric.update_state(labels[:77], scores[:77])
    metric.update_state(labels[77:, None], scores[77:])
    np.testing.assert_allclose(float(metric.result()), brute_force(labels, scores, k), rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, np.nan])
def test_constant_or_nan_output_is_always_wrong(value):
    metric = TopKError(5)
    metric.update_state(np.arange(10), np.full((10, 10), value, "float32"))
    assert float(metric.result()) == 100


def test_weights_count():
    metric = TopKError(1)
    metric.update_state([0, 0], [[1.0, 0.0], [0.0, 1.0]], sample_weight=[3.0, 1.0])
    assert float(metric.result()) == 25


def test_name_and_configuration():
    assert TopKError(1).name == "top1_error"
    again = keras.metrics.deserialize(keras.metrics.serialize(TopKError(3, name="e")))
    assert (again.k, again.name) == (3, "e")
    with pytest.raises(ValueError, match="at least 1"):
        TopKError(0)
