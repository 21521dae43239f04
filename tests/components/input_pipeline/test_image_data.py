"""Batches: every image once, the same order under a seed, in memory or not."""

import numpy as np
import pytest

from components.input_pipeline import image_data
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder

COUNT = 60


@pytest.fixture(scope="module")
def examples(tmp_path_factory, write_examples_artifact):
    images = [np.full((4, 4), i, np.uint8) for i in range(COUNT)]
    splits = {"train": (images[:50], range(50)), "validation": (images[50:], range(50, COUNT))}
    return write_examples_artifact(tmp_path_factory.mktemp("examples"), splits, shards=2)


@pytest.fixture(params=["in memory", "streamed"])
def data(request, examples, monkeypatch):
    if request.param == "streamed":
        monkeypatch.setattr(image_data, "MEMORY_LIMIT", 0)
    loaded = image_data.load_images(examples, ["train", "validation"], (4, 4), 1)
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


@pytest.mark.lengthy
@pytest.mark.parametrize("crops", [None, CropPlan((4, 4), mirror=False)])
@pytest.mark.parametrize("limit", [0, image_data.MEMORY_LIMIT], ids=["streamed", "in memory"])
def test_only_images_that_are_named_are_read(examples, crops, limit, monkeypatch):
    monkeypatch.setattr(image_data, "MEMORY_LIMIT", limit)
    names = ["train/7.png", "train/31.png", "validation/0.png"]
    chosen = image_data.load_images(examples, ["train", "validation"], (4, 4), 1, names)
    assert chosen.count == 3
    for order in (None, EpochOrder(1)):
        batches = chosen.batches(2, order, crops)
        assert len(batches) == 2
        images, labels = read(batches)
        assert sorted(labels) == [7, 31, 50]
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_shuffling_keeps_every_image_with_its_label(data):
    images, labels = read(data.batches(7, EpochOrder(1)))
    assert sorted(labels) == list(range(COUNT))
    assert list(labels) != list(range(COUNT))
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


@pytest.mark.lengthy
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
    assert len(image_data.read_records(examples, "train", 5)) == 5


def plan_of(size, **options):
    return CropPlan(size, seed=5, **options)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, write_examples_artifact):
    """50 images of 12 x 14 whose pixels hold number, row and column."""
    down, across = np.mgrid[:12, :14]
    images = [np.stack([np.full((12, 14), i), down, across], -1).astype(np.uint8) for i in range(50)]
    return write_examples_artifact(tmp_path_factory.mktemp("photographs"), {"train": (images, range(50))}, shards=3)


@pytest.fixture(params=["gathered", "cut", "streamed"])
def large(request, photographs, monkeypatch):
    if request.param == "streamed":
        monkeypatch.setattr(image_data, "MEMORY_LIMIT", 0)
    if request.param == "cut":
        monkeypatch.setattr(image_data, "GATHERED_PIXELS", 0)
    return image_data.load_images(photographs, ["train"], (12, 14), 3)


@pytest.mark.lengthy
def test_without_an_order_crops_are_the_centres_in_the_order_of_the_files(large):
    images, labels = read(large.batches(7, crops=plan_of((6, 8))))
    np.testing.assert_array_equal(labels, np.arange(50))
    np.testing.assert_array_equal(images, read(large.batches(7))[0][:, 3:9, 3:11])


@pytest.mark.lengthy
def test_random_crops_are_windows_of_the_images(large):
    dataset = large.batches(7, EpochOrder(1), plan_of((6, 8)))
    assert dataset.cardinality() == 8
    assert dataset.element_spec[0].shape[1:] == (6, 8, 3)
    images, labels = read(dataset)
    assert images.dtype == np.uint8
    assert sorted(labels) == list(range(50))
    assert (images[..., 0] == labels[:, None, None]).all()
    assert (np.diff(images[..., 1].astype(int), axis=1) == 1).all()
    steps = np.diff(images[..., 2].astype(int), axis=2)
    assert (steps == steps[:, :1, :1]).all()
    assert 10 < (steps[:, 0, 0] == -1).sum() < 40
    assert len(np.unique(images[:, 0, 0, 1])) == 7


@pytest.mark.lengthy
def test_an_epoch_of_crops_is_the_same_when_training_is_resumed(large):
    def epochs(batch_size, *numbers, seed=5):
        order = EpochOrder(1)
        dataset, found = large.batches(batch_size, order, CropPlan((6, 8), seed=seed)), []
        for number in numbers:
            order.on_epoch_begin(number)
            found.append(read(dataset))
        return found

    (before, _), (third, labels) = epochs(7, 2, 3)
    (resumed, resumed_labels), (again, _) = epochs(7, 3, 2)
    np.testing.assert_array_equal(resumed, third)
    np.testing.assert_array_equal(resumed_labels, labels)
    np.testing.assert_array_equal(again, before)
    np.testing.assert_array_equal(epochs(16, 3)[0][0], third)  # whatever the batch size
    assert (epochs(7, 3, seed=6)[0][0] != third).any()


@pytest.mark.lengthy
def test_crops_are_the_same_in_memory_and_streamed(photographs, monkeypatch):
    def windows():
        images, _ = read(
            image_data.load_images(photographs, ["train"], (12, 14), 3).batches(7, EpochOrder(1), plan_of((6, 8)))
        )
        return images[..., 1:]  # rows and columns identify the window

    in_memory = windows()
    monkeypatch.setattr(image_data, "GATHERED_PIXELS", 0)
    np.testing.assert_array_equal(windows(), in_memory)
    monkeypatch.setattr(image_data, "MEMORY_LIMIT", 0)
    np.testing.assert_array_equal(windows(), in_memory)


@pytest.mark.lengthy
def test_random_resized_crops(large):
    images, labels = read(large.batches(7, EpochOrder(1), plan_of((5, 5), resized=True)))
    assert images.shape == (50, 5, 5, 3)
    assert (images[..., 0] == labels[:, None, None]).all()


def test_a_crop_that_does_not_fit_is_refused_at_once(large):
    with pytest.raises(ValueError, match="does not fit"):
        large.batches(7, EpochOrder(1), plan_of((13, 8)))
