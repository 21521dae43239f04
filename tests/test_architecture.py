"""Imports point one way: models <- components <- pipeline; serving is an island."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN = {"models", "components", "pipeline", "serving"}
ALLOWED = {
    "models": {"models"},
    "components": {"models", "components"},
    "pipeline": {"components", "pipeline", "models", "serving"},
    "serving": {"serving"},
}
SOURCES = [path for package in sorted(OWN) for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Full names of all modules a file imports, at its top or within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    own = {name.split(".")[0] for name in imported(path)} & OWN
    assert own <= ALLOWED[package]


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=lambda path: path.name)
def test_models_need_keras_and_numpy_only(path):
    outside = {name.split(".")[0] for name in imported(path)} - {"keras", "numpy", "models"} - sys.stdlib_module_names
    assert not outside


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").rglob("*.py")), ids=lambda path: path.name)
def test_pipeline_takes_only_configuration_from_models(path):
    assert {name for name in imported(path) if name.split(".")[0] == "models"} <= {"models.config"}


@pytest.mark.parametrize("path", sorted((ROOT / "components").rglob("*.py")), ids=lambda path: path.name)
def test_components_keep_real_annotations(path):
    # TFX's @component reads annotations as objects.
    assert "__future__" not in imported(path)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
