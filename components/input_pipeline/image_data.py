"""tf.data from an Examples artifact to batches of images, for pretraining and training alike."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from components import features
from components.ingest.manifest import count_images, read_stored_size
from components.input_pipeline import crops as cropping
from components.input_pipeline import preprocessing
from components.input_pipeline.crops import CropPlan
from components.input_pipeline.epoch_order import EpochOrder

# Decoded images are kept in memory up to this size (MNIST takes 47 MB); above it every epoch reads and decodes anew.
MEMORY_LIMIT = 2**30

# Images decoded at a time, and threads for it. Decoding keeps cores busy and waits for nothing, so that there is
# nothing to find out: tf.data looking for the best number takes 8 % more computing, and begins anew in every epoch.
# With no more threads than cores, two of them shared one of two cores in four of ten epochs.
_CALLS = 2 * (os.cpu_count() or 1)

# Up to these many pixels a crop, whole batches are gathered from memory; above, cutting image by image is faster.
_GATHERED_PIXELS = 96 * 96


@dataclass(frozen=True)
class ImageData:
    """Decoded images and labels of some splits.

    Args:
        dataset: yields (uint8 (height, width, channels), int64 label), in the order of the files.
        count: number of images.
        in_memory: (images, labels) tensors when they fit in memory, else none.
        files: the TFRecord files, which are read anew in every epoch when the images do not fit.
        stored: whether every file is a JPEG of just the wanted size, of which a window can be decoded.
        chosen: tells whether a serialized record is one of these images; none where all records of the files are.
    """

    dataset: tf.data.Dataset
    count: int
    in_memory: tuple[tf.Tensor, tf.Tensor] | None
    files: Sequence[str] = ()
    stored: bool = False
    chosen: Callable[[tf.Tensor], tf.Tensor] | None = None

    def batches(
        self, batch_size: int, order: EpochOrder | None = None, crops: CropPlan | None = None
    ) -> tf.data.Dataset:
        """Batches of images and labels.

        Args:
            batch_size: images of a batch; the last one may have fewer.
            order: shuffles anew in every epoch, alike in each run; none keeps the order of the files.
            crops: cuts out a random window of every image, another in every epoch, where there is an order, and the
                centre where there is none; none passes whole images.

        Returns:
            (uint8 (batch, height, width, channels), int64 (batch,)), of known cardinality.

        Raises:
            ValueError: the images are smaller than the crop.
        """
        if crops is not None:
            return self._of_known_length(self._cropped(batch_size, order, crops), batch_size)
        if self.in_memory is None:
            dataset = self.dataset if order is None else order.shuffled(self.dataset)
            return self._of_known_length(dataset.batch(batch_size), batch_size)
        images, labels = self.in_memory
        # Shuffling indices and gathering whole batches costs 0.05 s per 60,000 images; shuffling images, 0.4 s.
        indices = self._indices(batch_size, order)
        gathered = indices.map(lambda i: (tf.gather(images, i), tf.gather(labels, i)))
        return self._of_known_length(gathered, batch_size)

    def _cropped(self, batch_size: int, order: EpochOrder | None, crops: CropPlan) -> tf.data.Dataset:
        images = self.dataset.element_spec[0] if self.in_memory is None else self.in_memory[0]
        size, channels = tuple(images.shape[-3:-1]), images.shape[-1]
        if order is None:
            windows = crops.centre_windows(size)
        else:
            windows = order.each_epoch(lambda epoch: crops.random_windows(size, epoch))
        if self.in_memory is not None:
            return self._cut_in_memory(batch_size, order, crops, windows)
        records = tf.data.TFRecordDataset(self.files) if order is None else order.records(self.files)
        if self.chosen is not None:
            records = records.filter(self.chosen)

        def cut_stored(record: tf.Tensor, cut: cropping.JpegCut) -> tuple[tf.Tensor, tf.Tensor]:
            image_bytes, label = _fields(record)
            return crops.finish(cropping.decode_cut(image_bytes, cut), cut.mirrored), label

        def cut_any(record: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image_bytes, label = _fields(record)
            image = cropping.prepare_window(image_bytes, window, size, channels)
            return crops.finish(image, window[4] > 0), label

        if self.stored:
            windows = windows.map(lambda block: cropping.jpeg_cuts(block, size[1]))
        cut = cut_stored if self.stored else cut_any
        return _in_parallel(tf.data.Dataset.zip(records, windows.unbatch()), cut).batch(batch_size)

    def _cut_in_memory(
        self, batch_size: int, order: EpochOrder | None, crops: CropPlan, windows: tf.data.Dataset
    ) -> tf.data.Dataset:
        images, labels = self.in_memory

        def gathered(indices: tf.Tensor, windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            windows = windows[: tf.size(indices)]  # the last batch may be smaller
            return cropping.gather_windows(images, indices, windows, crops.size), tf.gather(labels, indices)

        def cut(index: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            begin = tf.stack([tf.cast(index, tf.int32), window[0], window[1], 0])
            image = tf.slice(images, begin, tf.stack([1, window[2], window[3], images.shape[-1]]))[0]
            image = tf.ensure_shape(image, (None, None, images.shape[-1]))
            return crops.finish(image, window[4] > 0), labels[index]

        indices = self._indices(batch_size, order)
        if not crops.resized and crops.size[0] * crops.size[1] <= _GATHERED_PIXELS:
            return _in_parallel(tf.data.Dataset.zip(indices, windows.rebatch(batch_size)), gathered)
        return _in_parallel(tf.data.Dataset.zip(indices.unbatch(), windows.unbatch()), cut).batch(batch_size)

    def _indices(self, batch_size: int, order: EpochOrder | None) -> tf.data.Dataset:
        if order is None:
            return tf.data.Dataset.range(self.count).batch(batch_size)
        return order.indices(self.count, batch_size)

    def _of_known_length(self, batches: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        # Keras would take the end of an epoch of unknown length for the end of the data.
        known = batches.apply(tf.data.experimental.assert_cardinality(-(-self.count // batch_size)))
        options = tf.data.Options()
        options.threading.private_threadpool_size = _CALLS
        return known.prefetch(tf.data.AUTOTUNE).with_options(options)


def split_files(examples_uri: str, split: str) -> list[str]:
    """The TFRecord files of one split, in order."""
    return sorted(str(path) for path in Path(examples_uri, f"Split-{split}").iterdir())


def load_images(
    examples_uri: str,
    splits: Sequence[str],
    image_size: tuple[int, int],
    channels: int,
    names: Sequence[str] | None = None,
) -> ImageData:
    """Reads, decodes and resizes the images of some splits.

    Args:
        examples_uri: folder of an Examples artifact.
        splits: whose images, in this order.
        image_size: height and width in pixels.
        channels: 1 or 3.
        names: file names of the images that are wanted of them; none means all.
    """
    files = [file for split in splits for file in split_files(examples_uri, split)]
    # The manifest knows the number; counting records would read ImageNet's 150 GB.
    counts = count_images(Path(examples_uri))
    count = sum(counts[split] for split in splits) if names is None else len(names)
    chosen = None if names is None else _named(names)
    records = tf.data.TFRecordDataset(files)
    records = records if chosen is None else records.filter(chosen)
    dataset = _in_parallel(records, lambda record: _parse(record, image_size, channels))
    size = count * image_size[0] * image_size[1] * channels
    in_memory = dataset.batch(count).get_single_element() if 0 < size <= MEMORY_LIMIT else None
    stored_size = read_stored_size(Path(examples_uri))
    stored = channels == 3 and tuple(image_size) == (stored_size, stored_size)
    return ImageData(dataset, count, in_memory, files, stored, chosen)


def _named(names: Sequence[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    keys = tf.constant([name.encode() for name in names])
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, tf.ones_like(keys, tf.int64)), 0)
    specification = {features.FILE_NAME: tf.io.FixedLenFeature((), tf.string)}
    return lambda record: table.lookup(tf.io.parse_single_example(record, specification)[features.FILE_NAME]) > 0


def _in_parallel(dataset: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    return dataset.map(function, num_parallel_calls=_CALLS, deterministic=True)


def _parse(record: tf.Tensor, image_size: tuple[int, int], channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    image_bytes, label = _fields(record)
    return preprocessing.prepare(image_bytes, image_size, channels), label


def _fields(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    parsed = tf.io.parse_single_example(
        record,
        {features.IMAGE: tf.io.FixedLenFeature((), tf.string), features.LABEL: tf.io.FixedLenFeature((), tf.int64)},
    )
    return parsed[features.IMAGE], parsed[features.LABEL]


def read_records(examples_uri: str, split: str, limit: int) -> list[bytes]:
    """The first `limit` serialized examples of a split."""
    return list(tf.data.TFRecordDataset(split_files(examples_uri, split)).take(limit).as_numpy_iterator())
