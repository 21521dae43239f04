"""ImageNet: from archives laid out like the official ones, through TFDS' own builder, to stored examples."""

import io
import shutil
import socket
import tarfile
import types

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from components.errors import UsageError, VisionTfxError
from components.ingest import manifest
from components.ingest.example_writer import write_examples
from components.sources import imagenet
from components.sources.content_hashes import ContentHashes
from components.sources.datasets import open_source

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

TENCH, SNAKE, POODLE = "n01440764", "n01739381", "n02105855"
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize((400, 300))


def encoded(image, kind):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def jpeg(seed):
    return encoded(PHOTO.rotate(7 * seed), "JPEG")


TRAIN = {
    TENCH: {f"{TENCH}_{index}.JPEG": jpeg(index) for index in range(5)},
    SNAKE: {
        f"{SNAKE}_1309.JPEG": encoded(PHOTO.convert("CMYK"), "JPEG"),  # one that TFDS knows to be CMYK
        f"{SNAKE}_1.JPEG": encoded(PHOTO.rotate(90).convert("CMYK"), "JPEG"),  # and one that it does not
    },
    POODLE: {
        f"{POODLE}_2933.JPEG": encoded(PHOTO.rotate(180), "PNG"),  # a PNG that TFDS knows of
        f"{POODLE}_1.JPEG": encoded(PHOTO.rotate(270), "PNG"),
        f"{POODLE}_2.JPEG": b"no image at all",
    },
}
VALIDATION = {f"ILSVRC2012_val_{number:08d}.JPEG": jpeg(10 + number) for number in (1, 2, 3)}


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    (folder / imagenet.TRAIN_ARCHIVE).write_bytes(tar({f"{name}.tar": tar(files) for name, files in TRAIN.items()}))
    (folder / imagenet.VALIDATION_ARCHIVE).write_bytes(tar(VALIDATION))
    return folder


@pytest.fixture(scope="module")
def data_dir(manual_dir, tmp_path_factory):
    """Prepared, with every way to a network closed."""

    def closed(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    folder = tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", closed)
        open_source(imagenet.DATA, str(folder), folder, manual_dir=str(manual_dir))
    return folder


@pytest.fixture(scope="module")
def ingested(data_dir, tmp_path_factory):
    """The examples, stored at 64 pixels; the archives are not needed any more."""
    destination, cache = tmp_path_factory.mktemp("examples"), tmp_path_factory.mktemp("cache")
    source = open_source(imagenet.DATA, str(data_dir), cache)
    counts = write_examples(
        source,
        destination,
        ContentHashes(cache / "hashes.sqlite"),
        validation_share=0.2,
        test_share=0.1,
        seed=1,
        pipeline_factory=lambda: beam.Pipeline(
            argv=["--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=2"]
        ),
        stored_size=64,
    )
    return destination, counts


def read(destination):
    files = [str(path) for path in destination.glob("Split-*/*")]
    return [tf.train.Example.FromString(record.numpy()).features.feature for record in tf.data.TFRecordDataset(files)]


@pytest.mark.lengthy
def test_every_image_is_accounted_for_and_validation_is_the_test_split(ingested):
    destination, counts = ingested
    assert sum(counts.values()) == sum(map(len, TRAIN.values())) + len(VALIDATION)
    assert counts["test", "ok"] == 3
    assert sum(count for (split, _), count in counts.items() if split == "validation") == 2  # a fifth of ten
    [broken] = manifest.read_quarantine(destination)
    assert (broken["file_name"], broken["verdict"]) == (f"{POODLE}_2.JPEG", "no image")


def test_labels_are_the_thousand_synsets_and_validation_has_them_by_number(ingested):
    destination, _ = ingested
    labels = manifest.read_labels(destination)
    assert len(labels) == 1000
    rows = {row["file_name"]: labels[row["label"]] for row in manifest.read_manifest(destination).to_pylist()}
    assert rows[f"{TENCH}_3.JPEG"] == TENCH
    assert rows["ILSVRC2012_val_00000001.JPEG"] == "n01751748"
    assert rows["ILSVRC2012_val_00000003.JPEG"] == "n02105855"


def test_all_images_are_stored_as_squares_and_the_manifest_records_it(ingested):
    destination, _ = ingested
    for feature in read(destination):
        data = feature["image"].bytes_list.value[0]
        image = Image.open(io.BytesIO(data))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
        assert (feature["width"].int64_list.value[0], feature["height"].int64_list.value[0]) == (400, 300)
        assert feature["bytes"].int64_list.value[0] == len(data)
        assert "wordnet" not in feature
    metadata = pq.read_schema(destination / "manifest.parquet").metadata
    assert (metadata[b"stored_size"], metadata[b"jpeg_quality"]) == (b"64", b"95")


def test_cmyk_and_png_impostors_keep_their_colours(ingested):
    destination, _ = ingested
    stored = {feature["file_name"].bytes_list.value[0].decode(): feature for feature in read(destination)}
    for name, angle in {"n01739381_1309": 0, "n01739381_1": 90, "n02105855_2933": 180, "n02105855_1": 270}.items():
        image = Image.open(io.BytesIO(stored[f"{name}.JPEG"]["image"].bytes_list.value[0]))
        expected = PHOTO.rotate(angle).crop((50, 0, 350, 300)).resize((64, 64), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(image).astype(float) - np.asarray(expected)).mean() < 12, name


def copy_of(manual_dir, tmp_path):
    folder = tmp_path / "archives"
    shutil.copytree(manual_dir, folder)
    return folder


def test_missing_archives_are_named_with_their_source(manual_dir, tmp_path):
    folder = copy_of(manual_dir, tmp_path)
    (folder / imagenet.VALIDATION_ARCHIVE).unlink()
    both = r"ILSVRC2012_img_train\.tar and ILSVRC2012_img_val\.tar"
    with pytest.raises(UsageError, match=r"lacks ILSVRC2012_img_val\.tar; pass .* as --manual-dir; .*image-net"):
        open_source(imagenet.DATA, str(tmp_path / "tfds"), tmp_path, manual_dir=str(folder))
    with pytest.raises(UsageError, match=rf"downloads/manual lacks {both}"):
        open_source(imagenet.DATA, str(tmp_path / "tfds"), tmp_path)


@pytest.mark.parametrize(
    ("archive", "content", "message"),
    [
        (imagenet.TRAIN_ARCHIVE, b"half a tar", "img_train.tar is damaged or not a tar file"),
        (imagenet.TRAIN_ARCHIVE, tar({"train/n01440764/1.JPEG": b""}), "not the official archive: it contains train/"),
        (
            imagenet.VALIDATION_ARCHIVE,
            tar({"val/ILSVRC2012_val_00000001.JPEG": b""}),
            "labels are assigned by number",
        ),
        (imagenet.VALIDATION_ARCHIVE, tar({"ILSVRC2012_val_00000002.JPEG": b""}), "_00000001.JPEG, and labels"),
        (imagenet.VALIDATION_ARCHIVE, tar({}), "img_val.tar is empty"),
    ],
)
def test_other_archives_are_refused(manual_dir, tmp_path, archive, content, message):
    folder = copy_of(manual_dir, tmp_path)
    (folder / archive).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        open_source(imagenet.DATA, str(tmp_path / "tfds"), tmp_path, manual_dir=str(folder))


def test_a_damaged_class_archive_is_explained_in_one_line(manual_dir, tmp_path):
    folder = copy_of(manual_dir, tmp_path)
    (folder / imagenet.TRAIN_ARCHIVE).write_bytes(tar({f"{TENCH}.tar": tar(TRAIN[TENCH])[:3000]}))
    with pytest.raises(
        VisionTfxError, match=r"preparing it failed .* complete and undamaged, as --manual-dir"
    ) as failure:
        open_source(imagenet.DATA, str(tmp_path / "tfds"), tmp_path, manual_dir=str(folder))
    assert "\n" not in str(failure.value)


def test_a_disk_without_space_is_refused_beforehand(manual_dir, tmp_path, monkeypatch):
    archives = imagenet.find_archives(None, str(manual_dir))
    imagenet.check_space(archives, str(tmp_path / "not" / "there"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1000))
    with pytest.raises(UsageError, match=r"0 GiB free, but preparing ImageNet needs 1 GiB; .* --data-dir"):
        imagenet.check_space(archives, str(tmp_path / "not" / "there"))


def test_the_prepared_size_is_that_of_the_version(data_dir, tmp_path):
    assert imagenet.prepared_bytes(imagenet.DATA, str(data_dir)) > 100_000
    version = tfds.builder("imagenet2012", data_dir=data_dir).info.version
    assert imagenet.prepared_bytes(f"{imagenet.DATA}:{version}", str(data_dir)) > 100_000
    assert imagenet.prepared_bytes(f"{imagenet.DATA}:0.0.1", str(data_dir)) == 0
    assert imagenet.prepared_bytes(imagenet.DATA, str(tmp_path)) == 0
