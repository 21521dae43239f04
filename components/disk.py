"""Recognition of a full disk. Standard library only."""

import errno
import os
import shutil
from pathlib import Path

# Texts of strerror and of SQLite. Beam, TensorFlow and SQLAlchemy pass on only the text of the original error.
# TensorFlow's type says too little: ResourceExhaustedError stands for a full memory too.
_TEXTS = (os.strerror(errno.ENOSPC), "database or disk is full")
# A commit to ML Metadata, its pages and its journal, takes less than this.
_COMMIT_BYTES = 2**18


def is_full(error: BaseException) -> bool:
    """Returns whether an error reports a full disk, by its number or by the text that a library made of it.

    Args:
        error: Any error; its causes are not examined.

    Example:
        >>> is_full(OSError(28, "No space left on device"))
        True
        >>> is_full(RuntimeError("OSError: [Errno 28] No space left on device [while running 'Write']"))
        True
        >>> is_full(RuntimeError("ResourceExhausted: OOM when allocating tensor"))
        False
    """
    return getattr(error, "errno", None) == errno.ENOSPC or any(text in str(error) for text in _TEXTS)


def has_space(folder: Path) -> bool:
    """Returns whether the disk of a folder has space for a commit to ML Metadata, whose own error names no reason.

    Args:
        folder: An existing folder.
    """
    return shutil.disk_usage(folder).free >= _COMMIT_BYTES
