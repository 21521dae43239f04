"""Ingest of good and bad files: every file is written or listed, and a failure is explained."""

import errno
import io
import struct
import zlib
from collections import Counter
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.errors import GateRefused, VisionTfxError
from components.features import BAD_LABEL, luminance_band
from components.ingest import example_writer, manifest, shards
from components.ingest.example_writer import write_examples
from components.ingest.shard_writer import inspect_item
from components.ingest.shards import Shard
from components.ingest.write_errors import user_errors
from components.sources.content_hashes import ContentHashes
from components.sources.datasets import open_source

COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def huge_png(side=30_000):
    """One megabyte of PNG that claims, and holds, 30,000 x 30,000 pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate = zlib.compressobj(1)
    row = bytes(1 + side)
    rows = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_images(folder, count, seed):
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = np.random.default_rng([seed, index]).integers(0, 256, (6, 6), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")


@pytest.fixture
def data(tmp_path):
    """Two classes of 30 images, one with a space and a letter beyond ASCII in its name."""
    root = tmp_path / "data"
    write_images(root / "rote Käfer", 30, seed=1)
    write_images(root / "cat", 30, seed=2)
    return root


def ingest(root, tmp_path, **options):
    destination = tmp_path / "examples"
    source = open_source(f"folder:{root}", None, tmp_path)
    options = {"validation_share": 0.1, "test_share": 0.1, "seed": 1} | options
    counts = write_examples(
        source,
        destination,
        ContentHashes(tmp_path / "hashes.sqlite"),
        pipeline_factory=lambda: beam.Pipeline(argv=["--runner=FnApiRunner"]),
        **options,
    )
    return destination, counts


def read(destination, split):
    files = sorted(str(path) for path in (destination / f"Split-{split}").iterdir())
    return [tf.train.Example.FromString(record.numpy()).features.feature for record in tf.data.TFRecordDataset(files)]


def test_every_image_is_written_once_with_all_features(data, tmp_path):
    destination, counts = ingest(data, tmp_path)
    assert counts == {("train", "ok"): 48, ("validation", "ok"): 6, ("test", "ok"): 6}
    assert manifest.read_labels(destination) == ["cat", "rote Käfer"]
    seen = []
    for split in ("train", "validation", "test"):
        assert [path.name for path in (destination / f"Split-{split}").iterdir()] == ["data_tfrecord-00000-of-00001"]
        for feature in read(destination, split):
            name = feature["file_name"].bytes_list.value[0].decode()
            seen.append(name)
            content = (data / name).read_bytes()
            assert feature["image"].bytes_list.value[0] == content
            assert feature["bytes"].int64_list.value[0] == len(content)
            assert feature["label_name"].bytes_list.value[0].decode() == name.split("/")[0]
            assert feature["label"].int64_list.value[0] == int(name.startswith("rote"))
            assert (feature["width"].int64_list.value[0], feature["height"].int64_list.value[0]) == (6, 6)
            pixels = np.asarray(Image.open(data / name))
            assert feature["luminance"].float_list.value[0] == pytest.approx(pixels.mean(), rel=1e-6)
            assert feature["luminance_band"].bytes_list.value[0].decode() == luminance_band(pixels.mean())
            assert feature["size_band"].bytes_list.value[0] == b"below 32"
    assert sorted(seen) == sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    assert {path.name for path in destination.iterdir()} == {
        "Split-train", "Split-validation", "Split-test", "labels.txt", "manifest.parquet", "quarantine.jsonl",
    }  # fmt: skip


def test_a_plain_sequential_read_meets_both_classes(data, tmp_path):
    destination, _ = ingest(data, tmp_path)
    labels = [feature["label"].int64_list.value[0] for feature in read(destination, "train")]
    assert 2 < sum(labels[:12]) < 10


@pytest.mark.lengthy
def test_the_same_seed_writes_the_same_bytes_and_another_one_others(data, tmp_path):
    def train_bytes(place, seed):
        destination, _ = ingest(data, tmp_path / place, seed=seed)
        return b"".join(path.read_bytes() for path in sorted((destination / "Split-train").iterdir()))

    assert train_bytes("a", 1) == train_bytes("b", 1)
    assert train_bytes("a2", 2) != train_bytes("b2", 1)


def test_large_splits_have_several_shards(data, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 20)
    destination, _ = ingest(data, tmp_path)
    names = sorted(path.name for path in (destination / "Split-train").iterdir())
    assert names == [f"data_tfrecord-{index:05d}-of-00003" for index in range(3)]
    assert len(read(destination, "train")) == 48


BAD_FILES = {
    "text.png": (b"I am not a picture.\n" * 10, "no image"),
    "empty.jpg": (b"", "empty"),
    "truncated.jpg": (encoded(COLOURS, "JPEG")[:-400], "damaged"),
    "cut.png": (encoded(COLOURS)[:-400], "damaged"),
    "one pixel.png": (encoded(COLOURS.resize((1, 1))), "too small"),
    "huge.png": (huge_png(), "too large"),
}
UNUSUAL_FILES = {
    "cmyk.jpg": encoded(COLOURS.convert("CMYK"), "JPEG"),
    "sixteen bit.png": encoded(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27)),
    "moving.gif": encoded(COLOURS, "GIF"),
    "palette.png": encoded(COLOURS.quantize(16)),
    "alpha.png": encoded(COLOURS.convert("RGBA")),
}


def test_bad_files_are_quarantined_by_name_and_unusual_ones_are_not(data, tmp_path):
    for name, (content, _) in BAD_FILES.items():
        (data / "cat" / name).write_bytes(content)
    for name, content in UNUSUAL_FILES.items():
        (data / "cat" / name).write_bytes(content)
    destination, counts = ingest(data, tmp_path)
    assert sum(counts.values()) == 60 + len(BAD_FILES) + len(UNUSUAL_FILES)
    quarantine = {row["file_name"]: row for row in manifest.read_quarantine(destination)}
    assert {name: row["verdict"] for name, row in quarantine.items()} == {
        f"cat/{name}": verdict for name, (_, verdict) in BAD_FILES.items()
    }
    assert all(row["reason"] and row["label_name"] == "cat" for row in quarantine.values())
    rows = manifest.read_manifest(destination).to_pylist()
    assert Counter(row["verdict"] for row in rows) == {"ok": 65} | Counter(bad for _, bad in BAD_FILES.values())
    written = [feature for split in ("train", "validation", "test") for feature in read(destination, split)]
    assert len(written) == 65
    for feature in written:
        height, width = feature["height"].int64_list.value[0], feature["width"].int64_list.value[0]
        data_bytes = feature["image"].bytes_list.value[0]
        for channels in (1, 3):
            image = tf.io.decode_image(data_bytes, channels=channels, expand_animations=False)
            assert image.shape == (height, width, channels)


def test_the_huge_png_of_the_test_is_one_megabyte():
    assert 0.5e6 < len(BAD_FILES["huge.png"][0]) < 5e6


def test_a_label_that_is_out_of_range_is_quarantined(data, tmp_path):
    source = open_source(f"folder:{data}", None, tmp_path)
    items = source.items(ContentHashes(tmp_path / "hashes.sqlite"))
    row, example = inspect_item(items[0]._replace(label=2), source.reader, source.labels, "train")
    assert example is None
    assert row["verdict"] == BAD_LABEL
    assert row["reason"] == "label 2 is not one of 0 to 1"


def test_an_absurdly_large_file_is_not_even_read(data, tmp_path):
    source = open_source(f"folder:{data}", None, tmp_path)
    [item, *_] = source.items(ContentHashes(tmp_path / "hashes.sqlite"))
    row, example = inspect_item(item._replace(size=2**40), None, source.labels, "train")
    assert example is None
    assert row["verdict"] == "too large"


def test_not_one_image_is_refused(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    with pytest.raises(GateRefused, match=r"none of the 3 files .*a/1\.png: 7 bytes that are not an image"):
        ingest(tmp_path / "data", tmp_path)
    assert list((tmp_path / "examples").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk of .* is full; free some space"),
        (tf.errors.ResourceExhaustedError(None, None, "x; No space left on device"), "the disk of .* is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot write .*: Permission denied"),
    ],
)
def test_a_failing_disk_is_one_line_and_leaves_nothing(data, tmp_path, monkeypatch, error, message):
    class Writer:
        def __init__(self, path):
            Path(path).write_bytes(b"half a rec")

        def __enter__(self):
            return self

        def __exit__(self, *problem):
            return False

        def write(self, record):
            raise error

    monkeypatch.setattr(tf.io, "TFRecordWriter", Writer)
    with pytest.raises(VisionTfxError, match=message) as failure:
        ingest(data, tmp_path)
    assert "\n" not in str(failure.value)
    assert "while running" not in str(failure.value)
    assert list((tmp_path / "examples").iterdir()) == []


def test_a_truly_full_device_is_recognized():
    with pytest.raises(VisionTfxError, match="is full"), user_errors(Path("/somewhere")):  # noqa: SIM117
        with tf.io.TFRecordWriter("/dev/full") as writer:
            for _ in range(100):
                writer.write(bytes(100_000))


def test_data_that_changes_during_the_run_is_noticed(data, tmp_path, monkeypatch):
    monkeypatch.setattr("components.sources.folder.read_file", lambda item: b"something else")
    with pytest.raises(VisionTfxError, match=r"\.png changed since it was listed"):
        ingest(data, tmp_path)


def test_lost_rows_are_noticed(data, tmp_path, monkeypatch):
    write_shard = example_writer.write_shard

    def forgetful(shard, **options):
        write_shard(Shard(shard.split, shard.index, shard.total, shard.items[1:]), **options)

    monkeypatch.setattr(example_writer, "write_shard", forgetful)
    with pytest.raises(VisionTfxError, match="lists 60 files but 57 were written or quarantined"):
        ingest(data, tmp_path)


def test_an_error_that_beam_passes_on_as_text_is_restored():
    text = "Traceback ...\ncomponents.errors.GateRefused: no good; try again [while running 'Write']\nmore"
    with pytest.raises(GateRefused, match=r"^no good; try again$"), user_errors(Path()):
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="nothing known"), user_errors(Path()):
        raise RuntimeError("nothing known")
