"""Names that people read for classes that are named by synset, and what kind of thing each class is."""

import logging
from pathlib import Path
from typing import NamedTuple

from components.sources.source import Source
from components.sources.wordnet import OTHER, WordNet, is_synset

WORDS_FILE = "words.txt"  # beside the class folders: name of the class, tab, words


class ClassNames(NamedTuple):
    """Names of the classes in index order, and for each its kind; no kinds where none are known."""

    labels: tuple[str, ...]
    kinds: tuple[str, ...]


def class_names(source: Source, folder: Path | None, wordnet_dir: str | None) -> ClassNames:
    """The names of a source's classes with words behind them: "n01440764" becomes "n01440764 tench, Tinca tinca".

    The name itself stays, for words alone are not unique: ImageNet has two cranes.

    Args:
        source: The data set.
        folder: Where a words.txt may lie; its words go before WordNet's.
        wordnet_dir: Folder of WordNet 3.0; none means no words of it and no kinds.

    Raises:
        UsageError: The folder holds no WordNet, or not the one of the classes.
    """
    words = _words_file(folder / WORDS_FILE) if folder else {}
    synsets = [label for label in source.labels if is_synset(label)]
    if not wordnet_dir:
        if len(synsets) == len(source.labels) and not words.keys() & set(synsets):
            logging.info(
                "The classes of %s are WordNet's: --wordnet-dir gives them names that people read", source.name
            )
        return ClassNames(_joined(source.labels, words), ())
    wordnet = WordNet(Path(wordnet_dir))
    if not synsets:
        logging.warning("No class of %s is named by synset: --wordnet-dir has no effect", source.name)
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
