"""The bundled data set: scikit-learn's 1,797 handwritten digits as PNG files in class folders."""

import os
import shutil
import tempfile
from pathlib import Path

from components.errors import VisionTfxError


def write_digits(folder: Path) -> Path:
    """Writes the digits as `<folder>/<digit>/<number>.png` (8 x 8 pixels, grey, 0 to 255), unless the folder exists.

    The files are written to a temporary folder, which is renamed at the end: an existing folder is complete.

    Args:
        folder: Folder to create; its parent is created if missing.

    Returns:
        The folder.

    Raises:
        VisionTfxError: The folder cannot be written.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            complete = Path(scratch) / folder.name
            _write_all(complete)
            _rename(complete, folder)
    except OSError as error:
        raise VisionTfxError(
            f"cannot write the digits to {folder}: {error.strerror}; choose a writable folder with free space with "
            "--home"
        ) from error
    return folder


def _write_all(folder: Path) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Ink is 16 in levels from 0 to 16; it becomes 255, as in MNIST.
    levels = (digits.images * (255 / 16)).round().astype("uint8")
    for number, (pixels, digit) in enumerate(zip(levels, digits.target, strict=True)):
        path = folder / str(digit) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _rename(complete: Path, folder: Path) -> None:
    try:
        os.rename(complete, folder)  # noqa: PTH104 - atomic, unlike shutil.move
    except OSError:
        if not folder.is_dir():  # otherwise a simultaneous run wrote the same files first
            raise
        shutil.rmtree(complete)
