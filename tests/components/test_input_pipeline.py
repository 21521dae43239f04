"""tf.data: every image once, the same order under a seed, memory or not."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components import features, input_pipeline

COUNT = 60


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    root = tmp_path_factory.mktemp("examples")
    (root / "Split-train").mkdir()
    for shard in range(2):
        path = root / "Split-train" / f"data_tfrecord-{shard:05d}-of-00002"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for i in range(shard * COUNT // 2, (shard + 1) * COUNT // 2):
                buffer = io.BytesIO()
                Image.fromarray(np.full((4, 4), i, np.uint8)).save(buffer, "PNG")
                example = tf.train.Example()
                example.features.feature[features.IMAGE].bytes_list.value.append(buffer.getvalue())
                example.features.feature[features.LABEL].int64_list.value.append(i)
                writer.write(example.SerializeToString())
    (root / features.LABELS_FILE).write_text("zero\nöne two\n", encoding="utf-8")
    return str(root)


@pytest.fixture(params=["in memory", "streamed"])
def data(request, examples, monkeypatch):
    if request.param == "streamed":
        monkeypatch.setattr(input_pipeline, "MEMORY_LIMIT", 0)
    loaded = input_pipeline.load_images(input_pipeline.split_files(examples, "train"), (4, 4), 1)
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
    images, labels = read(data.batches(7, seed=1))
    assert sorted(labels) == list(range(COUNT))
    assert list(labels) != list(range(COUNT))
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_a_seed_decides_the_order_of_every_epoch(data):
    def epochs(seed):
        dataset = data.batches(7, seed=seed)
        return [read(dataset)[1].tolist() for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2) != [first, second]


def test_labels_are_read_in_order(examples):
    assert input_pipeline.read_labels(examples) == ["zero", "öne two"]


def test_records_for_warm_up(examples):
    assert len(input_pipeline.read_records(input_pipeline.split_files(examples, "train"), 5)) == 5
