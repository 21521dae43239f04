"""`vision-tfx predict` on a pushed model: choice of the model, images, forms of the answers. The model is a fake."""

import csv
import io
import json
from pathlib import Path

import pytest

from components.errors import UsageError
from pipeline import cli
from pipeline.commands import predict as command
from pipeline.home import Home
from pipeline.pushed_models.answers import as_csv, as_json, as_text, read_images
from pipeline.pushed_models.pushed_model import PushedModel, newest_model, newest_version, pushed_models
from serving.local import Prediction

SEVEN = Prediction(("7", "1", "9", "4", "3"), (0.9, 0.05, 0.03, 0.01, 0.01))


class FakeModel:
    """Decodes whatever starts with PNG."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def predict(self, images: list[bytes]) -> list[Prediction | None]:
        return [SEVEN if image.startswith(b"PNG") else None for image in images]


def push(home: Path, name: str, version: int) -> None:
    folder = home / "serving" / name / str(version)
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "LocalModel", FakeModel)
    home = tmp_path / "home"
    for name, version in (("cats", 9), ("cats", 10), ("digits", 11), ("digits", 2)):
        push(home, name, version)
    (home / "serving" / "cats" / "incoming-x").mkdir()
    return home


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "ein Bild, groß.png"
    path.write_bytes(b"PNG")
    return str(path)


def test_newest_of_all_and_of_one(home: Path):
    assert (newest_model(Home(home)).name, newest_model(Home(home)).version) == ("digits", 11)
    assert newest_model(Home(home), "cats").version == 10  # a number, not text
    assert [model.title for model in pushed_models(Home(home))] == ["cats/10", "digits/11"]
    assert newest_version(Home(home), "dogs") is None


def test_unknown_model_names_those_there_are(home: Path):
    with pytest.raises(UsageError, match=r"only cats, digits; did you mean digits\?"):
        newest_model(Home(home), "digit")


def test_nothing_pushed_yet(tmp_path: Path):
    with pytest.raises(UsageError, match="no model was pushed"):
        newest_model(Home(tmp_path))


def test_text(home: Path, image: str, capfd: pytest.CaptureFixture):
    assert cli.main(["predict", image, "--home", str(home)]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first == "Answers of digits, version 11:"
    assert second.startswith(image)
    assert "7 90.00%   1 5.00%" in second


def test_json(home: Path, image: str, capfd: pytest.CaptureFixture):
    assert cli.main(["predict", image, "--model", "cats", "--json", "--home", str(home)]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["model"], answer["version"]) == ("cats", 10)
    assert answer["predictions"] == [{"image": image, "classes": list(SEVEN.classes), "scores": list(SEVEN.scores)}]


CODED = Prediction(numbers={"mean_image_error": 52.5, "squared_error": 3.25})


def test_metrics_of_a_model_without_labels():
    assert as_text({"a.png": CODED}) == "a.png   squared error 3.25 per image   mean image 52.50\n"
    density = Prediction(numbers={"base_rate_log_probability": -206.0, "log_probability": -85.5})
    assert as_text({"a.png": density}) == "a.png   log-probability -85.50 nats   base rate -206.00\n"
    assert as_csv({"a.png": CODED, "b.png": CODED}).splitlines() == [
        "image,mean_image_error,squared_error",
        "a.png,52.5,3.25",
        "b.png,52.5,3.25",
    ]
    answer = json.loads(as_json(PushedModel("m", 1, Path()), {"a.png": CODED}, {}))
    assert answer["predictions"] == [{"image": "a.png", "mean_image_error": 52.5, "squared_error": 3.25}]


def test_csv(home: Path, image: str, capfd: pytest.CaptureFixture):
    assert cli.main(["predict", image, "--csv", "--home", str(home)]) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert rows[0] == {"image": image, "rank": "1", "label": "7", "score": "0.9"}
    assert len(rows) == 5


def test_missing_image_does_not_keep_the_others_from_an_answer(home: Path, image: str, capfd: pytest.CaptureFixture):
    assert cli.main(["predict", "nowhere.png", image, "--home", str(home)]) == 2
    said = capfd.readouterr()
    assert "7 90.00%" in said.out
    assert said.err == "vision-tfx: error: there is no image nowhere.png\n"


def test_what_is_no_image(home: Path, image: str, tmp_path: Path, capfd: pytest.CaptureFixture):
    text = tmp_path / "text.png"
    text.write_text("hello")
    assert cli.main(["predict", str(text), image, "--json", "--home", str(home)]) == 1
    said = capfd.readouterr()
    refused = json.loads(said.out)["predictions"][1]
    assert refused == {"image": str(text), "error": f"{text} is not a JPEG, PNG, GIF or BMP image"}
    assert said.err.count("\n") == 1


def test_only_missing_images_load_no_model(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    monkeypatch.setattr(command, "LocalModel", None)
    assert cli.main(["predict", "nowhere.png", "--home", str(home)]) == 2


def test_model_that_cannot_be_loaded(
    home: Path, image: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    def broken(folder: Path) -> None:
        raise OSError("SavedModel file does not exist")

    monkeypatch.setattr(command, "LocalModel", broken)
    assert cli.main(["predict", image, "--home", str(home)]) == 1
    assert "cannot be loaded" in capfd.readouterr().err


def test_a_folder_in_place_of_an_image(tmp_path: Path):
    images, errors = read_images([str(tmp_path)])
    assert images == {}
    assert f"{tmp_path}/*.png" in errors[str(tmp_path)]


def test_rollback(home: Path, capfd: pytest.CaptureFixture):
    (home / "serving" / "cats" / "9" / "saved_model.pb").write_bytes(b"nine")
    assert cli.main(["rollback", "cats", "--home", str(home)]) == 0
    newest = newest_model(Home(home), "cats")
    assert newest.version > 10
    assert (newest.folder / "saved_model.pb").read_bytes() == b"nine"
    assert str(newest.folder) in capfd.readouterr().out


@pytest.mark.parametrize("words", [["cat"], ["cats", "--to", "8"], ["cats", "--to", "x"], ["../x"], []])
def test_rollback_to_nothing(home: Path, words: list[str], capfd: pytest.CaptureFixture):
    assert cli.main(["rollback", *words, "--home", str(home)]) == 2
    assert "Traceback" not in capfd.readouterr().err
