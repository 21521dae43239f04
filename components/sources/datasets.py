"""Lookup of a data set by its name. Light: the heavy sources are imported only if a name requires them."""

from pathlib import Path

from components.errors import UsageError
from components.sources.class_names import class_names
from components.sources.folder import FolderSource, check_folder
from components.sources.source import Source

__all__ = ["check_folder", "open_source"]


def open_source(
    data: str,
    data_dir: str | None,
    cache_dir: Path,
    manual_dir: str | None = None,
    wordnet_dir: str | None = None,
) -> Source:
    """Opens a data set by its name.

    Args:
        data: "digits" (scikit-learn's 1,797 handwritten digits), "folder:PATH" (class folders, see
            `components.sources.folder`) or "tfds:NAME[/CONFIG][:VERSION]" (TensorFlow Datasets).
        data_dir: Folder of prepared TFDS data sets; None means TFDS' own default, ~/tensorflow_datasets.
        cache_dir: Folder for the PNG files of the digits, written once.
        manual_dir: Folder of archives that TFDS cannot download; None means TFDS' own default.
        wordnet_dir: Folder of WordNet 3.0, for words and kinds of classes named by synset; None means neither.

    Raises:
        UsageError: The name is unknown, or the data set does not exist or is not an image classification data set.
        VisionTfxError: A download failed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source = open_source("digits", None, Path(folder))
        ...     source.labels, len(source.files())
        (('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'), 1797)
    """
    source = _opened(data, data_dir, cache_dir, manual_dir)
    folder = source.root if isinstance(source, FolderSource) else None
    source.labels, source.kinds = class_names(source, folder, wordnet_dir)
    return source


def _opened(data: str, data_dir: str | None, cache_dir: Path, manual_dir: str | None) -> Source:
    kind, _, rest = data.partition(":")
    if data == "digits":
        from components.sources.digits import write_digits  # scikit-learn: 3 s

        return FolderSource(write_digits(cache_dir / "digits"), name="digits")
    if kind == "folder" and rest:
        return FolderSource(Path(rest).expanduser(), name=data)
    if kind == "tfds" and rest:
        from components.sources.tfds import TfdsSource  # TensorFlow: 12 s

        return TfdsSource(rest, data_dir, manual_dir)
    raise UsageError(f"unknown data set {data!r}; use digits, folder:PATH or tfds:NAME")
