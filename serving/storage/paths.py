"""Paths and URIs: local files are read directly, URIs through TensorFlow's file systems."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_uri(path: str) -> bool:
    """Returns whether a path names a file system.

    Example:
        >>> is_uri("gs://bucket/models"), is_uri("/models")
        (True, False)
    """
    return bool(SCHEME.match(path))


def exists(path: str) -> bool:
    """Returns whether a file or URI exists."""
    if not is_uri(path):
        return Path(path).exists()
    import tensorflow as tf

    return bool(tf.io.gfile.exists(path))


def read_bytes(path: str) -> bytes:
    """Returns the content of a file or URI.

    Raises:
        Exception: As the file system raises it: OSError, or an error of TensorFlow's.
    """
    if not is_uri(path):
        return Path(path).read_bytes()
    import tensorflow as tf

    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def lies_in(path: str, roots: Sequence[str]) -> bool:
    """Returns whether a path, with its links followed, lies in one of some folders or URIs.

    Args:
        path: A path or URI.
        roots: Folders or URIs; without any, every path is allowed.

    Example:
        >>> roots = ["gs://bucket/models"]
        >>> lies_in("gs://bucket/models/m", roots), lies_in("gs://bucket/models2", roots)
        (True, False)
    """
    if not roots:
        return True
    if ".." in re.split(r"[/\\]", path) and is_uri(path):
        return False
    return any(_resolved(path).startswith(_resolved(root)) for root in roots)


def _resolved(path: str) -> str:
    if is_uri(path):
        return path.rstrip("/") + "/"
    return os.path.join(os.path.realpath(path), "")  # noqa: PTH118
