"""The objectives other than classification, from the bundled digits to an answer of the pushed model."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SEVEN = Path(__file__).parent.parent.parent / "docs" / "images" / "seven.png"


@pytest.fixture(scope="module")
def run(tmp_path_factory, cli):
    """`vision-tfx run digits-dbn` with another objective, in a shared home, under the name of the objective."""
    home = tmp_path_factory.mktemp("home")

    def run(objective, *words):
        given = ("--name", objective, "--home", home, "--model.objective", objective, "--gates.max-top1-error", "none")
        done = cli("run", "digits-dbn", *given, "--model.pretraining.epochs", 5, *words)
        assert done.code == 0, done.err
        answer = cli("predict", SEVEN, "--model", objective, "--home", home, "--json")
        assert answer.code == 0, answer.err
        [version] = (home / "serving" / objective).iterdir()
        return done, json.loads(answer.out)["predictions"][0], version

    return run


def test_joint(run):
    done, answer, _ = run("joint", "--model.up-down.epochs", "3,3", "--model.up-down.gibbs-steps", "1,2")
    assert "top-1 error" in done.out and "top-5 error" in done.out
    assert "7" in answer["classes"]


def test_reconstruction(run):
    words = ("--model.hidden-units", "60,20", "--training.epochs", 8, "--training.learning-rate", 0.003)
    done, answer, version = run("reconstruction", *words)
    assert "squared error" in done.out and "mean image" in done.out
    assert 0 < answer["squared_error"] < answer["mean_image_error"]
    assert list((version / "assets").iterdir()) == []


def test_density(run):
    words = ("--model.hidden-units", "100", "--model.partition.temperatures", 500, "--gates.min-gain", 0)
    done, answer, version = run("density", *words, "--model.pretraining.batch-size", 20)
    estimate = json.loads((version / "assets" / "log_partition.json").read_text())
    assert estimate["lower"] <= estimate["log_z"] <= estimate["upper"]
    assert f"log Z      {estimate['log_z']:.2f} nats" in done.out
    assert all(f"Warning: {sentence}" in done.out for sentence in estimate["warnings"])
    assert answer["log_probability"] < 0 and answer["base_rate_log_probability"] < 0
