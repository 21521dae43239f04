"""Source for image classification data sets of TensorFlow Datasets, read record by record from the prepared files.

TFDS' own readers decode the images or return them in one stream. This source finds each record by file and offset, so
that any worker can read any encoded image unchanged.
"""

import hashlib
import logging
import os
import socket
import struct
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import tensorflow as tf
import tensorflow_datasets as tfds

from components.disk import is_full
from components.errors import UsageError, VisionTfxError
from components.features import TEST, TRAIN
from components.sources.content_hashes import ContentHashes
from components.sources.imagenet import check_archives, find_archives, is_imagenet
from components.sources.source import Item, Source
from components.sources.split_names import SPLIT_NAMES, complete_splits

_FILE_NAME_FEATURES = ("file_name", "filename", "image/filename", "image/file_name")
_RECORD_HEADER = struct.Struct("<QI")  # length of the record in bytes, checksum of that length
_RECORD_FOOTER = 4  # bytes: checksum of the record
_DOWNLOAD_HOST = "storage.googleapis.com"  # TFDS queries it before every download


class TfdsSource(Source):
    """Source for a data set of TFDS; downloads and prepares it first if necessary.

    As in a folder, a validation split without a test split is the test split. A test split without labels, such as
    ImageNet's, is ignored.

    Args:
        name: TFDS' NAME[/CONFIG][:VERSION], such as "mnist" or "mnist_corrupted/fog:1.0.0".
        data_dir: Folder of prepared data sets; None means TFDS' own default, ~/tensorflow_datasets.
        manual_dir: Folder of archives that TFDS cannot download; None means TFDS' own default,
            <data_dir>/downloads/manual. Ignored if the data set is already prepared.

    Raises:
        UsageError: The data set is unknown to TFDS, its examples are not images with one label each, or ImageNet's
            archives are missing or not the official ones.
        VisionTfxError: Download or preparation failed.
    """

    def __init__(self, name: str, data_dir: str | None, manual_dir: str | None = None):
        self.name = f"tfds:{name}"
        builder = _prepared_builder(name, data_dir, manual_dir)
        features = builder.info.features
        self._image_feature = _one_feature(self.name, features, tfds.features.Image)
        self._label_feature = _one_feature(self.name, features, tfds.features.ClassLabel)
        self._name_feature = next((key for key in _FILE_NAME_FEATURES if key in features), None)
        self._dataset = builder.info.full_name
        self._folder = Path(os.fspath(builder.data_dir))
        self._split_files = {
            split: [os.fspath(path) for path in info.filepaths] for split, info in builder.info.splits.items()
        }
        stored_as = builder.info.file_format.value
        if stored_as != "tfrecord":
            raise UsageError(f"{self.name} in {self._folder} is stored as {stored_as}; prepare it as tfrecord")
        self.labels = tuple(features[self._label_feature].names)

    @cached_property
    def splits(self) -> dict[str, str]:
        """Names of TFDS splits, and the pipeline's split for each; see `complete_splits`.

        Raises:
            UsageError: Of several splits none is called train.
        """
        named = {split: SPLIT_NAMES[split] for split in self._split_files if split in SPLIT_NAMES}
        if len(self._split_files) == 1:
            return dict.fromkeys(self._split_files, "")
        if TRAIN not in named.values():
            raise UsageError(f"{self.name} has no train split, only {', '.join(self._split_files)}; choose another")
        unlabelled = [split for split, name in named.items() if name == TEST and self._is_unlabelled(split)]
        for split in unlabelled:
            del named[split]
        if ignored := sorted(set(self._split_files) - set(named)):
            logging.warning("%s: ignored splits: %s", self.name, ", ".join(ignored))
        return complete_splits(named)

    def files(self) -> Sequence[tuple[str, str]]:
        """Returns the shards of the splits that are not ignored, and the description of the features."""
        shards = [path for split in self.splits for path in self._split_files[split]]
        described = [str(self._folder / "features.json")]
        return [(f"{self._dataset}/{Path(path).name}", path) for path in described + shards]

    def items(self, hashes: ContentHashes) -> list[Item]:
        """Reads all shards once to list their images, several shards at a time; see `Source.items`."""
        shards = [(path, name) for split, name in self.splits.items() for path in self._split_files[split]]
        with ThreadPoolExecutor() as pool:
            return [
                item for found in pool.map(lambda shard: list(self._items_of_shard(*shard)), shards) for item in found
            ]

    @property
    def reader(self) -> Callable[[Item], bytes]:
        """`read_image` for the data set's image feature."""
        return partial(read_image, image_feature=self._image_feature)

    def _items_of_shard(self, path: str, split: str) -> Iterator[Item]:
        for index, (offset, record) in enumerate(_records(path)):
            example = _parse(record)
            image = _image_of(example, self._image_feature)
            name = self._file_name_of(example) or f"{Path(path).name}__{index}"
            sha256 = hashlib.sha256(image).digest()
            yield Item(name, self._label_of(example), split, sha256, len(image), path, offset)

    def _is_unlabelled(self, split: str) -> bool:
        first = next((record for path in self._split_files[split] for _, record in _records(path)), None)
        return first is not None and self._label_of(_parse(first)) < 0

    def _label_of(self, example: tf.train.Example) -> int:
        return example.features.feature[self._label_feature].int64_list.value[0]

    def _file_name_of(self, example: tf.train.Example) -> str:
        if not self._name_feature:
            return ""
        return example.features.feature[self._name_feature].bytes_list.value[0].decode("utf-8", "replace")


def read_image(item: Item, image_feature: str) -> bytes:
    """Returns the encoded image of one record of a shard.

    Args:
        item: The image.
        image_feature: Name of the feature that holds the image.

    Raises:
        OSError: The shard cannot be read.
        UsageError: The shard is truncated or damaged.
    """
    with Path(item.path).open("rb") as shard:
        shard.seek(item.offset)
        return _image_of(_parse(_read_record(shard, item.path)), image_feature)


def _prepared_builder(name: str, data_dir: str | None, manual_dir: str | None) -> Any:
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, AssertionError, ValueError, OSError) as error:
        raise UsageError(
            f"TensorFlow Datasets has no data set tfds:{name} ({_first_line(error)}); check name, config and version"
        ) from error
    if not builder.is_prepared():
        if is_imagenet(f"tfds:{name}"):
            check_archives(*find_archives(data_dir, manual_dir))
        _download(builder, name, manual_dir)
    return builder


def _download(builder: Any, name: str, manual_dir: str | None) -> None:
    where = f"tfds:{name} is not prepared in {builder.data_dir}"
    cure = "prepare it on a host with a network and pass its folder as --data-dir"
    instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if instructions:
        advice = " ".join(instructions.split())
        cure = f"pass the folder of its archives, complete and undamaged, as --manual-dir (advice of TFDS: {advice})"
    elif not urllib.request.getproxies() and not _resolves(_DOWNLOAD_HOST):
        # TFDS itself would try ten times and report nothing for 204 seconds (measured).
        raise VisionTfxError(f"{where} and cannot be downloaded without a network; {cure}")
    tfds.disable_progress_bar()
    logging.info("downloading and preparing tfds:%s", name)
    try:
        builder.download_and_prepare(
            # No prepared copies exist of data sets that users must download themselves.
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=not instructions)
        )
    except Exception as error:  # the data set's own code may raise any error
        if is_full(error):
            raise VisionTfxError(
                f"{where} and its disk is full; free some space, or choose another disk with --data-dir"
            ) from error
        raise VisionTfxError(f"{where} and preparing it failed ({_first_line(error)}); {cure}") from error


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _one_feature(name: str, features: Any, kind: type) -> str:
    found = [key for key, feature in features.items() if isinstance(feature, kind)]
    if len(found) == 1:
        return found[0]
    # Of several images or labels, nearly all data sets call those of the classification task "image" and "label".
    usual = {tfds.features.Image: "image", tfds.features.ClassLabel: "label"}[kind]
    if usual in found:
        return usual
    raise UsageError(
        f"{name} is not an image classification data set: none of its features {', '.join(features)} is its {usual}; "
        "choose another"
    )


def _records(path: str) -> Iterator[tuple[int, bytes]]:
    """Yields the offset in bytes and the content of every record of a TFRecord file."""
    with Path(path).open("rb") as shard:
        end = shard.seek(0, os.SEEK_END)
        offset = shard.seek(0)
        while offset < end:
            yield offset, _read_record(shard, path)
            offset = shard.tell()


def _read_record(shard: BinaryIO, path: str) -> bytes:
    header = shard.read(_RECORD_HEADER.size)
    length = _RECORD_HEADER.unpack(header)[0] if len(header) == _RECORD_HEADER.size else None
    record = shard.read(length) if length is not None and length < 2**31 else b""
    if len(record) != length or len(shard.read(_RECORD_FOOTER)) != _RECORD_FOOTER:
        raise UsageError(f"{path} is truncated or damaged; delete its folder and prepare the data set again")
    return record


def _parse(record: bytes) -> tf.train.Example:
    return tf.train.Example.FromString(record)


def _image_of(example: tf.train.Example, image_feature: str) -> bytes:
    return example.features.feature[image_feature].bytes_list.value[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
