"""The pushed models of an average: which ones are meant, and on which images all of them were judged."""

from collections.abc import Sequence
from pathlib import Path

from components import features
from components.errors import UsageError
from components.export import layout
from components.export.publishing import versions
from components.ingest.image_inspection import OK
from components.ingest.manifest import read_labels, read_manifest, read_stored_size
from pipeline.home import Home
from pipeline.pushed_models.answers import PushedModel, newest_model
from pipeline.pushed_models.results import read_run
from pipeline.tracking.run_tracker import station_output

# The station that put the images out, and its output's key. An average has both too, so that it can be a member.
EXAMPLES_FROM = ("ImageExampleGen", "examples")


def find_members(home: Home, words: Sequence[str], name: str) -> list[PushedModel]:
    """The pushed classifiers that are named, as they lie on disk.

    Args:
        home: the home folder.
        words: NAME or NAME/VERSION; without a version, the newest.
        name: of the average to be.

    Raises:
        UsageError: one is unknown, no classifier, named twice, has other labels, or has the average's name; or there
            are fewer than two.
    """
    if len(words) < 2:
        raise UsageError(f"an average takes at least two models, and {' '.join(words)} is one; name another beside it")
    members = [_find(home, word) for word in words]
    for index, member in enumerate(members):
        if member in members[:index]:
            raise UsageError(f"{title(member)} is named twice; name every model once")
        if member.name == name:
            raise UsageError(f"{name} is one of the members; give the average a name of its own with --as")
        if not (member.folder / layout.LABELS_ASSET).is_file():
            raise UsageError(f"{title(member)} in {member.folder} is no classifier; only classifiers can be averaged")
        if labels(member) != labels(members[0]):
            raise UsageError(
                f"{title(member)} has other labels than {title(members[0])} ({layout.LABELS_ASSET}); average "
                "models of the same classes"
            )
    return members


def _find(home: Home, word: str) -> PushedModel:
    name, slash, version = word.partition("/")
    newest = newest_model(home, name)
    known = versions(newest.folder.parent)
    if slash and version not in map(str, known):
        listed = ", ".join(map(str, known))
        raise UsageError(f"{newest.folder.parent} has no version {version}; choose one of {listed}")
    return PushedModel(name, int(version), newest.folder.parent / version) if slash else newest


def labels(member: PushedModel) -> list[str]:
    """Its class names in index order."""
    return read_labels(member.folder / "assets")


def title(member: PushedModel) -> str:
    """What it is called on the screen: NAME/VERSION."""
    return f"{member.name}/{member.version}"


def find_examples(home: Home, members: Sequence[PushedModel]) -> str:
    """The Examples on which all members were judged, and none was trained.

    Members of different names have a copy of the images each. The copies are as good as one where validation and test
    hold the same images, by the hash of their content, with the same labels.

    Returns:
        The artifact's folder.

    Raises:
        UsageError: they are not recorded, are gone, or differ.
    """
    folders = {title(member): _examples_of(home, member) for member in members}
    (first, chosen), *others = folders.items()
    for other, folder in others:
        if folder != chosen and _judging(folder) != _judging(chosen):
            raise UsageError(
                f"{other} and {first} were evaluated on different images; train them on the same data with the same "
                "--split-seed, --validation-share, --test-share and --stored-size"
            )
    return str(chosen)


def _examples_of(home: Home, member: PushedModel) -> Path:
    run = read_run(member.folder)
    uri = station_output(home, *run, *EXAMPLES_FROM) if run else None
    if uri is None:
        raise UsageError(
            f"what {title(member)} was evaluated on is not recorded in {home.mlflow_database}; train it again"
        )
    if not Path(uri, features.MANIFEST_FILE).is_file():
        raise UsageError(f"the images that {title(member)} was evaluated on are gone from {uri}; train it again")
    return Path(uri)


def _judging(folder: Path) -> tuple[int | None, list[tuple]]:
    """The stored size, and split, content and label of every image that models are judged on."""
    columns = read_manifest(folder).select(["split", "sha256", "label", "verdict"]).to_pydict().values()
    judged = (features.VALIDATION, features.TEST)
    rows = sorted(row[:3] for row in zip(*columns, strict=True) if row[0] in judged and row[3] == OK)
    return read_stored_size(folder), rows
