"""Writing of one shard: every image is inspected once, and broken ones are listed instead of written."""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from components import features
from components.errors import VisionTfxError
from components.ingest import manifest
from components.ingest.image_inspection import MAX_BYTES, BrokenImage, ImageInfo, inspect_image
from components.ingest.shards import Shard
from components.ingest.write_errors import user_errors
from components.sources.source import Item

PARTS = ".parts"  # folder for the manifest rows of each shard while other shards are still being written

Reader = Callable[[Item], bytes]

_PART_SCHEMA = manifest.SCHEMA.append(pa.field("reason", pa.string()))


def write_shard(
    shard: Shard,
    read: Reader,
    labels: Sequence[str],
    destination: Path,
    kinds: Sequence[str] = (),
    stored_size: int | None = None,
) -> None:
    """Writes the examples of one shard, and the manifest rows of all its images to a Parquet file in `PARTS`.

    Args:
        shard: The images and the name of the file.
        read: Returns the encoded bytes of an image.
        labels: Names of the classes in index order.
        destination: Folder of the Examples artifact; the folders of the splits and `PARTS` exist.
        kinds: Kind of each class in index order, such as "dog"; empty if unknown.
        stored_size: Side in pixels of the square JPEGs to store; None stores every image at its own size.

    Raises:
        VisionTfxError: A file disappeared or changed since it was listed, or the disk is full or refused the write.
    """
    rows = []
    with user_errors(destination):
        with tf.io.TFRecordWriter(str(destination / shard.file_name)) as writer:
            inspect = partial(inspect_item, read=read, labels=labels, split=shard.split, stored_size=stored_size)
            for item, (row, example) in zip(shard.items, _in_threads(inspect, shard.items), strict=True):
                rows.append(row)
                if example is not None:
                    if kinds:
                        example.features.feature[features.WORDNET].CopyFrom(_bytes(kinds[item.label].encode()))
                    writer.write(example.SerializeToString(deterministic=True))
        part = destination / PARTS / f"{shard.split}-{shard.index:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, _PART_SCHEMA), part)
    logging.info("wrote %s: %d images", shard.file_name, len(rows))


def _in_threads(inspect: Callable, items: Sequence[Item]) -> Iterator:
    """Yields the result of `inspect` for each item, in order; runs on all cores and stops at the first error.

    Pillow decodes and resizes without holding Python's global lock. Beam's own multi-threaded runner is no substitute:
    if one of its workers fails, on a full disk for example, the others wait for ever.
    """
    cores = os.cpu_count() or 1
    pool = ThreadPoolExecutor(cores)
    waiting: deque[Future] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(inspect, item))
            if len(waiting) >= 4 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def inspect_item(
    item: Item, read: Reader, labels: Sequence[str], split: str, stored_size: int | None = None
) -> tuple[dict, tf.train.Example | None]:
    """Reads and inspects one image.

    Args:
        item: The image.
        read: Returns its encoded bytes.
        labels: Names of the classes in index order.
        split: Name of the split that it belongs to.
        stored_size: Side in pixels of the square JPEG to store; None stores the image at its own size.

    Returns:
        The row of the image (the manifest's columns and "reason"), and its example; None for a broken image.

    Raises:
        VisionTfxError: The file disappeared or changed since it was listed.
    """
    row = {
        "file_name": item.name,
        "sha256": item.sha256.hex(),
        "label": item.label,
        "size": item.size,
        "split": split,
        "verdict": features.OK,
    }
    if not 0 <= item.label < len(labels):
        reason = f"label {item.label} is not one of 0 to {len(labels) - 1}"
        return row | {"verdict": features.BAD_LABEL, "reason": reason}, None
    if item.size > MAX_BYTES:
        reason = f"{item.size:,} bytes, more than {MAX_BYTES:,}"
        return row | {"verdict": features.TOO_LARGE, "reason": reason}, None
    data = _read(item, read)
    try:
        info = inspect_image(data, stored_size)
    except BrokenImage as broken:
        return row | {"verdict": broken.verdict, "reason": broken.reason}, None
    return row | {"width": info.width, "height": info.height}, _example(item, labels[item.label], info)


def _read(item: Item, read: Reader) -> bytes:
    try:
        data = read(item)
    except OSError as error:
        raise VisionTfxError(
            f"cannot read {item.path}: {error.strerror}; do not change the data set during a run"
        ) from error
    if hashlib.sha256(data).digest() != item.sha256:
        raise VisionTfxError(f"{item.path} changed since it was listed; do not change the data set during a run")
    return data


def _example(item: Item, label_name: str, info: ImageInfo) -> tf.train.Example:
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                features.IMAGE: _bytes(info.data),
                features.LABEL: _int(item.label),
                features.LABEL_NAME: _bytes(label_name.encode()),
                features.FILE_NAME: _bytes(item.name.encode()),
                features.WIDTH: _int(info.width),
                features.HEIGHT: _int(info.height),
                features.BYTES: _int(len(info.data)),
                features.LUMINANCE: tf.train.Feature(float_list=tf.train.FloatList(value=[info.luminance])),
                features.SIZE_BAND: _bytes(features.size_band(info.width, info.height).encode()),
                features.LUMINANCE_BAND: _bytes(features.luminance_band(info.luminance).encode()),
            }
        )
    )


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
