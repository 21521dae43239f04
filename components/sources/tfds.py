"""Any image classification data set of TensorFlow Datasets, read record by record from its prepared files.

The records hold the encoded images, which TFDS' own readers would decode or pass on in one stream; here each is found
by its file and offset, so that it can be read alone, in any order, untouched.
"""

import errno
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
from typing import Any

import tensorflow_datasets as tfds

from components.errors import UsageError, VisionTfxError
from components.features import TEST, TRAIN, VALIDATION
from components.sources.content_hashes import ContentHashes
from components.sources.imagenet import check_archives, find_archives, is_imagenet
from components.sources.source import Item, Source

_SPLITS = {"train": TRAIN, "val": VALIDATION, "validation": VALIDATION, "test": TEST}
_FILE_NAME_FEATURES = ("file_name", "filename", "image/filename", "image/file_name")
_RECORD_HEADER = struct.Struct("<QI")  # length of the record in bytes, checksum of the length
_RECORD_FOOTER = 4  # bytes: checksum of the record
_DOWNLOAD_HOST = "storage.googleapis.com"  # TFDS asks it about every data set before it downloads


class TfdsSource(Source):
    """A prepared data set of TFDS; it is downloaded and prepared where that was not done.

    As in a folder, a validation split without a test split is the test split. A test split without labels (ImageNet's)
    is passed over.

    Args:
        name: NAME[/CONFIG][:VERSION] as TFDS has it, e.g. "mnist" or "mnist_corrupted/fog:1.0.0".
        data_dir: Where data sets are prepared; none means TFDS' default, ~/tensorflow_datasets.
        manual_dir: Where the archives are that TFDS does not download by itself; none means TFDS' default,
            <data_dir>/downloads/manual. Of no use once the data set is prepared.

    Raises:
        UsageError: TFDS knows no such data set, or it is not one of images with one label each; ImageNet's archives
            are missing or are not the official ones.
        VisionTfxError: It could not be downloaded.
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
            raise UsageError(f"{self.name} in {self._folder} is stored as {stored_as}: prepare it as tfrecord.")
        self.labels = tuple(features[self._label_feature].names)

    @cached_property
    def splits(self) -> dict[str, str]:
        """TFDS split -> "train", "validation" or "test", or "" for what the missing ones are cut from."""
        named = {split: _SPLITS[split] for split in self._split_files if split in _SPLITS}
        if len(self._split_files) == 1:
            return dict.fromkeys(self._split_files, "")
        if TRAIN not in named.values():
            raise UsageError(f"{self.name} has no train split, only {', '.join(self._split_files)}: choose another.")
        unlabelled = [split for split, name in named.items() if name == TEST and self._is_unlabelled(split)]
        for split in unlabelled:
            del named[split]
        if passed_over := sorted(set(self._split_files) - set(named)):
            logging.warning("%s: splits passed over: %s", self.name, ", ".join(passed_over))
        if TEST not in named.values():
            named = {split: TEST if name == VALIDATION else name for split, name in named.items()}
        if len(set(named.values())) < 3:
            named = {split: "" if name == TRAIN else name for split, name in named.items()}
        return named

    def files(self) -> Sequence[tuple[str, str]]:
        """The shards of the splits that are used, and the description of the features."""
        shards = [path for split in self.splits for path in self._split_files[split]]
        described = [str(self._folder / "features.json")]
        return [(f"{self._dataset}/{Path(path).name}", path) for path in described + shards]

    def items(self, hashes: ContentHashes) -> list[Item]:
        """Reads all shards once, several at a time, of each one record at a time."""
        shards = [(path, name) for split, name in self.splits.items() for path in self._split_files[split]]
        with ThreadPoolExecutor() as pool:
            return [
                item for found in pool.map(lambda shard: list(self._items_of_shard(*shard)), shards) for item in found
            ]

    @property
    def reader(self) -> Callable[[Item], bytes]:
        """Reads the encoded image of one record."""
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

    def _label_of(self, example: Any) -> int:
        return example.features.feature[self._label_feature].int64_list.value[0]

    def _file_name_of(self, example: Any) -> str:
        if not self._name_feature:
            return ""
        return example.features.feature[self._name_feature].bytes_list.value[0].decode("utf-8", "replace")


def read_image(item: Item, image_feature: str) -> bytes:
    """The encoded image of one record of a shard."""
    with Path(item.path).open("rb") as shard:
        shard.seek(item.offset)
        return _image_of(_parse(_read_record(shard, item.path)), image_feature)


def _prepared_builder(name: str, data_dir: str | None, manual_dir: str | None) -> Any:
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, AssertionError, ValueError, OSError) as error:
        raise UsageError(
            f"TensorFlow Datasets has no data set tfds:{name} ({_first_line(error)}): check name, config and version."
        ) from error
    if not builder.is_prepared():
        if is_imagenet(f"tfds:{name}"):
            check_archives(*find_archives(data_dir, manual_dir))
        _download(builder, name, manual_dir)
    return builder


def _download(builder: Any, name: str, manual_dir: str | None) -> None:
    where = f"tfds:{name} is not prepared in {builder.data_dir}"
    cure = "prepare it on a machine with a network and give its folder as --data-dir"
    instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if instructions:
        said = " ".join(instructions.split())
        cure = f"give the folder of its archives, complete and undamaged, as --manual-dir (TFDS says: {said})"
    elif not urllib.request.getproxies() and not _resolves(_DOWNLOAD_HOST):
        # TFDS itself would try ten times: 204 seconds of silence were measured.
        raise VisionTfxError(f"{where} and cannot be downloaded, for there is no network: {cure}.")
    tfds.disable_progress_bar()
    logging.info("Downloading and preparing tfds:%s", name)
    try:
        builder.download_and_prepare(
            # Nobody offers a prepared copy of what must be fetched by hand.
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=not instructions)
        )
    except Exception as error:  # whatever the data set's own code raises
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            raise VisionTfxError(f"{where} and its disk is full: free some room or give another --data-dir.") from error
        raise VisionTfxError(f"{where} and preparing it failed ({_first_line(error)}): {cure}.") from error


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
    # More than one image or label: "image" and "label" are what nearly all data sets call the ones to learn from.
    usual = {tfds.features.Image: "image", tfds.features.ClassLabel: "label"}[kind]
    if usual in found:
        return usual
    raise UsageError(
        f"{name} is no image classification data set: of {', '.join(features)} none is its {usual}; choose another."
    )


def _records(path: str) -> Iterator[tuple[int, bytes]]:
    """Offset (bytes) and content of every record of a TFRecord file."""
    with Path(path).open("rb") as shard:
        end = shard.seek(0, os.SEEK_END)
        offset = shard.seek(0)
        while offset < end:
            yield offset, _read_record(shard, path)
            offset = shard.tell()


def _read_record(shard: Any, path: str) -> bytes:
    header = shard.read(_RECORD_HEADER.size)
    length = _RECORD_HEADER.unpack(header)[0] if len(header) == _RECORD_HEADER.size else None
    record = shard.read(length) if length is not None and length < 2**31 else b""
    if len(record) != length or len(shard.read(_RECORD_FOOTER)) != _RECORD_FOOTER:
        raise UsageError(f"{path} is truncated or damaged: delete its folder and prepare the data set again.")
    return record


def _parse(record: bytes) -> Any:
    from tensorflow.core.example.example_pb2 import Example

    return Example.FromString(record)


def _image_of(example: Any, image_feature: str) -> bytes:
    return example.features.feature[image_feature].bytes_list.value[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
