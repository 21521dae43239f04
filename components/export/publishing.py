"""Versions of a served model on disk: publish the next version, roll back to an older one.

Free of TFX and TensorFlow, because the command line imports it too.
"""

import shutil
import tempfile
import time
from pathlib import Path

from components.errors import UsageError, VisionTfxError


def push(model_folder: Path, destination: Path, now: float | None = None) -> int:
    """Copies a SavedModel to `<destination>/<version>/`, so that a polling server never sees a partial version.

    The copy is made under a name that no server accepts as a version, then renamed. The version is the time of the push
    in seconds, or one above the newest version if that is larger: two pushes in one second are two versions.

    Args:
        model_folder: Folder of the SavedModel.
        destination: Base path of the served model.
        now: Time in seconds since 1970; default, the clock.

    Returns:
        The version.

    Raises:
        VisionTfxError: The folder cannot be written.

    Example:
        >>> Path("model").mkdir()
        >>> Path("model", "saved_model.pb").touch()
        >>> [push(Path("model"), Path("serving", "digits"), now=100.0) for _ in range(2)]
        [100, 101]
        >>> versions(Path("serving", "digits"))
        [100, 101]
        >>> rollback(Path("serving", "digits"))[0]
        100
    """
    try:
        destination.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix="incoming-", dir=destination))
    except OSError as error:
        raise _not_writable(destination, error) from error
    try:
        shutil.copytree(model_folder, aside / "model")
        return _publish(aside / "model", destination, int(time.time() if now is None else now))
    except OSError as error:
        raise _not_writable(destination, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _not_writable(destination: Path, error: OSError) -> VisionTfxError:
    return VisionTfxError(f"cannot push to {destination}: {error.strerror}; free space or choose another --home")


def _publish(folder: Path, destination: Path, version: int) -> int:
    version = max([version, *(number + 1 for number in versions(destination))])
    while True:
        try:
            # Renaming onto a folder that a concurrent push has just made fails, so the next number is tried.
            folder.rename(destination / str(version))
        except OSError:
            if not (destination / str(version)).exists():
                raise
            version += 1
        else:
            return version


def versions(model_folder: Path) -> list[int]:
    """Returns the versions that can be served, ascending.

    Args:
        model_folder: `<serving>/<model>`; a folder that does not exist has no versions.
    """
    if not model_folder.is_dir():
        return []
    found = (path for path in model_folder.iterdir() if path.name.isdecimal() and (path / "saved_model.pb").is_file())
    return sorted(int(path.name) for path in found)


def rollback(model_folder: Path, to: int | None = None) -> tuple[int, int]:
    """Republishes an older version under a new highest number, so that every server switches to it.

    Args:
        model_folder: `<serving>/<model>`.
        to: Version to return to; default, the version before the newest.

    Returns:
        The version returned to, and its new number.

    Raises:
        UsageError: The version does not exist.
    """
    known = versions(model_folder)
    if not known:
        raise UsageError(
            f"{model_folder} has no pushed model; run the pipeline first, or check --home and the name of the model"
        )
    if to is None and len(known) < 2:
        raise UsageError(f"{model_folder} has only version {known[0]}; push another before rolling back")
    version = known[-2] if to is None else to
    if version not in known:
        listed = ", ".join(map(str, known))
        raise UsageError(f"{model_folder} has no version {version}; choose one of {listed} with --to")
    return version, push(model_folder / str(version), model_folder)
