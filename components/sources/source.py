"""What a data set is to the stations: a list of images, each with its label, its split and the place of its bytes.

A source lists; it does not hold. An `Item` says in which file and where in it the encoded bytes are, so that a list of
a million images is a few hundred megabytes and any worker can read any image by itself.
"""

import abc
import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from components.sources.content_hashes import ContentHashes


class Item(NamedTuple):
    """One image of a source.

    Args:
        name: Its path below the data folder, or its TFDS id.
        label: Index into the source's labels; a TFDS record may hold one that is out of range.
        split: "train", "validation" or "test" where the source says so; "" where it is still to be cut.
        sha256: Of the encoded bytes, 32 bytes.
        size: Length of the encoded file in bytes.
        path: The file that holds it.
        offset: Where its record begins in a file of many, in bytes; 0 in a file of its own.
    """

    name: str
    label: int
    split: str
    sha256: bytes
    size: int
    path: str
    offset: int


class Source(abc.ABC):
    """A data set that was found and can be listed.

    Args:
        name: What it is called in messages, as in "folder:flowers".
        labels: Names of the classes, in index order.
        kinds: What each class is a kind of, in index order, such as "dog"; empty where that is not known.
    """

    name: str
    labels: tuple[str, ...]
    kinds: tuple[str, ...] = ()

    @abc.abstractmethod
    def files(self) -> Sequence[tuple[str, str]]:
        """The files whose content decides every example: (name within the data set, path), in a fixed order."""

    @abc.abstractmethod
    def items(self, hashes: ContentHashes) -> list[Item]:
        """All images, in a fixed order.

        Raises:
            UsageError: A file cannot be read, or is not what it was when the data set was prepared.
        """

    @property
    @abc.abstractmethod
    def reader(self) -> Callable[[Item], bytes]:
        """Gives the encoded bytes of an image; small when pickled, for it travels to the workers.

        It raises OSError when the file cannot be read any more.
        """

    def fingerprint(self, hashes: ContentHashes) -> str:
        """Digest of labels, kinds, file names and file contents (hexadecimal), the same wherever the data set lies."""
        digest = hashlib.sha256("\n".join((*self.labels, *self.kinds)).encode())
        names, paths = zip(*self.files(), strict=True)
        for name, content in zip(names, hashes.of(paths), strict=True):
            digest.update(name.encode() + b"\0" + content.sha256)
        return digest.hexdigest()
