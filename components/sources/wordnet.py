"""WordNet 3.0, whose nouns name ImageNet's classes: n01440764 is the noun at byte 1440764 of data.noun.

Standard library only. The files are in Debian's package wordnet-base (/usr/share/wordnet) and, as WordNet-3.0.tar.gz,
at https://wordnet.princeton.edu.
"""

import re
from pathlib import Path
from typing import NamedTuple

from components.errors import UsageError

OTHER = "other"

# What a class may be a kind of, the more special of two equally near ones first.
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
    """Whether a class is named as ImageNet's are: n and eight digits."""
    return _SYNSET.fullmatch(name) is not None


class WordNet:
    """The nouns of WordNet 3.0.

    Args:
        folder: The folder with data.noun.

    Raises:
        UsageError: It has no such file, or it cannot be read.
    """

    def __init__(self, folder: Path):
        self._path = folder / "data.noun"
        try:
            with self._path.open("rb"):
                pass
        except OSError as error:
            raise UsageError(
                f"There is no WordNet in {folder} ({self._path.name}: {error.strerror}): give the folder with "
                "data.noun as --wordnet-dir; Debian's package wordnet-base has it in /usr/share/wordnet."
            ) from error

    def words(self, synset: str) -> str:
        """The words of a synset, such as "tench, Tinca tinca".

        Raises:
            UsageError: There is no such noun: the files are of another version.
        """
        return ", ".join(self._noun(synset).words)

    def kind(self, synset: str) -> str:
        """What a synset is a kind of, a value of `KINDS`: the nearest one up the hypernyms, or `OTHER`.

        Raises:
            UsageError: There is no such noun.
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
            raise UsageError(f"{self._path} has no noun {synset}: give the files of WordNet 3.0, not of another one.")
        count = int(fields[3], 16)
        words = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * count : 2])
        # Pointers are four fields each: symbol, offset, part of speech, source and target.
        pointers = fields[4 + 2 * count + 1 :]
        above = tuple(
            f"n{offset}" for kind, offset in zip(pointers[::4], pointers[1::4], strict=False) if kind in _HYPERNYMS
        )
        return _Noun(words, above)


class _Noun(NamedTuple):
    """The words of a synset, and the synsets that it is a kind of."""

    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
