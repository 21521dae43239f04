"""Cache of the SHA-256 of files, so that a million unchanged files are not read again."""

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from components.errors import UsageError

_BATCH = 1024  # files hashed between two commits; an interruption loses at most their hashes
_SETTLED_NS = 2_000_000_000  # a file modified within the last 2 s may change again without a new modification time


class Content(NamedTuple):
    """Content of a file: its SHA-256 (32 bytes) and its length in bytes."""

    sha256: bytes
    size: int


class ContentHashes:
    """SHA-256 of files, cached in an SQLite file by path, size, modification time (ns) and inode.

    Args:
        path: The SQLite file; the file and its folder are created if missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = Path(folder, "1.png")
        ...     _ = image.write_bytes(b"1234")
        ...     next(ContentHashes(Path(folder, "cache", "hashes.sqlite")).of([str(image)])).size
        4
    """

    def __init__(self, path: Path):
        self._path = path

    def of(self, files: Iterable[str]) -> Iterator[Content]:
        """Yields the content of each file, in order; reads only new and changed files.

        Args:
            files: Paths of the files.

        Raises:
            UsageError: A file cannot be read, or the cache cannot be written.
        """
        remaining = iter(files)
        with contextlib.closing(self._open()) as cache, ThreadPoolExecutor() as pool:
            while batch := list(islice(remaining, _BATCH)):
                yield from _hash_batch(cache, pool, batch)

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            cache = sqlite3.connect(self._path, timeout=60)  # seconds; another run may be writing
            cache.execute(
                "CREATE TABLE IF NOT EXISTS files"
                " (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB)"
            )
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"cannot write {self._path}: {error}; choose a writable folder with free space with --home"
            ) from error
        return cache


class _State(NamedTuple):
    """Attributes of a file that change when it is modified or replaced."""

    path: bytes
    size: int
    mtime_ns: int
    inode: int


def _hash_batch(cache: sqlite3.Connection, pool: ThreadPoolExecutor, batch: Sequence[str]) -> list[Content]:
    states = [_state(path) for path in batch]
    cached = [_look_up(cache, state) for state in states]
    missing = [index for index, sha256 in enumerate(cached) if sha256 is None]
    settled = time.time_ns() - _SETTLED_NS
    hashed = dict(zip(missing, pool.map(_sha256, [batch[index] for index in missing]), strict=True))
    for index, sha256 in hashed.items():
        if states[index].mtime_ns < settled:
            cache.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (*states[index], sha256))
    cache.commit()
    hashes = [hashed[index] if sha256 is None else sha256 for index, sha256 in enumerate(cached)]
    return [Content(sha256, state.size) for sha256, state in zip(hashes, states, strict=True)]


def _state(path: str) -> _State:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    # An inode may have 64 unsigned bits; SQLite's integers have 63 and a sign.
    return _State(os.fsencode(Path(path).absolute()), status.st_size, status.st_mtime_ns, status.st_ino & (2**63 - 1))


def _look_up(cache: sqlite3.Connection, state: _State) -> bytes | None:
    row = cache.execute(
        "SELECT sha256 FROM files WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?", state
    ).fetchone()
    return row[0] if row else None


def _sha256(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> UsageError:
    return UsageError(f"cannot read {path}: {error.strerror}; make it readable or remove it from the data set")
