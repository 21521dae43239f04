"""Versions of a served model on disk: publish the next one, return to an older one. No TFX: the CLI calls this too."""

import shutil
import tempfile
import time
from pathlib import Path

from components.errors import UsageError, VisionTfxError


def push(model_folder: Path, destination: Path, now: float | None = None) -> int:
    """Copies a SavedModel to `<destination>/<version>/`, so that a watching server never sees half of it.

    The copy is made aside under a name that no server takes for a version, then renamed. The version is the second
    of the push, or one above the newest version where that is larger: two pushes in one second are two versions.

    Args:
        model_folder: the SavedModel.
        destination: base path of the served model.
        now: seconds since 1970; default, the clock.

    Returns:
        The version.

    Raises:
        VisionTfxError: if the folder cannot be written.
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix="incoming-", dir=destination))
    except OSError as error:
        raise VisionTfxError(
            f"Cannot push to {destination}: {error.strerror}; free space or choose another --home."
        ) from error
    try:
        shutil.copytree(model_folder, aside / "model")
        return _publish(aside / "model", destination, int(time.time() if now is None else now))
    except OSError as error:
        raise VisionTfxError(
            f"Cannot push to {destination}: {error.strerror}; free space or choose another --home."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _publish(folder: Path, destination: Path, version: int) -> int:
    version = max([version, *(number + 1 for number in versions(destination))])
    while True:
        try:
            # Renaming onto a folder that another push has just made fails: the next number is tried.
            folder.rename(destination / str(version))
        except OSError:
            if not (destination / str(version)).exists():
                raise
            version += 1
        else:
            return version


def versions(model_folder: Path) -> list[int]:
    """Versions that can be served, ascending."""
    if not model_folder.is_dir():
        return []
    found = (path for path in model_folder.iterdir() if path.name.isdecimal() and (path / "saved_model.pb").is_file())
    return sorted(int(path.name) for path in found)


def rollback(model_folder: Path, to: int | None = None) -> tuple[int, int]:
    """Republishes an older version under a new highest number, so that every server switches to it.

    Args:
        model_folder: `<serving>/<model>`.
        to: the version to return to; default, the one before the newest.

    Returns:
        The version returned to, and the number it has now.

    Raises:
        UsageError: if there is no such version.
    """
    known = versions(model_folder)
    if not known:
        raise UsageError(
            f"There is no pushed model in {model_folder}: run the pipeline first, or check --home and the name."
        )
    if to is None and len(known) < 2:
        raise UsageError(f"{model_folder} has one version only, {known[0]}: there is nothing to roll back to.")
    version = known[-2] if to is None else to
    if version not in known:
        listed = ", ".join(map(str, known))
        raise UsageError(f"{model_folder} has no version {version}: choose one of {listed} with --to.")
    return version, push(model_folder / str(version), model_folder)
