"""A pushed model on the model server: the same answers as on disk, over both protocols and on the demo page."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

pytestmark = pytest.mark.e2e


@dataclass
class Served:
    rest: str
    grpc: str


@pytest.fixture(scope="module")
def served(first, tmp_path_factory):
    log = tmp_path_factory.mktemp("serve") / "log"
    words = [sys.executable, "-m", "pipeline.cli", "serve", "--home", first[0].home, "--port", "-1"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*map(str, words), "--rest-api-port", "-1", "--mlflow-url", "http://127.0.0.1:5000"],
            stdout=file,
            stderr=file,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
        )
    end = time.monotonic() + 120
    while not (found := re.search(r"REST (http\S+), gRPC (\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    yield Served(found[1], found[2])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_the_server_answers_as_the_model_on_disk(pushed, served, cli):
    images = sorted((pushed.data / "val").rglob("*.png"))
    answers = {}
    for where in (["--server", served.rest], ["--server", f"grpc://{served.grpc}", "--model", pushed.name], []):
        done = cli("predict", *images, "--json", "--home", pushed.home, *where)
        assert done.code == 0, done.err
        answers[where[1][:4] if where else "disk"] = json.loads(done.out)
    expected = answers.pop("disk")
    for answer in answers.values():
        assert (answer["model"], answer["version"]) == (expected["model"], expected["version"])
        for one, other in zip(answer["predictions"], expected["predictions"], strict=True):
            assert (one["image"], one["classes"]) == (other["image"], other["classes"])
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_its_results_travel_with_it(pushed, served):
    [model] = urllib3.request("GET", f"{served.rest}/models.json").json()["models"]
    assert model["name"] == pushed.name
    assert {(each["name"], each["split"]) for each in model["results"]["figures"]} >= {
        ("top-1 error", "test"),
        ("top-1 error", "validation"),
    }
    assert model["results"]["mlflow"]["run_id"]


@pytest.mark.browser
def test_the_page_says_what_the_command_line_says(pushed, served, browser):
    browser.open(f"{served.rest}/")
    browser.wait("document.getElementById('version').textContent")
    browser.choose_file("#file", pushed.an_image)
    browser.wait("document.querySelector('#outcome strong')")
    drawn = browser.run("[...document.querySelectorAll('#bars .class-name')].map((each) => each.textContent)")
    assert drawn == pushed.predict(pushed.an_image)["classes"]
    assert "/runs/" in browser.run("document.getElementById('run').href")
    assert browser.complaints() == []
