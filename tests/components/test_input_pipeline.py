"""tf.data: every image once, the same order under a seed, memory or not."""

import numpy as np
import pytest

from components import input_pipeline
from components.epoch_order import EpochOrder

COUNT = 60


@pytest.fixture(scope="module")
def examples(tmp_path_factory, write_examples_artifact):
    images = [np.full((4, 4), i, np.uint8) for i in range(COUNT)]
    splits = {"train": (images[:50], range(50)), "validation": (images[50:], range(50, COUNT))}
    return write_examples_artifact(tmp_path_factory.mktemp("examples"), splits, shards=2)


@pytest.fixture(params=["in memory", "streamed"])
def data(request, examples, monkeypatch):
    if request.param == "streamed":
        monkeypatch.setattr(input_pipeline, "MEMORY_LIMIT", 0)
    loaded = input_pipeline.load_images(examples, ["train", "validation"], (4, 4), 1)
    assert (loaded.in_memory is None) == (request.param == "streamed")
    return loaded


def read(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_files_are_read_in_order(data):
    images, labels = read(data.batches(7))
    np.testing.assert_array_equal(labels, np.arange(COUNT))
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
    assert data.count == COUNT


def test_shuffling_keeps_every_image_with_its_label(data):
    images, labels = read(data.batches(7, EpochOrder(1)))
    assert sorted(labels) == list(range(COUNT))
    assert list(labels) != list(range(COUNT))
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_seed_and_number_of_an_epoch_decide_its_order(data):
    def order_of(seed, *epochs):
        order = EpochOrder(seed)
        dataset, orders = data.batches(7, order), []
        for epoch in epochs:
            order.on_epoch_begin(epoch)
            orders.append(read(dataset)[1].tolist())
        return orders

    first, second, again = order_of(1, 0, 1, 0)
    assert first != second
    assert again == first
    assert order_of(1, 1) == [second]  # as a resumed training meets it
    assert order_of(2, 0) != [first]


def test_records_for_warm_up(examples):
    assert len(input_pipeline.read_records(examples, "train", 5)) == 5
