"""ImageNet's two archives, which users must download with an account of their own. Standard library only.

ILSVRC2012_img_train.tar    a tar file of 1,000 tar files, one per class: n01440764.tar, ...
ILSVRC2012_img_val.tar      a tar file of 50,000 images: ILSVRC2012_val_00000001.JPEG, ...
"""

import os
import shutil
import tarfile
from pathlib import Path

from components.errors import UsageError

ALIAS = "imagenet2012"  # short for DATA on the command line
DATA = f"tfds:{ALIAS}"
TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VALIDATION_ARCHIVE = "ILSVRC2012_img_val.tar"
_ORIGIN = "both come from https://image-net.org/download-images, after signing in with an account"


def is_imagenet(data: str) -> bool:
    """Returns whether the name of a data set is that of TFDS' imagenet2012, in any version."""
    return data == DATA or data.startswith(f"{DATA}:")


def prepared_bytes(data: str, data_dir: str | None) -> int:
    """Returns the size of the prepared data set in bytes, 0 if it is not prepared.

    Args:
        data: Name of the data set, one for which `is_imagenet` is true.
        data_dir: Folder of prepared TFDS data sets; None means TFDS' own default.
    """
    version = data.removeprefix(DATA).removeprefix(":") or "*"
    prepared = list(_tfds_folder(data_dir).glob(f"{ALIAS}/{version}/dataset_info.json"))
    return max((_bytes_of(info.parent) for info in prepared), default=0)


def check_space(archives: tuple[Path, Path], data_dir: str | None) -> None:
    """Checks that the disk has space for preparing ImageNet, for which TFDS writes all images twice.

    Args:
        archives: The two archives.
        data_dir: Folder of prepared TFDS data sets; None means TFDS' own default.

    Raises:
        UsageError: Less than twice the size of the archives is free.
    """
    folder = _tfds_folder(data_dir).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    needed, free = 2 * sum(path.stat().st_size for path in archives), shutil.disk_usage(existing).free
    if free < needed:
        raise UsageError(
            f"the disk of {folder} has {free // 2**30} GiB free, but preparing ImageNet needs {-(-needed // 2**30)} "
            "GiB; free some space, or choose a folder on another disk with --data-dir"
        )


def find_archives(data_dir: str | None, manual_dir: str | None) -> tuple[Path, Path]:
    """Returns the paths of the archives of the training and the validation images.

    Args:
        data_dir: Folder of prepared TFDS data sets; None means TFDS' own default.
        manual_dir: Folder of the archives; None means TFDS' own default, <data_dir>/downloads/manual.

    Raises:
        UsageError: An archive is missing, is not a file, or is unreadable.
    """
    folder = Path(manual_dir) if manual_dir else _tfds_folder(data_dir) / "downloads" / "manual"
    archives = folder / TRAIN_ARCHIVE, folder / VALIDATION_ARCHIVE
    if missing := [path.name for path in archives if not path.is_file()]:
        raise UsageError(
            f"ImageNet is not prepared in {_tfds_folder(data_dir)}, and {folder} lacks {' and '.join(missing)}; pass "
            f"the folder of {TRAIN_ARCHIVE} and {VALIDATION_ARCHIVE} as --manual-dir; {_ORIGIN}"
        )
    for path in archives:
        if not os.access(path, os.R_OK):
            raise UsageError(f"cannot read {path}: permission denied; make it readable")
    return archives


def check_archives(train: Path, validation: Path) -> None:
    """Compares the tables of contents with the official ones: TFDS labels validation files by position, not by name.

    Args:
        train: Archive of the training images.
        validation: Archive of the validation images.

    Raises:
        UsageError: An archive is damaged, or its contents differ from those of the official one.
    """
    for name in _names(train):
        if not (name.startswith("n") and name.endswith(".tar")):
            raise UsageError(
                f"{train} is not the official archive: it contains {name} where class archives such as n01440764.tar "
                f"belong; download it again; {_ORIGIN}"
            )
    expected = 0
    for expected, name in enumerate(sorted(_names(validation)), start=1):
        if name != f"ILSVRC2012_val_{expected:08d}.JPEG":
            raise UsageError(
                f"{validation} is not the official archive: it contains {name} in the place of "
                f"ILSVRC2012_val_{expected:08d}.JPEG, and labels are assigned by number; download it again; {_ORIGIN}"
            )
    if not expected:
        raise UsageError(f"{validation} is empty; download it again; {_ORIGIN}")


def _names(archive: Path) -> list[str]:
    try:
        with tarfile.open(archive, "r:") as tar:
            return tar.getnames()
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"{archive} is damaged or not a tar file ({error}); download it again; {_ORIGIN}") from error


def _tfds_folder(data_dir: str | None) -> Path:
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
