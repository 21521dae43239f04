"""Folders and digits as sources: listed images, refused folders, cached content hashes."""

import hashlib
import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import UsageError, VisionTfxError
from components.sources.content_hashes import ContentHashes
from components.sources.datasets import check_folder, open_source


def add_images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = np.random.default_rng(abs(hash(name)) % 2**32).integers(0, 256, (6, 6), np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def hashes(tmp_path):
    return ContentHashes(tmp_path / "cache" / "hashes.sqlite")


@pytest.fixture
def flowers(tmp_path):
    root = tmp_path / "flowers"
    add_images(root / "rose", "1.png", "2.png")
    add_images(root / "tulip", "3.png")
    return root


def items_of(root, hashes):
    source = open_source(f"folder:{root}", None, root)
    return {item.name: (source.labels[item.label], item.split) for item in source.items(hashes)}


def test_class_folders_are_classes(flowers, hashes):
    assert items_of(flowers, hashes) == {
        "rose/1.png": ("rose", ""), "rose/2.png": ("rose", ""), "tulip/3.png": ("tulip", ""),
    }  # fmt: skip


def test_a_words_file_beside_the_classes_gives_them_names(flowers, hashes):
    before = open_source(f"folder:{flowers}", None, flowers)
    (flowers / "words.txt").write_text(f"{before.labels[0]}\tin words\n")
    source = open_source(f"folder:{flowers}", None, flowers)
    assert source.labels == (f"{before.labels[0]} in words", *before.labels[1:])
    assert source.items(hashes) == before.items(hashes)
    assert source.fingerprint(hashes) != before.fingerprint(hashes)


def test_the_reader_gives_the_files_bytes(flowers, hashes):
    source = open_source(f"folder:{flowers}", None, flowers)
    for item in source.items(hashes):
        assert source.reader(item) == (flowers / item.name).read_bytes()
        assert len(source.reader(item)) == item.size


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["train"], {"train": ""}),
        (["train", "test"], {"train": "", "test": "test"}),
        (["train", "val"], {"train": "", "val": "test"}),
        (["train", "validation"], {"train": "", "validation": "test"}),
        (["Train", "Val", "Test"], {"Train": "train", "Val": "validation", "Test": "test"}),
    ],
)
def test_split_folders_are_splits_and_val_without_test_is_test(tmp_path, hashes, folders, splits):
    for folder in folders:
        add_images(tmp_path / "data" / folder / "a", "1.png")
        add_images(tmp_path / "data" / folder / "b", "2.png")
    found = items_of(tmp_path / "data", hashes)
    assert {name.split("/")[0]: split for name, (_, split) in found.items()} == splits
    assert {label for label, _ in found.values()} == {"a", "b"}


def test_a_class_may_be_called_train(tmp_path, hashes):
    add_images(tmp_path / "data" / "train", "1.png")
    add_images(tmp_path / "data" / "bus", "2.png")
    assert items_of(tmp_path / "data", hashes) == {"train/1.png": ("train", ""), "bus/2.png": ("bus", "")}


def test_class_names_may_have_spaces_and_any_letters(tmp_path, hashes):
    decomposed = unicodedata.normalize("NFD", "Käfer rot")
    add_images(tmp_path / "data" / decomposed, "ein Bild.png")
    add_images(tmp_path / "data" / "熊猫", "1.png")
    assert items_of(tmp_path / "data", hashes) == {
        "Käfer rot/ein Bild.png": ("Käfer rot", ""), "熊猫/1.png": ("熊猫", ""),
    }  # fmt: skip


def test_junk_is_ignored_and_nested_folders_are_searched(flowers, hashes):
    for junk in (".DS_Store", "rose/.DS_Store", "rose/Thumbs.db", "words.txt", "rose/boxes.txt", ".git/x.png"):
        (flowers / junk).parent.mkdir(exist_ok=True)
        (flowers / junk).write_text("junk")
    add_images(flowers / "tulip" / "images", "deep.JPEG")
    assert set(items_of(flowers, hashes)) == {"rose/1.png", "rose/2.png", "tulip/3.png", "tulip/images/deep.JPEG"}


def make_file(root):
    root.write_text("x")


def make_empty(root):
    root.mkdir()


def make_flat(root):
    add_images(root, "1.png", "2.png")


def make_one_class(root):
    add_images(root / "rose", "1.png")


def make_case_twins(root):
    add_images(root / "Rose", "1.png")
    add_images(root / "rose", "2.png")


def make_empty_class(root):
    add_images(root / "rose", "1.png")
    (root / "tulip").mkdir()


def make_both_validations(root):
    for split in ("train", "val", "validation"):
        add_images(root / split / "a", "1.png")


def make_control_character(root):
    add_images(root / "ro\nse", "1.png")
    add_images(root / "tulip", "1.png")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "does not exist"),
        (make_file, "is a file"),
        (make_empty, "is empty"),
        (make_flat, "no class folders"),
        (make_one_class, "only one class, 'rose'"),
        (make_case_twins, "'Rose' and 'rose' .* differ only in case"),
        (make_empty_class, "no image files .* 'tulip'"),
        (make_both_validations, "both val/ and validation/"),
        (make_control_character, "control character"),
    ],
)
def test_a_bad_folder_is_refused_at_once_in_one_line(tmp_path, make, message):
    root = tmp_path / "data"
    make(root)
    with pytest.raises(UsageError, match=message) as refusal:
        check_folder(root)
    assert str(tmp_path) in str(refusal.value)
    assert not str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)
    with pytest.raises(UsageError, match=message):
        open_source(f"folder:{root}", None, tmp_path)


def test_a_folder_without_permission_is_refused(flowers, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # the tests may run as root, whom no permission stops
    with pytest.raises(UsageError, match=r"cannot read the data folder .*: Permission denied"):
        check_folder(flowers)


def test_a_class_folder_without_permission_is_refused(flowers, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("rose"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"cannot read the data folder .*rose: Permission denied"):
        check_folder(flowers)


def test_a_file_that_cannot_be_read_is_named(flowers, hashes):
    (flowers / "rose" / "gone.png").symlink_to(flowers / "nowhere.png")
    source = open_source(f"folder:{flowers}", None, flowers)
    with pytest.raises(UsageError, match=r"cannot read .*gone\.png"):
        source.items(hashes)


def test_check_folder_returns_the_classes_and_imports_nothing_heavy(flowers):
    command = (
        "import sys; from components.sources.datasets import check_folder; print(*check_folder(sys.argv[1]));"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'numpy', 'PIL', 'pyarrow')))"
    )
    done = subprocess.run([sys.executable, "-c", command, flowers], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rose", "tulip"]


@pytest.mark.parametrize("data", ["mnist", "folder:", "tfds:", "s3://bucket", ""])
def test_an_unknown_name_is_refused(data, tmp_path):
    with pytest.raises(UsageError, match="use digits, folder:PATH or tfds:NAME"):
        open_source(data, None, tmp_path)


def test_the_fingerprint_is_that_of_the_content(flowers, hashes, tmp_path):
    def fingerprint(root):
        return open_source(f"folder:{root}", None, tmp_path).fingerprint(hashes)

    first = fingerprint(flowers)
    os.utime(flowers / "rose" / "1.png")
    assert fingerprint(flowers) == first
    flowers.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == first
    image = tmp_path / "moved" / "rose" / "1.png"
    content, times = bytearray(image.read_bytes()), image.stat()
    content[-1] ^= 1
    image.write_bytes(content)
    os.utime(image, (times.st_atime, times.st_mtime))  # same size and, to the second, same time
    assert fingerprint(tmp_path / "moved") != first


def overwrite(path, modified_ns):
    """Changes the first byte in place; size and inode stay, and the modification time is given."""
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(modified_ns, modified_ns))
    return hashlib.sha256(content).digest()


def test_unchanged_files_are_not_read_again(flowers, hashes):
    first, *others = sorted(flowers.rglob("*.png"))
    for path in (first, *others):
        os.utime(path, ns=(1, 1))
    before = list(hashes.of(map(str, (first, *others))))
    # A change that no attribute of the file shows would be seen only by reading the file.
    overwrite(first, modified_ns=1)
    assert list(hashes.of(map(str, (first, *others)))) == before
    changed = overwrite(first, modified_ns=2)
    assert [content.sha256 for content in hashes.of(map(str, (first, *others)))] == [
        changed, *(content.sha256 for content in before[1:])
    ]  # fmt: skip


def test_a_file_that_may_still_be_changing_is_read_again(flowers, hashes):
    path = flowers / "rose" / "1.png"
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    list(hashes.of([str(path)]))
    changed = overwrite(path, modified_ns=now)
    assert next(hashes.of([str(path)])).sha256 == changed


def test_a_cache_that_cannot_be_written_is_a_users_error(flowers, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="--home"):
        list(ContentHashes(tmp_path / "file" / "hashes.sqlite").of([]))


@pytest.mark.lengthy
def test_digits_are_png_files_written_once(tmp_path, hashes):
    source = open_source("digits", None, tmp_path)
    assert source.labels == tuple("0123456789")
    items = source.items(hashes)
    assert len(items) == 1797
    written = {item.path: Path(item.path).stat().st_mtime_ns for item in items}
    with Image.open(items[0].path) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))
    assert max(np.asarray(Image.open(item.path)).max() for item in items[:20]) == 255
    again = open_source("digits", None, tmp_path).items(hashes)
    assert {item.path: Path(item.path).stat().st_mtime_ns for item in again} == written
    assert list(tmp_path.joinpath("digits").parent.glob("tmp*")) == []


def test_digits_that_cannot_be_written_are_explained(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(VisionTfxError, match="--home"):
        open_source("digits", None, tmp_path / "file" / "below")
