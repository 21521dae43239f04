"""WordNet's own format, in a file with a few nouns at their true offsets."""

import pytest

from components.errors import UsageError
from components.sources.class_names import class_names
from components.sources.source import Source
from components.sources.wordnet import KINDS, WordNet, is_synset

NOUNS = {  # synset: words, hypernyms
    "n00015388": (["animal", "beast"], []),
    "n01440764": (["tench", "Tinca_tinca"], ["n01439121"]),
    "n01439121": (["cyprinid"], ["n02512053"]),
    "n02512053": (["fish"], ["n00015388"]),
    "n02084071": (["dog", "domestic_dog"], ["n02083346", "n01317541"]),
    "n02083346": (["canine", "canid"], ["n01861778"]),
    "n01317541": (["domestic_animal"], ["n00015388"]),
    "n01861778": (["mammal"], ["n00015388"]),
    "n02012849": (["crane"], ["n01503061"]),
    "n01503061": (["bird"], ["n00015388"]),
    "n03126707": (["crane"], ["n00021939"]),
    "n00021939": (["artifact"], []),
    "n15075141": (["toilet_tissue"], []),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wordnet")
    with (folder / "data.noun").open("wb") as file:
        for synset, (words, hypernyms) in NOUNS.items():
            file.seek(int(synset[1:]))
            listed = " ".join(f"{word} 0" for word in words)
            pointers = " ".join(["~ 00000001 n 0000", *(f"@ {above[1:]} n 0000" for above in hypernyms)])
            line = f"{synset[1:]} 05 n {len(words):02x} {listed} {len(hypernyms) + 1:03d} {pointers} | a gloss @ 1\n"
            file.write(line.encode())
    return folder


class Named(Source):
    name = "named"

    def __init__(self, *labels):
        self.labels = labels

    def files(self):
        return [("a", __file__)]

    def items(self, hashes):
        return []

    @property
    def reader(self):
        return None


def test_words_are_read_at_the_byte_that_the_synset_names(folder):
    assert WordNet(folder).words("n01440764") == "tench, Tinca tinca"


@pytest.mark.parametrize(
    ("synset", "kind"),
    [
        ("n01440764", "fish"),
        ("n02084071", "dog"),
        ("n02083346", "mammal"),
        ("n02012849", "bird"),
        ("n03126707", "artifact"),
        ("n15075141", "other"),
    ],
)
def test_the_kind_is_the_nearest_ancestor(folder, synset, kind):
    assert WordNet(folder).kind(synset) == kind


def test_a_folder_without_wordnet_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no WordNet in .*--wordnet-dir; Debian's package wordnet-base"):
        WordNet(tmp_path)


def test_another_version_of_wordnet_is_refused(folder):
    with pytest.raises(UsageError, match=r"has no noun n01440765; use the files of WordNet 3\.0"):
        WordNet(folder).words("n01440765")


def test_the_form_of_a_synset():
    assert is_synset("n01440764")
    assert not any(map(is_synset, ["n0144076", "v01440764", "n01440764 tench", "cat"]))
    assert all(map(is_synset, KINDS))


def test_names_keep_the_synset_because_words_are_not_unique(folder):
    names = class_names(Named("n02012849", "n03126707"), None, str(folder))
    assert names.labels == ("n02012849 crane", "n03126707 crane")
    assert names.kinds == ("bird", "artifact")


def test_a_words_file_beside_the_classes_takes_precedence_over_wordnet(folder, tmp_path):
    (tmp_path / "words.txt").write_text("n02012849\tcrane,  the bird\nn09999999\tunused\nno tab\n")
    source = Named("n02012849", "n03126707")
    assert class_names(source, tmp_path, None) == (("n02012849 crane, the bird", "n03126707"), ())
    assert class_names(source, tmp_path, str(folder)).labels == ("n02012849 crane, the bird", "n03126707 crane")


def test_other_classes_keep_their_names(folder, tmp_path, caplog):
    assert class_names(Named("cat", "dog"), tmp_path, str(folder)) == (("cat", "dog"), ())
    assert "--wordnet-dir has no effect" in caplog.text


def test_names_and_kinds_are_part_of_the_fingerprint(tmp_path):
    from components.sources.content_hashes import ContentHashes

    hashes, source = ContentHashes(tmp_path / "hashes.sqlite"), Named("a", "b")
    bare = source.fingerprint(hashes)
    source.kinds = ("bird", "dog")
    assert source.fingerprint(hashes) != bare
