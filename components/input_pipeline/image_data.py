"""Batches of images from an Examples artifact, as tf.data, for pretraining and training."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from components import features
from components.ingest.manifest import count_images, read_stored_size
from components.input_pipeline import preprocessing
from components.input_pipeline.crops import CropPlan, gather_windows, prepare_window
from components.input_pipeline.epoch_order import EpochOrder
from components.input_pipeline.jpeg_cut import JpegCut, decode_cut, jpeg_cuts

# Decoded images are kept in memory up to this size in bytes (MNIST takes 47 MB); above it, every epoch decodes again.
MEMORY_LIMIT = 2**30
# Crops of up to so many pixels are gathered from memory batch by batch; for larger ones, image by image is faster.
GATHERED_PIXELS = 96 * 96

# Images decoded at a time, and threads for decoding. A constant, because decoding never waits: tf.data's search for the
# best number takes 8 % more computing and restarts in every epoch. Twice the number of cores, because with one thread
# per core, two threads shared one of two cores in four of ten epochs.
_CALLS = 2 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class ImageData:
    """Decoded images and labels of one or more splits.

    Args:
        dataset: Data set of (uint8 (height, width, channels), int64 label) in the order of the files.
        count: Number of images.
        in_memory: Tensors of all images and labels; None if they do not fit in memory.
        files: TFRecord files, which are read again in every epoch if the images do not fit in memory.
        stored: Whether every image is stored as a JPEG of the size in use, so that single windows can be decoded.
        chosen: Returns whether a serialized record is one of the images; None if all records of the files are.
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
        """Returns batches of images and labels.

        Args:
            batch_size: Images in a batch; the last batch may have fewer.
            order: Order of the epochs; None keeps the order of the files.
            crops: Plan of the crops: with an order, a random window of every image, different in every epoch; without
                one, the central window. None returns whole images.

        Returns:
            Data set of (uint8 (batch, height, width, channels), int64 (batch,)) with known cardinality.

        Raises:
            ValueError: The images are smaller than the crops.
        """
        if crops is not None:
            return self._of_known_length(self._cropped(batch_size, order, crops), batch_size)
        if self.in_memory is None:
            dataset = self.dataset if order is None else order.shuffled(self.dataset)
            return self._of_known_length(dataset.batch(batch_size), batch_size)
        images, labels = self.in_memory
        # Shuffling indices and gathering whole batches takes 0.05 s for 60,000 images; shuffling images takes 0.4 s.
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
            return self._cut_in_memory(self.in_memory, batch_size, order, crops, windows)
        records = tf.data.TFRecordDataset(self.files) if order is None else order.records(self.files)
        if self.chosen is not None:
            records = records.filter(self.chosen)

        def cut_stored(record: tf.Tensor, cut: JpegCut) -> tuple[tf.Tensor, tf.Tensor]:
            image_bytes, label = _fields(record)
            return crops.finish(decode_cut(image_bytes, cut), cut.mirrored), label

        def cut_any(record: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image_bytes, label = _fields(record)
            image = prepare_window(image_bytes, window, size, channels)
            return crops.finish(image, window[4] > 0), label

        if self.stored:
            windows = windows.map(lambda block: jpeg_cuts(block, size[1]))
        cut = cut_stored if self.stored else cut_any
        return _in_parallel(tf.data.Dataset.zip(records, windows.unbatch()), cut).batch(batch_size)

    def _cut_in_memory(
        self,
        in_memory: tuple[tf.Tensor, tf.Tensor],
        batch_size: int,
        order: EpochOrder | None,
        crops: CropPlan,
        windows: tf.data.Dataset,
    ) -> tf.data.Dataset:
        images, labels = in_memory

        def gathered(indices: tf.Tensor, windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            windows = windows[: tf.size(indices)]  # the last batch may be smaller
            return gather_windows(images, indices, windows, crops.size), tf.gather(labels, indices)

        def cut(index: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            begin = tf.stack([tf.cast(index, tf.int32), window[0], window[1], 0])
            image = tf.slice(images, begin, tf.stack([1, window[2], window[3], images.shape[-1]]))[0]
            image = tf.ensure_shape(image, (None, None, images.shape[-1]))
            return crops.finish(image, window[4] > 0), labels[index]

        indices = self._indices(batch_size, order)
        if not crops.resized and crops.size[0] * crops.size[1] <= GATHERED_PIXELS:
            return _in_parallel(tf.data.Dataset.zip(indices, windows.rebatch(batch_size)), gathered)
        return _in_parallel(tf.data.Dataset.zip(indices.unbatch(), windows.unbatch()), cut).batch(batch_size)

    def _indices(self, batch_size: int, order: EpochOrder | None) -> tf.data.Dataset:
        if order is None:
            return tf.data.Dataset.range(self.count).batch(batch_size)
        return order.indices(self.count, batch_size)

    def _of_known_length(self, batches: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        # If the length is unknown, Keras takes the end of an epoch for the end of the data.
        known = batches.apply(tf.data.experimental.assert_cardinality(-(-self.count // batch_size)))
        options = tf.data.Options()
        options.threading.private_threadpool_size = _CALLS
        return known.prefetch(tf.data.AUTOTUNE).with_options(options)


def split_files(examples_uri: str, split: str) -> list[str]:
    """Returns the TFRecord files of one split, sorted by name.

    Args:
        examples_uri: Folder of the Examples artifact.
        split: Name of the split.
    """
    return sorted(str(path) for path in Path(examples_uri, features.split_folder(split)).iterdir())


def load_images(
    examples_uri: str,
    splits: Sequence[str],
    image_size: tuple[int, int],
    channels: int,
    names: Sequence[str] | None = None,
) -> ImageData:
    """Reads, decodes and resizes the images of one or more splits.

    Args:
        examples_uri: Folder of the Examples artifact.
        splits: Names of the splits; their images come in this order.
        image_size: Height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        names: File names of the images to keep; None keeps all.
    """
    files = [file for split in splits for file in split_files(examples_uri, split)]
    # The number comes from the manifest, because counting records would read ImageNet's 150 GB.
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
    """Returns the first serialized examples of a split.

    Args:
        examples_uri: Folder of the Examples artifact.
        split: Name of the split.
        limit: Number of examples; fewer are returned if the split has fewer.
    """
    return list(tf.data.TFRecordDataset(split_files(examples_uri, split)).take(limit).as_numpy_iterator())
