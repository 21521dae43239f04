"""TensorFlow Datasets as a source: unchanged bytes, names, splits and refusals."""

import errno
import io
import socket
import urllib.request
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from components.errors import UsageError, VisionTfxError
from components.sources.content_hashes import ContentHashes
from components.sources.datasets import open_source

# TFDS 4.9 reads protobuf's field descriptors through an attribute that protobuf 6 deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


def png(value, size=6):
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the data sets below; TFDS finds each by its class name."""

    VERSION = tfds.core.Version("1.0.0")
    LABELS = ("cat", "red panda")
    NAMED = False

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=self.LABELS)}
        features |= {"file_name": tfds.features.Text()} if self.NAMED else {}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        for index in range(self.SPLITS[split]):
            example = {"image": io.BytesIO(png(index)), "label": self.label(split, index)}
            example |= {"file_name": f"{split}/{index}.png"} if self.NAMED else {}
            yield index, example

    def label(self, split, index):
        return index % 2


class ToyPlain(Toy):
    SPLITS: ClassVar = {"train": 6, "test": 4}


class ToyNamed(Toy):
    SPLITS: ClassVar = {"train": 4, "validation": 2}
    NAMED = True


class ToyImagenet(Toy):
    """Three splits, the last without labels."""

    SPLITS: ClassVar = {"train": 4, "validation": 3, "test": 2, "extra": 1}

    def label(self, split, index):
        return -1 if split == "test" else index % 2


class ToySingle(Toy):
    SPLITS: ClassVar = {"full": 4}


class ToyTrainless(Toy):
    SPLITS: ClassVar = {"a": 2, "b": 2}


class ToyText(Toy):
    SPLITS: ClassVar = {"train": 2}

    def _info(self):
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"text": tfds.features.Text()}))

    def _generate_examples(self, split):
        yield 0, {"text": "no image"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    for toy in (ToyPlain, ToyNamed, ToyImagenet, ToySingle, ToyTrainless, ToyText):
        toy(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def hashes(tmp_path):
    return ContentHashes(tmp_path / "hashes.sqlite")


def open_toy(name, data_dir, tmp_path):
    return open_source(f"tfds:{name}", str(data_dir), tmp_path)


def test_the_encoded_bytes_are_untouched_and_the_labels_named(data_dir, tmp_path, hashes):
    source = open_toy("toy_plain:1.0.0", data_dir, tmp_path)
    assert source.labels == ("cat", "red panda")
    items = source.items(hashes)
    assert sorted(source.reader(item) for item in items) == sorted(png(index) for index in [*range(6), *range(4)])
    for item in items:
        assert len(source.reader(item)) == item.size
        assert source.reader(item) == png(np.asarray(Image.open(io.BytesIO(source.reader(item))))[0, 0])


def test_files_are_named_by_tfds_id_where_the_data_set_has_no_names(data_dir, tmp_path, hashes):
    source = open_toy("toy_plain", data_dir, tmp_path)
    read = tfds.load(
        "toy_plain",
        data_dir=data_dir,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(add_tfds_id=True),
    )
    expected = {
        example["tfds_id"].numpy().decode(): (example["image"].numpy(), int(example["label"]))
        for split in read.values()
        for example in split
    }
    assert {item.name: (source.reader(item), item.label) for item in source.items(hashes)} == expected


def test_files_keep_the_names_that_the_data_set_has(data_dir, tmp_path, hashes):
    names = {item.name for item in open_toy("toy_named", data_dir, tmp_path).items(hashes)}
    assert names == {*(f"train/{index}.png" for index in range(4)), "validation/0.png", "validation/1.png"}


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("toy_plain", {"train": "", "test": "test"}),
        ("toy_named", {"train": "", "validation": "test"}),
        ("toy_imagenet", {"train": "", "validation": "test"}),
        ("toy_single", {"full": ""}),
    ],
)
def test_splits_are_those_of_the_pipeline(data_dir, tmp_path, name, splits):
    assert open_toy(name, data_dir, tmp_path).splits == splits


def test_the_fingerprint_names_version_and_shards(data_dir, tmp_path, hashes):
    plain = open_toy("toy_plain", data_dir, tmp_path)
    assert plain.fingerprint(hashes) == open_toy("toy_plain:1.0.0", data_dir, tmp_path).fingerprint(hashes)
    assert plain.fingerprint(hashes) != open_toy("toy_named", data_dir, tmp_path).fingerprint(hashes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_data_set", "has no data set tfds:no_such_data_set"),
        ("toy_plain:7.0.0", "has no data set tfds:toy_plain:7.0.0"),
        ("toy_plain/no_such_config", "has no data set"),
        ("toy_text", "not an image classification data set: none of its features text is its image"),
        ("toy_trainless", "no train split, only a, b"),
    ],
)
def test_other_data_sets_are_refused(data_dir, tmp_path, hashes, name, message):
    with pytest.raises(UsageError, match=message):
        open_toy(name, data_dir, tmp_path).fingerprint(hashes)


def test_without_a_network_a_missing_data_set_is_refused_at_once(tmp_path, monkeypatch):
    def unresolved(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with pytest.raises(VisionTfxError, match=r"without a network; prepare it .* --data-dir"):
        open_toy("mnist", tmp_path, tmp_path)


class ToyBroken(Toy):
    """Registered with TFDS, which prepares a data set only if it knows its builder."""

    SPLITS: ClassVar = {"train": 1}
    error: ClassVar = OSError("Manual directory does not exist.\nGet it from ...")

    def _split_generators(self, dl_manager):
        raise self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ToyBroken.error, r"preparing it failed \(Manual directory does not exist\.\)"),
        (OSError(errno.ENOSPC, "No space left on device"), "its disk is full; .* --data-dir"),
    ],
)
def test_a_failed_download_is_explained_in_one_line(tmp_path, monkeypatch, error, message):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [])
    monkeypatch.setattr(ToyBroken, "error", error)
    with pytest.raises(VisionTfxError, match=message) as failure:
        open_toy("toy_broken", tmp_path, tmp_path)
    assert "\n" not in str(failure.value)


def test_a_damaged_shard_is_refused(data_dir, tmp_path, hashes):
    source = open_toy("toy_single", data_dir, tmp_path)
    [shard] = [path for _, path in source.files() if "tfrecord" in path]
    with Path(shard).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 3)
    with pytest.raises(UsageError, match="truncated or damaged"):
        source.items(hashes)
