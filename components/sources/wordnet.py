"""Reader for the nouns of WordNet 3.0, which name ImageNet's classes: n01440764 is at byte 1440764 of data.noun.

Standard library only. The files are part of Debian's package wordnet-base (/usr/share/wordnet) and of
WordNet-3.0.tar.gz at https://wordnet.princeton.edu.
"""

import re
from pathlib import Path
from typing import NamedTuple

from components.errors import UsageError

OTHER = "other"

# Kinds of classes by their synset; of two that are equally near, the more specific one comes first.
KINDS = {
    "n02084071": "dog",
    "n02120997": "feline",
    "n02469914": "primate",
    "n01861778": "mammal",
    "n01503061": "bird",
    "n01661091": "reptile",
    "n01627424": "amphibian",
    "n02512053": "fish",
    "n02159955": "insect",
    "n01905661": "invertebrate",
    "n00015388": "animal",
    "n00007846": "person",
    "n12992868": "fungus",
    "n00017222": "plant",
    "n13087625": "plant",  # parts of plants: fruit, seeds, flowers
    "n07705711": "fruit or vegetable",
    "n07555863": "food",
    "n00021265": "food",
    "n04524313": "vehicle",
    "n03800933": "musical instrument",
    "n03051540": "clothing",
    "n03122748": "clothing or cover",
    "n03405725": "furniture",
    "n03094503": "container",
    "n03563967": "tool",
    "n03183080": "device",
    "n03294048": "equipment",
    "n04341686": "building or structure",
    "n09287968": "landscape",
    "n00021939": "artifact",
}
_SYNSET = re.compile(r"n\d{8}")
_HYPERNYMS = ("@", "@i")


def is_synset(name: str) -> bool:
    """Returns whether a class is named by synset, as in ImageNet: n and eight digits."""
    return _SYNSET.fullmatch(name) is not None


class WordNet:
    """Nouns of WordNet 3.0.

    Args:
        folder: Folder that contains data.noun.

    Raises:
        UsageError: The file does not exist or cannot be read.

    Example:
        >>> import tempfile
        >>> line = "00000000 05 n 02 tench 0 Tinca_tinca 0 001 @ 02512053 n 0000 | freshwater dace-like game fish"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "data.noun").write_text(line)
        ...     WordNet(Path(folder)).words("n00000000")
        'tench, Tinca tinca'
    """

    def __init__(self, folder: Path):
        self._path = folder / "data.noun"
        try:
            with self._path.open("rb"):
                pass
        except OSError as error:
            raise UsageError(
                f"no WordNet in {folder} ({self._path.name}: {error.strerror}); pass the folder that contains "
                "data.noun as --wordnet-dir; Debian's package wordnet-base has it in /usr/share/wordnet"
            ) from error

    def words(self, synset: str) -> str:
        """Returns the words of a synset, such as "tench, Tinca tinca".

        Args:
            synset: Name of the synset, such as "n01440764".

        Raises:
            UsageError: The synset does not exist, because the files are of another version.
        """
        return ", ".join(self._noun(synset).words)

    def kind(self, synset: str) -> str:
        """Returns the kind of a synset: the value of `KINDS` for its nearest hypernym or itself, or `OTHER`.

        Args:
            synset: Name of the synset, such as "n01440764".

        Raises:
            UsageError: The synset does not exist, because the files are of another version.
        """
        level, seen = [synset], set()
        while level:
            if found := [kind for ancestor, kind in KINDS.items() if ancestor in level]:
                return found[0]
            seen.update(level)
            level = [above for name in level for above in self._noun(name).hypernyms if above not in seen]
        return OTHER

    def _noun(self, synset: str) -> "_Noun":
        with self._path.open("rb") as file:
            file.seek(int(synset[1:]))
            fields = file.readline().decode("ascii", "replace").partition(" | ")[0].split()
        if len(fields) < 5 or fields[0] != synset[1:]:
            raise UsageError(f"{self._path} has no noun {synset}; use the files of WordNet 3.0, not of another version")
        count = int(fields[3], 16)
        words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
        # Pointers are four fields each: symbol, offset, part of speech, source and target.
        pointers = fields[4 + 2 * count + 1 :]
        above = tuple(
            f"n{offset}" for kind, offset in zip(pointers[::4], pointers[1::4], strict=False) if kind in _HYPERNYMS
        )
        return _Noun(words, above)


class _Noun(NamedTuple):
    """Words and hypernyms of a synset."""

    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
