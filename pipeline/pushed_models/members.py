"""The members of an average: the pushed models that a user names, and the images that all were evaluated on."""

from collections.abc import Callable, Sequence
from pathlib import Path

from components import features
from components.errors import UsageError
from components.export import layout
from components.features import OK
from components.ingest.manifest import read_labels, read_manifest, read_stored_size
from pipeline.home import Home
from pipeline.pushed_models.pushed_model import PushedModel, newest_model, pushed_model
from pipeline.pushed_models.results import read_run
from pipeline.tracking.store import station_output

# The node that wrote the images, and the key of its output. The run of an average records both too, so that an average
# can be a member of another.
EXAMPLES_FROM = ("ImageExampleGen", "examples")


def find_members(home: Home, words: Sequence[str], name: str) -> list[PushedModel]:
    """Finds the pushed classifiers that a user names.

    Args:
        home: Home folder of the runs.
        words: NAME or NAME/VERSION of each member; without a version, the newest.
        name: Name of the average.

    Raises:
        UsageError: There are fewer than two members; or a member is unknown, is not a classifier, is named twice, has
            other labels, or has the name of the average.
    """
    if len(words) < 2:
        raise UsageError(f"an average needs at least two models, and {' '.join(words)} is one; name another beside it")
    members = [_find(home, word) for word in words]
    for index, member in enumerate(members):
        if member in members[:index]:
            raise UsageError(f"{member.title} is named twice; name every model once")
        if member.name == name:
            raise UsageError(f"{name} is one of the members; give the average another name with --as")
        if not (member.folder / layout.LABELS_ASSET).is_file():
            raise UsageError(f"{member.title} in {member.folder} is not a classifier; name only classifiers")
        if labels(member) != labels(members[0]):
            raise UsageError(
                f"{member.title} has other labels than {members[0].title} ({layout.LABELS_ASSET}); average "
                "models of the same classes"
            )
    return members


def _find(home: Home, word: str) -> PushedModel:
    name, slash, version = word.partition("/")
    newest = newest_model(home, name)
    return pushed_model(home, name, version) if slash else newest


def labels(member: PushedModel) -> list[str]:
    """Returns the class names of a member in index order."""
    return read_labels(member.folder / "assets")


def find_examples(
    home: Home, members: Sequence[PushedModel], output: Callable[..., str | None] = station_output
) -> str:
    """Finds the Examples on which all members were evaluated, and none was trained.

    Members of different names have a copy of the images each. Copies are equivalent if validation and test hold the
    same images, by the hash of their content, with the same labels.

    Args:
        home: Home folder of the runs.
        members: The members.
        output: Function that looks up an output of an earlier run, with the arguments of `station_output`.

    Returns:
        Folder of the artifact.

    Raises:
        UsageError: The images are not recorded, were removed, or differ.
    """
    folders = {member.title: _examples_of(home, member, output) for member in members}
    (first, chosen), *others = folders.items()
    for other, folder in others:
        if folder != chosen and _evaluated(folder) != _evaluated(chosen):
            raise UsageError(
                f"{other} and {first} were evaluated on different images; train them on the same data with the same "
                "--split-seed, --validation-share, --test-share and --stored-size"
            )
    return str(chosen)


def _examples_of(home: Home, member: PushedModel, output: Callable[..., str | None]) -> Path:
    run = read_run(member.folder)
    uri = output(home, *run, *EXAMPLES_FROM) if run else None
    if uri is None:
        raise UsageError(
            f"{home.mlflow_database} has no record of the images that {member.title} was evaluated on; train it again"
        )
    if not Path(uri, features.MANIFEST_FILE).is_file():
        raise UsageError(f"the images that {member.title} was evaluated on were removed from {uri}; train it again")
    return Path(uri)


def _evaluated(folder: Path) -> tuple[int | None, list[tuple]]:
    """Returns the stored size, and split, content hash and label of every image that models are evaluated on."""
    columns = read_manifest(folder).select(["split", "sha256", "label", "verdict"]).to_pydict().values()
    splits = (features.VALIDATION, features.TEST)
    rows = sorted(row[:3] for row in zip(*columns, strict=True) if row[0] in splits and row[3] == OK)
    return read_stored_size(folder), rows
