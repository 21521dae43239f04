"""Source for a folder of class folders. Standard library only: the command line checks the folder before a run.

    flowers/rose/1.jpg, flowers/tulip/2.jpg              the splits are cut
    flowers/train/rose/1.jpg, flowers/val/rose/2.jpg     split folders: train, val (or validation), test

A `val/` without a `test/` is the test split, as in ImageNet, and the validation split is cut from train. Class folders
are searched to any depth. Names that begin with a dot and files without the extension of an image are ignored. Class
names are compared and written in Unicode's composed form (NFC), so that a copy from macOS has the same classes.
"""

import logging
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from components.errors import UsageError
from components.features import TRAIN
from components.sources.content_hashes import ContentHashes
from components.sources.source import Item, Source
from components.sources.split_names import SPLIT_NAMES, complete_splits

IMAGE_EXTENSIONS = frozenset(
    [".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"]
    + [f".p{kind}m" for kind in "pgbn"]
)


class ClassFolder(NamedTuple):
    """Folder of images of one class.

    Args:
        split: "train", "validation" or "test"; "" if the split of its images is still to be cut.
        label_name: Name of the class.
        path: The folder.
    """

    split: str
    label_name: str
    path: Path


class FolderSource(Source):
    """Source for the images in class folders.

    Args:
        root: Folder of the class folders, or of split folders that contain class folders.
        name: Name of the data set in messages.

    Raises:
        UsageError: See `check_folder`.
    """

    def __init__(self, root: Path, name: str):
        self.name = name
        self.root = root
        folders = class_folders(root)
        self.labels = label_names(folders)
        self._index = {label: number for number, label in enumerate(self.labels)}
        # Strings, because a million Path objects would take 600 MB.
        self._files = [(folder, path) for folder in folders for path in _image_files(folder.path)]
        _refuse_empty_classes(root, self.labels, {folder.label_name for folder, _ in self._files})

    def files(self) -> Sequence[tuple[str, str]]:
        """Returns all image files, sorted by split, class and name."""
        return [(self._name_of(path), path) for _, path in self._files]

    def items(self, hashes: ContentHashes) -> list[Item]:
        """Lists all images; see `Source.items`."""
        found = hashes.of(path for _, path in self._files)
        return [
            Item(
                self._name_of(path), self._index[folder.label_name], folder.split, content.sha256, content.size, path, 0
            )
            for (folder, path), content in zip(self._files, found, strict=True)
        ]

    @property
    def reader(self) -> Callable[[Item], bytes]:
        """`read_file`."""
        return read_file

    def _name_of(self, path: str) -> str:
        return printable(path[len(str(self.root)) :].lstrip("/"))


def read_file(item: Item) -> bytes:
    """Returns the content of an image file.

    Raises:
        OSError: The file cannot be read.
    """
    return Path(item.path).read_bytes()


def check_folder(path: str | Path) -> tuple[str, ...]:
    """Checks that a folder is a data set: finds its class folders and one image file in each, but reads no image.

    Args:
        path: Folder of the class folders, or of split folders that contain class folders.

    Returns:
        The class names in index order.

    Raises:
        UsageError: See `class_folders`; or a class has no image file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("tulip/1.jpg", "rose/2.jpg"):
        ...         file = Path(folder, name)
        ...         file.parent.mkdir()
        ...         file.touch()
        ...     check_folder(folder)
        ('rose', 'tulip')
    """
    root = Path(path).expanduser()
    folders = class_folders(root)
    labels = label_names(folders)
    filled = {folder.label_name for folder in folders if next(_image_files(folder.path), None)}
    _refuse_empty_classes(root, labels, filled)
    return labels


def class_folders(root: Path) -> list[ClassFolder]:
    """Finds the class folders below a folder and the splits that they belong to.

    Args:
        root: Folder of the class folders, or of split folders that contain class folders.

    Raises:
        UsageError: The folder does not exist, is a file, is unreadable, is empty, has no class folders, has only one
            class, has classes that differ only in case, has a class with a control character in its name, or has two
            folders for one split.
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
    """Returns the names of the classes in index order, which is the order of their code points."""
    return tuple(sorted({folder.label_name for folder in folders}))


def printable(name: str) -> str:
    """Returns a file name as composed Unicode (NFC), with U+FFFD in place of bytes that are not UTF-8."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _split_folders(root: Path) -> dict[str, Path]:
    """Maps splits (see `complete_splits`) to their folders; empty if the root contains class folders itself."""
    folders = _subfolders(root)
    named = {path: SPLIT_NAMES[path.name.casefold()] for path in folders if path.name.casefold() in SPLIT_NAMES}
    train = [path for path, split in named.items() if split == TRAIN]
    if not train or not _subfolders(train[0]):  # a class may be called "train"
        return {}
    seen: dict[str, Path] = {}
    for path, split in named.items():
        twin = seen.setdefault(split, path)
        if twin != path:
            raise UsageError(f"{root} contains both {twin.name}/ and {path.name}/; keep one {split} folder")
    if ignored := [path.name for path in folders if path not in named]:
        logging.warning("%s contains split folders; ignored: %s", root, ", ".join(ignored))
    return {split: path for path, split in complete_splits(named).items()}


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX"))
        )
    except FileNotFoundError as error:
        raise UsageError(f"the data folder {folder} does not exist; correct the path behind folder:") from error
    except NotADirectoryError as error:
        raise UsageError(f"{folder} is a file; use the folder that contains one folder of images per class") from error
    except OSError as error:
        raise UsageError(f"cannot read the data folder {folder}: {error.strerror}; change its permissions") from error


def _image_files(folder: Path) -> Iterator[str]:
    """Yields the files with the extension of an image below a folder, in a fixed order."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"cannot read the data folder {error.filename}: {error.strerror}; change its permissions"
        ) from error

    for path, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_EXTENSIONS:
                yield f"{path}/{name}"


def _refuse_bad_classes(root: Path, splits: dict[str, Path], labels: Sequence[str]) -> None:
    layout = "one folder of images per class, at least two"
    if not labels:
        state = "is empty" if not any(root.iterdir()) else "contains no class folders"
        raise UsageError(f"the data folder {root} {state}; put {layout}, into it")
    if len(labels) == 1:
        raise UsageError(f"the data folder {root} contains only one class, {labels[0]!r}; a classifier needs {layout}")
    seen: dict[str, str] = {}
    for label in labels:
        if not label.isprintable():
            raise UsageError(f"the class folder {label!r} in {root} has a control character in its name; rename it")
        twin = seen.setdefault(label.casefold(), label)
        if twin != label:
            where = " and ".join(str(folder) for folder in splits.values())
            raise UsageError(f"the classes {twin!r} and {label!r} in {where} differ only in case; rename or merge them")


def _refuse_empty_classes(root: Path, labels: Sequence[str], filled: set[str]) -> None:
    if empty := [label for label in labels if label not in filled]:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        names = ", ".join(repr(label) for label in empty[:3]) + more
        raise UsageError(
            f"no image files (.png, .jpg, ...) in class folder {names} of {root}; add images or remove the folder"
        )
