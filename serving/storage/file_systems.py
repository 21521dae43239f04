"""Storage of a model's versions: a local folder, a URI of TensorFlow's file systems, or one of fsspec's."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from serving.errors import invalid
from serving.storage.paths import SCHEME

_MAX_VERSION = 2**63 - 1

Stamps = Mapping[str, tuple[int, Hashable]]


@dataclass(frozen=True)
class Files:
    """Files of a folder at one moment.

    Args:
        stamps: Size in bytes and time of the last change of each file, by path within the folder, with "/".
        age: Seconds since the last change; None if the storage does not report it.

    Example:
        >>> Files({"saved_model.pb": (4, 0)}).sizes
        {'saved_model.pb': 4}
    """

    stamps: Stamps
    age: float | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes in bytes by path."""
        return {name: size for name, (size, _) in self.stamps.items()}


class Storage(Protocol):
    """Storage below one base path.

    The methods raise FileNotFoundError if the base path or a folder is missing; other errors are OSErrors or the
    storage's own.
    """

    def folders(self) -> list[str]:
        """Returns the names of the folders below the base path."""

    def path(self, folder: str) -> str:
        """Returns the path or URI of a folder."""

    def files(self, folder: str) -> Files:
        """Returns all files of a folder."""

    def read(self, folder: str, file: str) -> bytes:
        """Returns the content of a file."""

    def fetch(self, folder: str) -> str:
        """Returns a path of a folder that TensorFlow can read: the folder itself, or a local copy."""

    def discard(self, fetched: str) -> None:
        """Deletes the copy that `fetch` made, if it made one."""


def open_storage(base_path: str) -> Storage:
    """Returns the storage of a base path.

    Raises:
        ServingError: INVALID_ARGUMENT: Neither TensorFlow nor fsspec can read the scheme.
    """
    scheme = SCHEME.match(base_path)
    if scheme is None:
        return _Local(base_path)
    if scheme[1].lower() == "file":
        return _Local(unquote(base_path[scheme.end() :]))
    import tensorflow as tf  # takes 5 to 12 s, unless the server has imported it

    if scheme[1].lower() in tf.io.gfile.get_registered_schemes():
        return _TensorFlow(base_path, tf)
    return _Fsspec(base_path)


def find_versions(storage: Storage) -> dict[int, str]:
    """Returns the folders below a base path whose name is a whole number, such as "17" or "00017", by number.

    If several names mean the same number, the one without leading zeros wins, or else the first by name.

    Raises:
        FileNotFoundError: The base path does not exist.
    """
    found: dict[int, str] = {}
    for name in sorted(storage.folders()):
        if re.fullmatch("[0-9]{1,100}", name, re.ASCII) and (version := int(name)) <= _MAX_VERSION:
            found[version] = name if str(version) == name else found.get(version, name)
    return found


class _Local:
    def __init__(self, base: str) -> None:
        self._base = base

    def folders(self) -> list[str]:
        with os.scandir(self._base) as entries:
            return [entry.name for entry in entries if entry.is_dir()]

    def path(self, folder: str) -> str:
        return os.path.join(self._base, folder)  # noqa: PTH118

    def files(self, folder: str) -> Files:
        root = self.path(folder)
        stamps, newest = {}, os.stat(root).st_ctime  # noqa: PTH116
        for parent, _, names in os.walk(root, followlinks=True):
            for name in names:
                path = os.path.join(parent, name)  # noqa: PTH118
                try:
                    status = os.stat(path)  # noqa: PTH116
                except FileNotFoundError:  # removed at this moment, or a dangling link
                    continue
                # A copy may keep the original's modification time, but not its change time.
                newest = max(newest, status.st_ctime)
                stamps[os.path.relpath(path, root).replace(os.sep, "/")] = (status.st_size, status.st_mtime_ns)
        return Files(stamps, time.time() - newest)

    def read(self, folder: str, file: str) -> bytes:
        return Path(self.path(folder), file).read_bytes()

    def fetch(self, folder: str) -> str:
        return self.path(folder)

    def discard(self, fetched: str) -> None:
        pass


class _TensorFlow:
    def __init__(self, base: str, tf: Any) -> None:
        self._base, self._tf, self._gfile = base.rstrip("/"), tf, tf.io.gfile

    def folders(self) -> list[str]:
        try:
            names = [name.rstrip("/") for name in self._gfile.listdir(self._base)]
        except self._tf.errors.NotFoundError as error:
            raise FileNotFoundError(error.message) from error
        return [name for name in names if name.isdecimal() and self._gfile.isdir(self.path(name))]

    def path(self, folder: str) -> str:
        return f"{self._base}/{folder}"

    def files(self, folder: str) -> Files:
        root = self.path(folder)
        stamps: dict[str, tuple[int, Hashable]] = {}
        for parent, _, names in self._gfile.walk(root):
            for name in names:
                path = f"{parent.rstrip('/')}/{name}"
                status = self._gfile.stat(path)
                stamps[path[len(root) + 1 :]] = (status.length, status.mtime_nsec)
        return Files(stamps)

    def read(self, folder: str, file: str) -> bytes:
        with self._gfile.GFile(f"{self.path(folder)}/{file}", "rb") as stream:
            return stream.read()

    def fetch(self, folder: str) -> str:
        return self.path(folder)

    def discard(self, fetched: str) -> None:
        pass


class _Fsspec:
    def __init__(self, base: str) -> None:
        try:
            import fsspec

            self._system, root = fsspec.core.url_to_fs(base)
        except (ImportError, ValueError) as error:
            raise invalid(
                f"cannot read {base}: {error}; TensorFlow has no file system for it, so install fsspec and the "
                "package that fsspec names for this scheme (s3fs for s3, gcsfs for gs, adlfs for abfs)"
            ) from error
        self._base, self._root = base.rstrip("/"), root.rstrip("/")

    def folders(self) -> list[str]:
        self._system.invalidate_cache()
        found = self._system.ls(self._root, detail=True)
        return [entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "directory"]

    def path(self, folder: str) -> str:
        return f"{self._base}/{folder}"

    def files(self, folder: str) -> Files:
        self._system.invalidate_cache()
        root = f"{self._root}/{folder}"
        found = self._system.find(root, detail=True)
        stamps = {
            path[len(root) + 1 :]: (
                int(entry["size"]),
                str([entry.get(key) for key in ("mtime", "LastModified", "updated", "last_modified", "ETag", "etag")]),
            )
            for path, entry in found.items()
        }
        return Files(stamps)

    def read(self, folder: str, file: str) -> bytes:
        return self._system.cat_file(f"{self._root}/{folder}/{file}")

    def fetch(self, folder: str) -> str:
        copy = tempfile.mkdtemp(prefix="vision-tfx-serving-")
        try:
            for file in self.files(folder).stamps:
                target = Path(copy, file)
                if not target.resolve().is_relative_to(Path(copy).resolve()):
                    raise OSError(f"{self.path(folder)} has a file named {file!r}, which leads out of its folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._system.get_file(f"{self._root}/{folder}/{file}", str(target))
        except BaseException:
            self.discard(copy)
            raise
        return copy

    def discard(self, fetched: str) -> None:
        shutil.rmtree(fetched, ignore_errors=True)
