"""Interface of a data set to the pipeline: a list of images, each with its label, its split and the place of its bytes.

A source lists images and holds none. An `Item` names the file and the offset of the encoded bytes, so that a list of a
million images takes a few hundred megabytes, and any worker can read any image.
"""

import abc
import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from components.sources.content_hashes import ContentHashes


class Item(NamedTuple):
    """Entry for one image of a source.

    Args:
        name: Path below the data folder, or TFDS id.
        label: Index into the source's labels; a TFDS record may hold an index that is out of range.
        split: "train", "validation" or "test"; "" for an image whose split is still to be cut.
        sha256: SHA-256 of the encoded bytes, 32 bytes.
        size: Length of the encoded image in bytes.
        path: File that holds the image.
        offset: Offset of the image's record in a file of many, in bytes; 0 in a file of one image.
    """

    name: str
    label: int
    split: str
    sha256: bytes
    size: int
    path: str
    offset: int


class Source(abc.ABC):
    """Data set that was found and can be listed.

    Attributes:
        name: Name in messages, such as "folder:flowers".
        labels: Names of the classes in index order.
        kinds: Kind of each class in index order, such as "dog"; empty if unknown.
    """

    name: str
    labels: tuple[str, ...]
    kinds: tuple[str, ...] = ()

    @abc.abstractmethod
    def files(self) -> Sequence[tuple[str, str]]:
        """Returns the files that determine all examples, as (name within the data set, path) in a fixed order."""

    @abc.abstractmethod
    def items(self, hashes: ContentHashes) -> list[Item]:
        """Lists all images in a fixed order.

        Args:
            hashes: Cache of the content hashes of files.

        Raises:
            UsageError: A file cannot be read, or is damaged.
        """

    @property
    @abc.abstractmethod
    def reader(self) -> Callable[[Item], bytes]:
        """Function that returns the encoded bytes of an image; small when pickled, because workers receive it.

        It raises OSError if the file cannot be read any more.
        """

    def fingerprint(self, hashes: ContentHashes) -> str:
        """Returns a hexadecimal digest of labels, kinds, file names and file contents, independent of the location.

        Args:
            hashes: Cache of the content hashes of files.
        """
        digest = hashlib.sha256("\n".join((*self.labels, *self.kinds)).encode())
        names, paths = zip(*self.files(), strict=True)
        for name, content in zip(names, hashes.of(paths), strict=True):
            digest.update(name.encode() + b"\0" + content.sha256)
        return digest.hexdigest()
