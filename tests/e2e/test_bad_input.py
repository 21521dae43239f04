"""Unusable input: a message in one line with file and cure, and the right exit code."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).convert(mode).save(path)
    return path


def missing(root: Path) -> Path:
    return root / "nowhere"


def a_file(root: Path) -> Path:
    return write_image(root / "cat.png")


def empty(root: Path) -> Path:
    (root / "pets").mkdir()
    return root / "pets"


def images_without_classes(root: Path) -> Path:
    return write_image(root / "pets" / "1.png").parent


def one_class(root: Path) -> Path:
    return write_image(root / "pets" / "cat" / "1.png").parents[1]


def an_empty_class(root: Path) -> Path:
    (root / "pets" / "dog").mkdir(parents=True)
    return one_class(root)


def differing_in_case(root: Path) -> Path:
    write_image(root / "pets" / "Cat" / "2.png")
    return one_class(root)


def one_class_in_train(root: Path) -> Path:
    write_image(root / "pets" / "val" / "cat" / "1.png")
    return write_image(root / "pets" / "train" / "cat" / "1.png").parents[2]


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("make", "what", "cure"),
    [
        (missing, "does not exist", "correct the path"),
        (a_file, "is a file", "use the folder"),
        (empty, "is empty", "one folder of images per class"),
        (images_without_classes, "contains no class folders", "one folder of images per class"),
        (one_class, "only one class, 'cat'", "at least two"),
        (one_class_in_train, "only one class, 'cat'", "at least two"),
        (an_empty_class, "no image files", "add images or remove the folder"),
        (differing_in_case, "'Cat' and 'cat'", "rename or merge"),
    ],
)
def test_folder_that_is_no_data_set(cli, tmp_path, make, what, cure):
    data = make(tmp_path)
    done = cli("run", "--data", f"folder:{data}", "--home", tmp_path / "home")
    assert done.code == 2
    assert all(words in done.sentence for words in (what, cure, str(data)))
    assert done.out == ""
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("home", ["/proc/vision-tfx", "{file}", "{file}/home"])
def test_home_that_cannot_be_written(cli, tmp_path, home):
    home = home.format(file=write_image(tmp_path / "file.png"))
    done = cli("run", "digits-dbn", "--home", home)
    assert done.code == 2
    assert home in done.sentence
    assert "--home DIR" in done.sentence


def test_home_on_a_disk_that_is_read_only(cli, mounted):
    done = cli("run", "digits-dbn", "--home", mounted("ro") / "home")
    assert done.code == 2
    assert "Read-only file system" in done.sentence
    assert "--home DIR" in done.sentence


def test_home_on_a_disk_without_room(cli, mounted):
    done = cli("run", "digits-dbn", "--home", mounted("size=2m") / "home")
    assert done.code == 2
    assert "MiB free" in done.sentence
    assert "--home DIR" in done.sentence


def png_of_30000_by_30000(path: Path) -> None:
    """About 900 million pixels in 1 MB, as a decompression bomb has them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8 * 8)
    data = b"".join(rows.compress(row) for _ in range(30_000)) + rows.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def add_unusable_files(folder: Path) -> set[str]:
    (folder / "text.png").write_text("not an image\n")
    (folder / "nothing.png").write_bytes(b"")
    whole = write_image(folder / "truncated.jpg", size=(64, 64))
    whole.write_bytes(whole.read_bytes()[:-600])
    write_image(folder / "one pixel.png", size=(1, 1))
    png_of_30000_by_30000(folder / "bomb.png")
    return {"text.png", "nothing.png", "truncated.jpg", "one pixel.png", "bomb.png"}


def add_unusual_files(folder: Path) -> set[str]:
    """Files that Pillow reads and TensorFlow does not, or not in the same way."""
    write_image(folder / "print.jpg", "CMYK")
    write_image(folder / "drawing.gif", "P")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(folder / "scan.png")
    return {"print.jpg", "drawing.gif", "scan.png"}


@pytest.mark.e2e
def test_broken_files_stop_a_run_and_are_all_named(place):
    folder = place.data / "train" / "青 ボール"
    broken, unusual = add_unusable_files(folder), add_unusual_files(folder)
    done = place.run()
    assert done.code == 3
    assert "5 of 104 files" in done.sentence
    assert "repair or remove these files, or raise --gates.max-broken-percent" in done.sentence
    assert done.statuses["DataGate"] == "failed"
    assert {done.statuses[name] for name in ("Transform", "Trainer", "Pusher")} == {"skipped"}
    [report] = place.home.glob("logs/*/*.json")
    [finding] = json.loads(report.read_text())["findings"]
    assert {Path(line.split(": ")[0]).name for line in finding["files"]} == broken
    assert not unusual & broken
    assert place.versions == []
    place.assert_tidy("FAILED")
