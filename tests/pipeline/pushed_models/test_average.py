"""`vision-tfx average`: choice of members, every refusal, the screen. Measuring and writing are tested elsewhere."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from components.errors import UsageError
from components.evaluation.measures import TOP1
from components.evaluation.results import Result
from components.export.layout import RESULTS_FILE
from components.ingest import manifest
from pipeline import cli
from pipeline.home import Home
from pipeline.pushed_models.average import AVERAGE, Average, refusal_of
from pipeline.pushed_models.members import find_examples, find_members
from pipeline.pushed_models.results import read_run


def push(home: Home, name: str, version: int, labels: str | None = "cat\ndog\n", run_id: str = "") -> Path:
    folder = home.serving / name / str(version)
    (folder / "assets").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    if labels is not None:
        (folder / "assets" / "labels.txt").write_text(labels)
    if run_id:
        (folder / "assets.extra").mkdir()
        said = {"mlflow": {"experiment_id": "1", "run_id": run_id}}
        (folder / RESULTS_FILE).write_text(json.dumps(said))
    return folder


def ingest(folder: Path, images: dict[str, str], stored_size: int | None = None, label: int = 0) -> str:
    """An Examples artifact as far as its manifest goes: content -> split."""
    folder.mkdir()
    blank = dict.fromkeys(manifest.SCHEMA.names)
    rows = [blank | {"sha256": sha, "split": split, "label": label, "verdict": "ok"} for sha, split in images.items()]
    rows.append(blank | {"sha256": str(folder), "split": "test", "verdict": "empty"})
    manifest.write_manifest(folder, pa.Table.from_pylist(rows, schema=manifest.SCHEMA), stored_size)
    return str(folder)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    push(home, "a", 3, run_id="run-a")
    push(home, "a", 12, run_id="run-a")
    push(home, "b", 5, run_id="run-b")
    return home


def test_the_newest_version_unless_one_is_named(home: Home):
    assert [each.title for each in find_members(home, ["a", "b/5"], "ab")] == ["a/12", "b/5"]
    assert [each.folder.name for each in find_members(home, ["a/3", "a"], "ab")] == ["3", "12"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a"], "at least two models, and a is one"),
        (["a", "c"], "no pushed model c in .* only a, b"),
        (["a", "b/6"], "b has no version 6; choose one of 5"),
        (["a", "b/x"], "b has no version x"),
        (["a", "b", "a/12"], "a/12 is named twice"),
    ],
)
def test_members_that_cannot_be_found(home: Home, words: list[str], sentence: str):
    with pytest.raises(UsageError, match=sentence):
        find_members(home, words, "ab")


def test_members_that_do_not_go_together(home: Home):
    with pytest.raises(UsageError, match="b is one of the members; give the average another name with --as"):
        find_members(home, ["a", "b"], "b")
    push(home, "code", 1, labels=None)
    with pytest.raises(UsageError, match=r"code/1 in .* is not a classifier"):
        find_members(home, ["a", "code"], "ab")
    push(home, "c", 1, labels="dog\ncat\n")
    with pytest.raises(UsageError, match="c/1 has other labels than a/12"):
        find_members(home, ["a", "c"], "ab")


@pytest.fixture
def judged(home: Home):
    """Finds the Examples of a and b, whose runs recorded the folders given."""

    def find(**folders: str | None) -> str:
        recorded = {f"run-{name}": folder for name, folder in folders.items()}
        members = find_members(home, ["a", "b"], "ab")
        return find_examples(home, members, lambda home, experiment, run, *_: recorded[run])

    return find


IMAGES = {"0": "train", "1": "train", "2": "validation", "3": "test"}


def test_copies_of_the_same_images_are_as_good_as_one(judged, tmp_path: Path):
    one = ingest(tmp_path / "one", IMAGES)
    assert judged(a=one, b=one) == one
    # What is trained on may differ: no image of it is in what is judged on.
    other = ingest(tmp_path / "other", dict(reversed(IMAGES.items())) | {"1": "train", "9": "train"})
    assert judged(a=one, b=other) == one


def test_other_images_are_refused(judged, tmp_path: Path):
    one = ingest(tmp_path / "one", IMAGES)
    others = [
        ingest(tmp_path / "split", IMAGES | {"1": "test", "3": "train"}),
        ingest(tmp_path / "swapped", IMAGES | {"2": "test", "3": "validation"}),
        ingest(tmp_path / "fewer", IMAGES | {"3": "train"}),
        ingest(tmp_path / "size", IMAGES, stored_size=32),
        ingest(tmp_path / "label", IMAGES, label=1),
    ]
    for other in others:
        with pytest.raises(UsageError, match=r"b/5 and a/12 were evaluated on different images; .*--split-seed"):
            judged(a=one, b=other)


def test_images_that_are_unknown_or_gone_are_refused(judged, home: Home, tmp_path: Path):
    one = ingest(tmp_path / "one", IMAGES)
    with pytest.raises(UsageError, match=r"mlflow\.db has no record of the images that b/5 was evaluated on; train"):
        judged(a=one, b=None)
    with pytest.raises(UsageError, match="images that b/5 was evaluated on were removed from /nowhere; train it again"):
        judged(a=one, b="/nowhere")
    (home.serving / "b" / "5" / RESULTS_FILE).unlink()
    assert read_run(home.serving / "b" / "5") is None
    with pytest.raises(UsageError, match="no record of the images that b/5 was evaluated on"):
        judged(a=one, b=one)


def errors(split: str, *top1: float) -> dict[str, tuple[Result, ...]]:
    names = [*"abc"[: len(top1) - 1], AVERAGE]
    return {name: (Result(TOP1, split, error, 0.0, 9.0),) for name, error in zip(names, top1, strict=True)}


def test_validation_decides_against_the_best_member():
    assert refusal_of(errors("validation", 3.0, 2.0, 2.0)) == ""
    assert refusal_of(errors("validation", 3.0, 2.0, 2.5)) == "validation: top1_error is 2.5 %, but 2 % for b alone"


@pytest.fixture
def outcome(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipeline.pushed_models.members.find_examples", lambda *_: "examples")

    def set_outcome(**fields) -> None:
        splits = {"validation": (3, 2, 1), "test_ten_crop": (4, 5, 6)}
        found = Average({split: errors(split, *values) for split, values in splits.items()}, **fields)
        monkeypatch.setattr("pipeline.pushed_models.average.average", lambda *_: found)

    return set_outcome


def test_a_pushed_average(home: Home, outcome, capfd: pytest.CaptureFixture):
    outcome(pushed=home.serving / "ab" / "17")
    assert cli.main(["average", "a", "b", "--as", "ab", "--home", str(home.root)]) == 0
    said = capfd.readouterr().out
    for words in (
        "ten crops",
        "average",
        "1.00 (0.00 to 9.00)",
        "Pushed as version 17.",
        "predict IMAGE... --model ab",
    ):
        assert words in said


def test_a_refused_average(home: Home, outcome, capfd: pytest.CaptureFixture):
    outcome(refusal="validation: worse")
    assert cli.main(["average", "a", "b", "--as", "ab", "--home", str(home.root)]) == 3
    assert "the average was refused (validation: worse)" in capfd.readouterr().err


@pytest.mark.parametrize("words", [["a", "b"], ["--as", "ab"], ["a", "--as", "ab"], ["a", "b", "--as", "a/b"]])
def test_wrong_commands(home: Home, words: list[str], capfd: pytest.CaptureFixture):
    assert cli.main(["average", *words, "--home", str(home.root)]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1
