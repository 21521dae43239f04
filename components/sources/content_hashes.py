"""SHA-256 of files, remembered: an unchanged million files are not read again."""

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

_BATCH = 1024  # files hashed between two commits: so much work at most is lost by an interruption
_SETTLED_NS = 2_000_000_000  # a file changed within the last 2 s may change again without its time telling


class Content(NamedTuple):
    """What a file holds: its SHA-256 (32 bytes) and its length in bytes."""

    sha256: bytes
    size: int


class ContentHashes:
    """Remembers the SHA-256 of files by path, size, time of change (ns) and inode, in a small sqlite file.

    Args:
        path: The sqlite file; it and its folder are made when missing.
    """

    def __init__(self, path: Path):
        self._path = path

    def of(self, files: Iterable[str]) -> Iterator[Content]:
        """The contents of the files, in their order; only new and changed ones are read.

        Raises:
            UsageError: A file cannot be read, or the memory cannot be written.
        """
        remaining = iter(files)
        with contextlib.closing(self._open()) as memory, ThreadPoolExecutor() as pool:
            while batch := list(islice(remaining, _BATCH)):
                yield from _hash_batch(memory, pool, batch)

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            memory = sqlite3.connect(self._path, timeout=60)  # seconds; another run may be writing
            memory.execute(
                "CREATE TABLE IF NOT EXISTS files"
                " (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB)"
            )
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"Cannot write {self._path} ({error}): give a --home that is writable and on a disk with room."
            ) from error
        return memory


class _State(NamedTuple):
    """What tells that a file is still the one that was hashed."""

    path: bytes
    size: int
    mtime_ns: int
    inode: int


def _hash_batch(memory: sqlite3.Connection, pool: ThreadPoolExecutor, batch: Sequence[str]) -> list[Content]:
    states = [_state(path) for path in batch]
    hashes = [_recall(memory, state) for state in states]
    unknown = [index for index, known in enumerate(hashes) if known is None]
    settled = time.time_ns() - _SETTLED_NS
    for index, sha256 in zip(unknown, pool.map(_sha256, [batch[index] for index in unknown]), strict=True):
        hashes[index] = sha256
        if states[index].mtime_ns < settled:
            memory.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (*states[index], sha256))
    memory.commit()
    return [Content(sha256, state.size) for sha256, state in zip(hashes, states, strict=True)]


def _state(path: str) -> _State:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    # An inode may have 64 unsigned bits; sqlite has 63.
    return _State(os.fsencode(Path(path).absolute()), status.st_size, status.st_mtime_ns, status.st_ino & (2**63 - 1))


def _recall(memory: sqlite3.Connection, state: _State) -> bytes | None:
    row = memory.execute(
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
    return UsageError(f"Cannot read {path}: {error.strerror}; make it readable or take it out of the data.")
