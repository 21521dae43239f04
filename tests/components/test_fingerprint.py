"""A fingerprint changes with what a station runs, and with nothing else."""

import pytest

from components import fingerprint


@pytest.fixture
def source(tmp_path, monkeypatch):
    package = tmp_path / "components"
    package.mkdir()
    files = {
        "__init__.py": "",
        "station.py": "from components import helper, tracking\n",
        "helper.py": "import models.net\n",
        "tracking.py": "COLOUR = 'red'\n",
        "other.py": "",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.py").write_text("import numpy\n")
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)

    def of(module="components.station"):
        fingerprint.fingerprint.cache_clear()
        return fingerprint.fingerprint(module)

    yield tmp_path, of
    fingerprint.fingerprint.cache_clear()


@pytest.mark.parametrize("changed", ["components/station.py", "components/helper.py", "models/net.py"])
def test_changes_with_the_import_closure(source, changed):
    root, of = source
    before = of()
    with (root / changed).open("a") as file:
        file.write("VALUE = 1\n")
    assert of() != before


@pytest.mark.parametrize("changed", ["components/tracking.py", "components/other.py"])
def test_stays_when_something_else_changes(source, changed):
    root, of = source
    before = of()
    with (root / changed).open("a") as file:
        file.write("VALUE = 1\n")
    assert of() == before


def test_changes_with_the_version_of_a_package(source, monkeypatch):
    _, of = source
    before = of()
    monkeypatch.setattr(fingerprint, "_version", lambda package: "99")
    assert of() != before


def test_pretraining_does_not_depend_on_the_trainer():
    sources, _ = fingerprint._closure(("components.rbm_pretrainer",))
    names = {path.name for path in sources}
    assert "rbm.py" in names
    assert not names & {"trainer.py", "export.py", "figures.py", "layer_pictures.py"}
