"""From the name of a data set to its source. Light: the heavy sources are imported when they are asked for."""

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
    """Finds a data set by its name.

    Args:
        data: "digits" (scikit-learn's 1,797 handwritten digits), "folder:PATH" (class folders, see
            `components.sources.folder`) or "tfds:NAME[/CONFIG][:VERSION]" (TensorFlow Datasets).
        data_dir: Where TFDS data sets are prepared; none means TFDS' own default, ~/tensorflow_datasets.
        cache_dir: Where the PNG files of the digits are written once.
        manual_dir: Where the archives are that TFDS does not download by itself; none means its default.
        wordnet_dir: Folder of WordNet 3.0, for words and kinds of classes named by synset; none means neither.

    Raises:
        UsageError: The name means nothing, or what it names is not there or no image classification data set.
        VisionTfxError: A download failed.
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
        from components.sources.tfds import TfdsSource  # tensorflow: 12 s

        return TfdsSource(rest, data_dir, manual_dir)
    raise UsageError(f"Unknown data {data!r}: write digits, folder:PATH or tfds:NAME.")
