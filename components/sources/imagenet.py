"""ImageNet's two archives, which every user fetches with an account of their own. Standard library only.

ILSVRC2012_img_train.tar    a tar of 1,000 tars, one per class: n01440764.tar, ...
ILSVRC2012_img_val.tar      50,000 files: ILSVRC2012_val_00000001.JPEG, ...
"""

import os
import shutil
import tarfile
from pathlib import Path

from components.errors import UsageError

ALIAS = "imagenet2012"  # what a command line may say for DATA
DATA = f"tfds:{ALIAS}"
TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VALIDATION_ARCHIVE = "ILSVRC2012_img_val.tar"
_SOURCE = "both come from https://image-net.org/download-images, after signing in with an account"


def is_imagenet(data: str) -> bool:
    """Whether data is TFDS' imagenet2012, of any version."""
    return data == DATA or data.startswith(f"{DATA}:")


def prepared_bytes(data: str, data_dir: str | None) -> int:
    """Size of the prepared data set in bytes, 0 where it is not prepared.

    Args:
        data: Something that `is_imagenet`.
        data_dir: Where TFDS data sets are prepared; none means TFDS' own default.
    """
    version = data.removeprefix(DATA).removeprefix(":") or "*"
    prepared = list(_tfds_folder(data_dir).glob(f"{ALIAS}/{version}/dataset_info.json"))
    return max((_bytes_of(info.parent) for info in prepared), default=0)


def check_space(archives: tuple[Path, Path], data_dir: str | None) -> None:
    """Refuses a disk on which preparing cannot end: TFDS sorts a copy of the images into another one.

    Raises:
        UsageError: There is not twice the size of the archives free.
    """
    folder = _tfds_folder(data_dir).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    needed, free = 2 * sum(path.stat().st_size for path in archives), shutil.disk_usage(existing).free
    if free < needed:
        raise UsageError(
            f"The disk of {folder} has {free // 2**30} GiB free, but preparing ImageNet needs {-(-needed // 2**30)} "
            "GiB: free some room or give a folder on another disk as --data-dir."
        )


def find_archives(data_dir: str | None, manual_dir: str | None) -> tuple[Path, Path]:
    """The archives of the training and the validation images.

    Args:
        data_dir: Where TFDS data sets are prepared; none means TFDS' own default.
        manual_dir: Where the archives are; none means <data_dir>/downloads/manual, as TFDS has it.

    Raises:
        UsageError: One is missing, or is no file that can be read.
    """
    folder = Path(manual_dir) if manual_dir else _tfds_folder(data_dir) / "downloads" / "manual"
    archives = folder / TRAIN_ARCHIVE, folder / VALIDATION_ARCHIVE
    if missing := [path.name for path in archives if not path.is_file()]:
        raise UsageError(
            f"ImageNet is not prepared in {_tfds_folder(data_dir)}, and {folder} lacks {' and '.join(missing)}: give "
            f"the folder that holds {TRAIN_ARCHIVE} and {VALIDATION_ARCHIVE} as --manual-dir; {_SOURCE}."
        )
    for path in archives:
        if not os.access(path, os.R_OK):
            raise UsageError(f"{path} cannot be read: change its permissions.")
    return archives


def check_archives(train: Path, validation: Path) -> None:
    """Reads the tables of contents: TFDS gives validation files their labels by position, whatever their names are.

    Raises:
        UsageError: An archive is damaged or is not laid out as the official one.
    """
    for name in _names(train):
        if not (name.startswith("n") and name.endswith(".tar")):
            raise UsageError(
                f"{train} is not the official archive: it holds {name} where class archives such as n01440764.tar "
                f"belong; {_SOURCE}."
            )
    expected = 0
    for expected, name in enumerate(sorted(_names(validation)), start=1):
        if name != f"ILSVRC2012_val_{expected:08d}.JPEG":
            raise UsageError(
                f"{validation} is not the official archive: it holds {name} where ILSVRC2012_val_{expected:08d}.JPEG "
                f"belongs, and labels are given by number; {_SOURCE}."
            )
    if not expected:
        raise UsageError(f"{validation} is empty: fetch it again; {_SOURCE}.")


def _names(archive: Path) -> list[str]:
    try:
        with tarfile.open(archive, "r:") as tar:
            return tar.getnames()
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"{archive} is damaged or no tar file ({error}): fetch it again; {_SOURCE}.") from error


def _tfds_folder(data_dir: str | None) -> Path:
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
