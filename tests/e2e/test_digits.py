"""The bundled digits: the command of `make run`, and the pushed versions afterwards."""

import json
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SEVEN = Path(__file__).parent.parent.parent / "docs" / "images" / "seven.png"
QUICK = ("--model.pretraining.epochs", "5", "--training.epochs", "10", "--gates.max-top1-error", "20")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(home, cli):
    return lambda *words: cli(*words, "--home", home)


def versions(home):
    return sorted(int(path.name) for path in Path(home, "serving", "digits-dbn").iterdir())


# The tests of this file build on each other, like the commands of a user.


def test_the_pushed_model_answers_an_image(run):
    done = run("run", "digits-dbn", *QUICK, "--predict", SEVEN)
    assert done.code == 0, done.err
    assert "top-5 error" in done.out
    done = run("predict", SEVEN, "--json")
    assert done.code == 0
    assert '"7"' in json.dumps(json.loads(done.out))


def test_a_removed_version_is_published_again(run, home):
    [version] = versions(home)
    shutil.rmtree(Path(home, "serving", "digits-dbn", str(version)))
    done = run("run", "digits-dbn", *QUICK)
    assert done.code == 0
    assert set(done.statuses.values()) == {"cached", "resolved"}
    [again] = versions(home)
    assert f"pushed as version {again}" in done.out
    assert run("predict", SEVEN).code == 0
