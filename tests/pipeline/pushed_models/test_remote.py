"""`vision-tfx predict --server`: forms, exit codes and messages, as with a model on disk. The server is a fake."""

import csv
import functools
import io
import json
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.pushed_models import remote
from serving.client import ModelClient


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ModelClient", functools.partial(ModelClient, backoff=0.001))


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "ein Bild, groß.png"
    path.write_bytes(b"PNG")
    return str(path)


def ask(server, *words: str) -> int:
    return cli.main(["predict", "--server", server.url, *words])


def test_text(fake_server, image, capfd):
    assert ask(fake_server, image) == 0
    said = capfd.readouterr()
    first, second = said.out.splitlines()
    assert first == "Answers of digits, version 11:"
    assert second.startswith(f"{image}   7 90.00%   1 5.00%")
    assert said.err == ""


def test_json(fake_server, image, capfd):
    assert ask(fake_server, image, "--json", "--model", "digits") == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["model"], answer["version"]) == ("digits", 11)
    [prediction] = answer["predictions"]
    assert (prediction["image"], prediction["classes"][0]) == (image, "7")


def test_csv(fake_server, image, capfd):
    assert ask(fake_server, image, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert rows[0] == {"image": image, "rank": "1", "label": "7", "score": "0.9"}


def test_metrics_of_a_model_without_labels(fake_server, image, capfd):
    fake_server.models["digits"].answer = {"squared_error": [3.25], "mean_image_error": [52.5]}
    assert ask(fake_server, image) == 0
    assert "squared error 3.25 per image   mean image 52.50" in capfd.readouterr().out


def test_bad_images_do_not_keep_the_others_from_an_answer(fake_server, image, tmp_path, capfd):
    text = tmp_path / "text.png"
    text.write_text("hello")
    assert ask(fake_server, str(text), image, str(tmp_path), image) == 2  # one cannot be read
    said = capfd.readouterr()
    assert said.out.count("7 90.00%") == 1
    assert f"the server refuses {text}: Unknown image file format. One of JPEG, PNG, GIF, BMP required." in said.err
    assert f"{tmp_path} is a folder" in said.err
    assert ask(fake_server, str(text), image) == 1
    capfd.readouterr()
    assert ask(fake_server, "nowhere.png") == 2
    assert capfd.readouterr().err == "vision-tfx: error: there is no image nowhere.png\n"


def test_the_model_pushed_last_answers(fake_server, fakes, image, capfd):
    fake_server.models["cats"] = fakes.FakeModel([12, 3])
    assert ask(fake_server, image) == 0
    assert "Answers of cats, version 12:" in capfd.readouterr().out


def test_a_label(fake_server, image, capfd):
    fake_server.models["digits"].versions = [9, 11]
    fake_server.models["digits"].labels = {"canary": 9}
    assert ask(fake_server, image, "--label", "canary") == 0
    assert "version 9:" in capfd.readouterr().out
    assert fake_server.requests[-1].path == "/v1/models/digits/versions/9:predict"


def test_an_unknown_model_names_those_there_are(fake_server, image, capfd):
    assert ask(fake_server, image, "--model", "digit") == 2
    said = capfd.readouterr().err
    assert said == "vision-tfx: error: the server has no model digit, only digits; did you mean digits?\n"


def test_tensorflow_serving_lists_no_models(fake_server, image, capfd):
    fake_server.listed = False
    assert ask(fake_server, image) == 2
    assert "name one with --model NAME" in capfd.readouterr().err
    assert ask(fake_server, image, "--model", "digits") == 0
    assert ask(fake_server, image, "--model", "cats") == 2
    assert "Servable not found for request: Latest(cats)" in capfd.readouterr().err


def test_a_server_without_a_model(fake_server, image, capfd):
    fake_server.models["digits"].versions = []
    assert ask(fake_server, image) == 1
    assert "no model available" in capfd.readouterr().err


def test_a_swap_meanwhile_gives_answers_of_one_version(fake_server, tmp_path, monkeypatch, capfd):
    paths = [tmp_path / f"{i}.png" for i in range(80)]
    for path in paths:
        path.write_bytes(b"PNG")
    read = remote.read_images

    def swapped(given):
        if given == [str(paths[70])] and fake_server.models["digits"].versions == [11]:
            fake_server.models["digits"].versions = [12]
        return read(given)

    monkeypatch.setattr(remote, "read_images", swapped)
    assert ask(fake_server, "--json", *map(str, paths)) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["version"] == 12
    assert [each["image"] for each in answer["predictions"]] == list(map(str, paths))


def test_nobody_there(fake_server, image, capfd):
    fake_server.stop()
    assert ask(fake_server, image) == 1
    said = capfd.readouterr().err
    assert said.startswith(
        f"vision-tfx: error: no model server answers at {fake_server.url}: Connection refused; start"
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--server", "ftp://x"], "is not the address of a model server"),
        (
            ["--server", "http://localhost", "--bearer-token-file", "nowhere"],
            "cannot read --bearer-token-file nowhere: No",
        ),
        (["--server", "http://localhost", "--ca-file", "nowhere"], "cannot read --ca-file nowhere: No such file"),
        (["--label", "canary"], "--label requires --server URL"),
    ],
)
def test_usage(words, sentence, image, capfd):
    assert cli.main(["predict", image, *words]) == 2
    assert sentence in capfd.readouterr().err


def test_token(fake_server, image, tmp_path, capfd):
    fake_server.token = "secret"  # noqa: S105
    assert ask(fake_server, image) == 1
    assert "this server requires a bearer token; send the token that the server requires" in capfd.readouterr().err
    (tmp_path / "token").write_text("secret\n")
    assert ask(fake_server, image, "--bearer-token-file", str(tmp_path / "token")) == 0


def test_a_bar_for_many_on_a_terminal(fake_server, tmp_path, monkeypatch, capfd):
    from rich.console import Console

    paths = [tmp_path / f"{i}.png" for i in range(remote.MANY_IMAGES)]
    for path in paths:
        path.write_bytes(b"PNG")
    seen = io.StringIO()
    monkeypatch.setattr(remote, "Console", lambda file: Console(file=seen, force_terminal=True, width=80))
    assert ask(fake_server, "--csv", *map(str, paths)) == 0
    assert f"{len(paths)}/{len(paths)}" in seen.getvalue()
    assert capfd.readouterr().out.count("\n") == 1 + 5 * len(paths)
    seen.truncate(0)
    assert ask(fake_server, "--csv", *map(str, paths[1:])) == 0
    assert seen.getvalue().strip("\0") == ""
