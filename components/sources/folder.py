"""A folder of class folders as a data set. Standard library only: the command line checks a folder before it starts.

    flowers/rose/1.jpg, flowers/tulip/2.jpg              splits are cut
    flowers/train/rose/1.jpg, flowers/val/rose/2.jpg     split folders: train, val (or validation), test

A `val/` without a `test/` is the test split, as in ImageNet, and validation is cut from train. Class folders are
searched to any depth. Names that begin with a dot and files without an image's extension are passed over. Class names
are compared and written in Unicode's composed form (NFC), so that a copy from macOS has the same classes.
"""

import logging
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from components.errors import UsageError
from components.features import TEST, TRAIN, VALIDATION
from components.sources.content_hashes import ContentHashes
from components.sources.source import Item, Source

SPLIT_FOLDERS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
IMAGE_EXTENSIONS = frozenset(
    [".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"]
    + [f".p{kind}m" for kind in "pgbn"]
)


class ClassFolder(NamedTuple):
    """One folder of images of one class: its split ("" where none is given), its class and where it is."""

    split: str
    label_name: str
    path: Path


class FolderSource(Source):
    """Images in class folders.

    Args:
        root: The folder.
        name: What it is called in messages.

    Raises:
        UsageError: See `class_folders`.
    """

    def __init__(self, root: Path, name: str):
        self.name = name
        self.root = root
        folders = class_folders(root)
        self.labels = label_names(folders)
        self._index = {label: number for number, label in enumerate(self.labels)}
        # Plain strings: a million Path objects would weigh 600 MB.
        self._files = [(folder, path) for folder in folders for path in _image_files(folder.path)]
        _refuse_empty_classes(root, self.labels, {folder.label_name for folder, _ in self._files})

    def files(self) -> Sequence[tuple[str, str]]:
        """All image files, by split, class and name."""
        return [(self._name_of(path), path) for _, path in self._files]

    def items(self, hashes: ContentHashes) -> list[Item]:
        """All images; their SHA-256 are those of the files."""
        found = hashes.of(path for _, path in self._files)
        return [
            Item(
                self._name_of(path), self._index[folder.label_name], folder.split, content.sha256, content.size, path, 0
            )
            for (folder, path), content in zip(self._files, found, strict=True)
        ]

    @property
    def reader(self) -> Callable[[Item], bytes]:
        """Reads a file's content."""
        return read_file

    def _name_of(self, path: str) -> str:
        return printable(path[len(str(self.root)) :].lstrip("/"))


def read_file(item: Item) -> bytes:
    """The content of an image file."""
    return Path(item.path).read_bytes()


def check_folder(path: str | Path) -> tuple[str, ...]:
    """Looks whether a folder can be a data set: its class folders, and one image file in each. Fast: reads no image.

    Args:
        path: The folder.

    Returns:
        The class names, in index order.

    Raises:
        UsageError: See `class_folders`; or a class without image files.
    """
    root = Path(path).expanduser()
    folders = class_folders(root)
    labels = label_names(folders)
    filled = {folder.label_name for folder in folders if next(_image_files(folder.path), None)}
    _refuse_empty_classes(root, labels, filled)
    return labels


def class_folders(root: Path) -> list[ClassFolder]:
    """Finds the class folders below a folder, and the splits they belong to.

    Raises:
        UsageError: The folder is missing, no folder, unreadable, empty, without class folders, with one class only, or
            with classes that differ only in case; two folders claim the same split.
    """
    splits = _split_folders(root)
    if not splits:
        splits = {"": root}
    found = [
        ClassFolder(split, printable(path.name), path)
        for split, folder in splits.items()
        for path in _subfolders(folder)
    ]
    _refuse_bad_classes(root, splits, label_names(found))
    return found


def label_names(folders: Sequence[ClassFolder]) -> tuple[str, ...]:
    """The names of the classes in index order, which is the order of their code points."""
    return tuple(sorted({folder.label_name for folder in folders}))


def printable(name: str) -> str:
    """A file name as Unicode text: composed (NFC), with a mark in place of bytes that are not UTF-8."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _split_folders(root: Path) -> dict[str, Path]:
    """Split name -> folder where the folder is laid out by splits, nothing where it holds class folders itself."""
    folders = _subfolders(root)
    named = [path for path in folders if path.name.casefold() in SPLIT_FOLDERS]
    train = [path for path in named if SPLIT_FOLDERS[path.name.casefold()] == TRAIN]
    if not train or not _subfolders(train[0]):  # a class may well be called "train"
        return {}
    splits: dict[str, Path] = {}
    for path in named:
        split = SPLIT_FOLDERS[path.name.casefold()]
        if split in splits:
            raise UsageError(f"{root} holds both {splits[split].name}/ and {path.name}/: keep one {split} folder.")
        splits[split] = path
    if passed_over := [path.name for path in folders if path not in named]:
        logging.warning("%s is laid out by splits; passed over: %s", root, ", ".join(passed_over))
    if VALIDATION in splits and TEST not in splits:
        splits[TEST] = splits.pop(VALIDATION)
    # An empty name says that the splits that are missing are cut from here.
    return {"" if split == TRAIN and len(splits) < 3 else split: path for split, path in splits.items()}


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX"))
        )
    except FileNotFoundError as error:
        raise UsageError(f"The data folder {folder} does not exist: check the path after folder:.") from error
    except NotADirectoryError as error:
        raise UsageError(f"{folder} is a file: give the folder that holds one folder of images per class.") from error
    except OSError as error:
        raise UsageError(
            f"The data folder {folder} cannot be read: {error.strerror}; change its permissions."
        ) from error


def _image_files(folder: Path) -> Iterator[str]:
    """Files with an image's extension below a folder, in a fixed order."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"The data folder {error.filename} cannot be read: {error.strerror}; change its permissions."
        ) from error

    for path, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_EXTENSIONS:
                yield f"{path}/{name}"


def _refuse_bad_classes(root: Path, splits: dict[str, Path], labels: Sequence[str]) -> None:
    layout = "one folder of images per class, at least two"
    if not labels:
        what = "is empty" if not any(root.iterdir()) else "holds no class folders"
        raise UsageError(f"The data folder {root} {what}: put into it {layout}.")
    if len(labels) == 1:
        raise UsageError(f"The data folder {root} holds one class only, {labels[0]!r}: a classifier needs {layout}.")
    seen: dict[str, str] = {}
    for label in labels:
        if not label.isprintable():
            raise UsageError(f"The class folder {label!r} in {root} has a control character in its name: rename it.")
        twin = seen.setdefault(label.casefold(), label)
        if twin != label:
            where = " and ".join(str(folder) for folder in splits.values())
            raise UsageError(
                f"The classes {twin!r} and {label!r} in {where} differ only in case: rename or merge them."
            )


def _refuse_empty_classes(root: Path, labels: Sequence[str], filled: set[str]) -> None:
    if empty := [label for label in labels if label not in filled]:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        names = ", ".join(repr(label) for label in empty[:3]) + more
        raise UsageError(
            f"No image files (.png, .jpg, ...) in class folder {names} of {root}: add some or remove the folder."
        )
