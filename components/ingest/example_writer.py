"""From a source to sharded TFRecords: every image is looked at once, what is broken is listed instead of written."""

import errno
import hashlib
import logging
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from components import errors, features
from components.errors import GateRefused, VisionTfxError
from components.ingest import image_inspection, manifest
from components.ingest.splitting import assign_splits, seeded_hash
from components.sources.content_hashes import ContentHashes
from components.sources.source import Item, Source

SHARD_BYTES = 128 * 2**20  # few enough files for ImageNet (1,100), large enough to be read in one go
SHARD_IMAGES = 16_384  # so that small images are read by several readers too: MNIST's train split has 4 shards
_BEAM_SUFFIX = " [while running"  # Beam adds the step's name to the message of any error
_PARTS = ".parts"  # rows of each shard while the others are written; removed at the end

Reader = Callable[[Item], bytes]

_PART_SCHEMA = manifest.SCHEMA.append(pa.field("reason", pa.string()))


@dataclass(frozen=True)
class Shard:
    """The work list of one output file.

    Args:
        split: Name of the split.
        index: Its number among the split's shards, from 0.
        total: How many shards the split has.
        items: The images, in the order in which they are written.
    """

    split: str
    index: int
    total: int
    items: Sequence[Item]

    @property
    def file_name(self) -> str:
        """Path below the artifact, with the stock name but for .gz: reading gzip would be the bottleneck."""
        return f"Split-{self.split}/data_tfrecord-{self.index:05d}-of-{self.total:05d}"


def write_examples(
    source: Source,
    destination: Path,
    hashes: ContentHashes,
    validation_share: float,
    test_share: float,
    seed: int,
    pipeline_factory: Callable[[], beam.Pipeline],
    stored_size: int | None = None,
) -> Counter:
    """Writes a source as examples, split folders and the record of the ingest, into an empty folder.

    Each Beam element is the work list of one shard, so that at most one image per worker is in memory. Records lie in
    an order given by seed and content: reading a shard from its beginning meets all classes.

    Args:
        source: The images.
        destination: Where `Split-<name>/`, labels.txt, manifest.parquet and quarantine.jsonl go; left empty on failure.
        hashes: Remembered hashes of the source's files.
        validation_share: Part of the images to be cut that becomes the validation split, 0 to 1.
        test_share: Part of the images to be cut that becomes the test split, 0 to 1.
        seed: Decides splits and order.
        pipeline_factory: Makes the Beam pipeline that does the work.
        stored_size: Pixels; every image is stored as a square JPEG of this size. None keeps the files as they are.

    Returns:
        (split, verdict) -> number of files.

    Raises:
        GateRefused: Not one file is an image.
        VisionTfxError: A file changed while it was read, the disk is full, or the counts do not add up.
    """
    try:
        with _explained(destination):
            items = source.items(hashes)
            shards = plan_shards(items, validation_share, test_share, seed)
            _prepare_folders(destination)
            with pipeline_factory() as pipeline:
                _ = (
                    pipeline
                    | "Shards" >> beam.Create(shards)
                    | "Spread" >> beam.Reshuffle()
                    | "Write"
                    >> beam.Map(
                        write_shard,
                        read=source.reader,
                        labels=source.labels,
                        destination=destination,
                        kinds=source.kinds,
                        stored_size=stored_size,
                    )
                )
            counts = _write_records(source, shards, destination, stored_size)
    except BaseException:
        _empty(destination)
        raise
    logging.info("%s: %s", source.name, {f"{split} {verdict}": count for (split, verdict), count in counts.items()})
    return counts


def plan_shards(items: Sequence[Item], validation_share: float, test_share: float, seed: int) -> list[Shard]:
    """Distributes the images over splits and shards, each of at most `SHARD_BYTES` and `SHARD_IMAGES` or one image."""
    splits = assign_splits(
        [item.label for item in items],
        [item.split for item in items],
        [item.sha256 for item in items],
        validation_share,
        test_share,
        seed,
    )
    members: dict[str, list[Item]] = {split: [] for split in features.SPLITS}
    for item, split in zip(items, splits, strict=True):
        members[split].append(item)
    shards = []
    for split, chosen in members.items():
        chosen.sort(key=lambda item: (seeded_hash(seed, "order", item.sha256), item.name))
        work = _cut(chosen)
        shards += [Shard(split, index, len(work), part) for index, part in enumerate(work)]
    return shards


def write_shard(
    shard: Shard,
    read: Reader,
    labels: Sequence[str],
    destination: Path,
    kinds: Sequence[str] = (),
    stored_size: int | None = None,
) -> None:
    """Writes one shard and, beside the splits, the rows of its images; see `write_examples`."""
    rows = []
    with _explained(destination):
        with tf.io.TFRecordWriter(str(destination / shard.file_name)) as writer:
            look = partial(look_at, read=read, labels=labels, split=shard.split, stored_size=stored_size)
            for item, (row, example) in zip(shard.items, _in_threads(look, shard.items), strict=True):
                rows.append(row)
                if example is not None:
                    if kinds:
                        example.features.feature[features.WORDNET].CopyFrom(_bytes(kinds[item.label].encode()))
                    writer.write(example.SerializeToString(deterministic=True))
        part = destination / _PARTS / f"{shard.split}-{shard.index:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, _PART_SCHEMA), part)
    logging.info("Wrote %s: %d images", shard.file_name, len(rows))


def _in_threads(look: Callable, items: Sequence[Item]) -> Iterator:
    """What `look` returns for each item, in order; some at a time, on all cores, the first error ending it all.

    Pillow decodes and resizes without Python's lock. Threads of Beam's own runner would do too, but a worker that
    fails there, on a full disk, leaves the others waiting for ever.
    """
    cores = os.cpu_count() or 1
    pool = ThreadPoolExecutor(cores)
    waiting: deque[Future] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(look, item))
            if len(waiting) >= 4 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def look_at(
    item: Item, read: Reader, labels: Sequence[str], split: str, stored_size: int | None = None
) -> tuple[dict, tf.train.Example | None]:
    """Reads one image.

    Returns:
        Its row (the columns of the manifest and "reason"), and the example, none where the image is not to be used.

    Raises:
        VisionTfxError: The file is gone, or is not the one that was listed.
    """
    row = {
        "file_name": item.name,
        "sha256": item.sha256.hex(),
        "label": item.label,
        "size": item.size,
        "split": split,
        "verdict": image_inspection.OK,
    }
    if not 0 <= item.label < len(labels):
        reason = f"label {item.label} is not one of 0 to {len(labels) - 1}"
        return row | {"verdict": manifest.BAD_LABEL, "reason": reason}, None
    if item.size > image_inspection.MAX_BYTES:
        reason = f"{item.size:,} bytes, more than {image_inspection.MAX_BYTES:,}"
        return row | {"verdict": image_inspection.TOO_LARGE, "reason": reason}, None
    data = _read(item, read)
    try:
        info = image_inspection.inspect_image(data, stored_size)
    except image_inspection.BrokenImage as broken:
        return row | {"verdict": broken.verdict, "reason": broken.reason}, None
    return row | {"width": info.width, "height": info.height}, _example(item, labels[item.label], info)


def _read(item: Item, read: Reader) -> bytes:
    try:
        data = read(item)
    except OSError as error:
        raise VisionTfxError(
            f"Cannot read {item.path}: {error.strerror}; leave the data alone during a run."
        ) from error
    if hashlib.sha256(data).digest() != item.sha256:
        raise VisionTfxError(f"{item.path} changed while it was read: leave the data alone during a run.")
    return data


def _example(item: Item, label_name: str, info: image_inspection.ImageInfo) -> tf.train.Example:
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


def _cut(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Parts of even length; one empty part where there is nothing, because a split without a file cannot be read."""
    size = sum(item.size for item in items)
    parts = max(1, -(-size // SHARD_BYTES), -(-len(items) // SHARD_IMAGES))
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(bounds)]


def _write_records(source: Source, shards: Sequence[Shard], destination: Path, stored_size: int | None) -> Counter:
    """Joins the rows of all shards into manifest and quarantine, and checks that no file was lost or doubled."""
    parts = sorted((destination / _PARTS).iterdir())
    table = pa.concat_tables([pq.read_table(part) for part in parts])
    table = table.sort_by([("split", "ascending"), ("file_name", "ascending")])
    listed = sum(len(shard.items) for shard in shards)
    if table.num_rows != listed or len(parts) != len(shards):
        raise VisionTfxError(
            f"{source.name} lists {listed} files but {table.num_rows} were written or quarantined: run again."
        )
    broken = table.filter(pc.not_equal(table["verdict"], image_inspection.OK))
    if broken.num_rows == table.num_rows:
        examples = ", ".join(f"{row['file_name']}: {row['reason']}" for row in broken.slice(0, 3).to_pylist())
        raise GateRefused(f"None of the {listed} files of {source.name} can be used ({examples}): check the data.")
    manifest.write_manifest(destination, table, stored_size)
    manifest.write_labels(destination, source.labels)
    rows = [row | {"label_name": _name_of(row["label"], source.labels)} for row in broken.to_pylist()]
    manifest.write_quarantine(destination, rows)
    shutil.rmtree(destination / _PARTS)
    return Counter(zip(table["split"].to_pylist(), table["verdict"].to_pylist(), strict=True))


def _name_of(label: int, labels: Sequence[str]) -> str | None:
    return labels[label] if 0 <= label < len(labels) else None


def _prepare_folders(destination: Path) -> None:
    for name in (_PARTS, *(f"Split-{split}" for split in features.SPLITS)):
        (destination / name).mkdir(parents=True)


def _empty(destination: Path) -> None:
    for path in destination.iterdir() if destination.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _explained(destination: Path) -> Iterator[None]:
    """Turns what a disk, TensorFlow's writer and Beam raise into one sentence."""
    try:
        yield
    except VisionTfxError as error:
        raise type(error)(str(error).partition(_BEAM_SUFFIX)[0]) from error
    except (OSError, tf.errors.OpError) as error:
        raise VisionTfxError(_disk_sentence(destination, error)) from error
    except RuntimeError as error:  # Beam passes on an error of another process as text
        if found := re.search(rf"components\.errors\.(\w+): (.*?)(?:{re.escape(_BEAM_SUFFIX)}|\n|$)", str(error)):
            raise getattr(errors, found[1])(found[2]) from error
        raise


def _disk_sentence(destination: Path, error: Exception) -> str:
    full = getattr(error, "errno", None) == errno.ENOSPC or isinstance(error, tf.errors.ResourceExhaustedError)
    if full or "No space left" in str(error):
        return f"The disk of {destination} is full: free some room or give another --home."
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return f"Cannot write {destination}: {reason}; give a --home that is writable."
