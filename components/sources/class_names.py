"""Readable names of classes that are named by synset, and the kind of each class."""

import logging
from pathlib import Path
from typing import NamedTuple

from components.sources.source import Source
from components.sources.wordnet import OTHER, WordNet, is_synset

WORDS_FILE = "words.txt"  # beside the class folders; per line the name of a class, a tab, and its words


class ClassNames(NamedTuple):
    """Names of the classes in index order, and the kind of each; no kinds if they are unknown."""

    labels: tuple[str, ...]
    kinds: tuple[str, ...]


def class_names(source: Source, folder: Path | None, wordnet_dir: str | None) -> ClassNames:
    r"""Returns the names of a source's classes with words appended: "n01440764 tench, Tinca tinca" for "n01440764".

    The name itself stays because words alone are not unique: ImageNet has two classes called crane.

    Args:
        source: The data set.
        folder: Folder that may contain words.txt, whose words take precedence over WordNet's; None means no such file.
        wordnet_dir: Folder of WordNet 3.0; None adds no words from WordNet and no kinds.

    Raises:
        UsageError: The folder does not contain WordNet, or contains another version.

    Example:
        >>> import tempfile, types
        >>> birds = types.SimpleNamespace(name="birds", labels=("n02012849", "n03126707"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, WORDS_FILE).write_text("n02012849\tcrane, the bird")
        ...     class_names(birds, Path(folder), wordnet_dir=None).labels
        ('n02012849 crane, the bird', 'n03126707')
    """
    words = _words_file(folder / WORDS_FILE) if folder else {}
    synsets = [label for label in source.labels if is_synset(label)]
    if not wordnet_dir:
        if len(synsets) == len(source.labels) and not words.keys() & set(synsets):
            logging.info("the classes of %s are named by synset; --wordnet-dir adds readable names", source.name)
        return ClassNames(_joined(source.labels, words), ())
    wordnet = WordNet(Path(wordnet_dir))
    if not synsets:
        logging.warning("no class of %s is named by synset; --wordnet-dir has no effect", source.name)
        return ClassNames(_joined(source.labels, words), ())
    words = {synset: wordnet.words(synset) for synset in synsets} | words
    kinds = tuple(wordnet.kind(label) if is_synset(label) else OTHER for label in source.labels)
    return ClassNames(_joined(source.labels, words), kinds)


def _joined(labels: tuple[str, ...], words: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{label} {words[label]}" if words.get(label) else label for label in labels)


def _words_file(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("\t") for line in lines)
    return {name: " ".join(words.split()) for name, tab, words in pairs if tab}
