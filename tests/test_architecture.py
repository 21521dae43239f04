"""Imports point one way: models <- components <- pipeline; serving is an island. Folders and files stay small."""

import ast
import graphlib
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


@pytest.mark.lengthy
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
    configuration = {"models.config", "models.ranges", "models.settings"}
    assert {name for name in imported(path) if name.split(".")[0] == "models"} <= configuration


@pytest.mark.parametrize("path", sorted((ROOT / "components").rglob("*.py")), ids=lambda path: path.name)
def test_components_keep_real_annotations(path):
    # TFX's @component reads annotations as objects.
    assert "__future__" not in imported(path)


@pytest.mark.lengthy
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


FOLDERS = sorted({path.parent for path in SOURCES})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_no_folder_is_wide(folder):
    assert len(list(folder.glob("*.py"))) <= 25


def reached(path: Path) -> set[tuple[str, ...]]:
    """Modules of this project that a file imports, as parts of their names: ("models", "rbm", "units")."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = tuple(node.module.split("."))
            names |= {(*module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
    return {name for name in names if name[0] in OWN}


@pytest.mark.lengthy
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_files_and_folders_side_by_side_import_in_one_direction(folder):
    """A folder's files and subfolders form no circle, whoever imports whom, at the top or within functions."""
    base = folder.relative_to(ROOT).parts
    children = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__init__"}
    imports: dict[str, set[str]] = {child: set() for child in children}
    for path in folder.rglob("*.py"):
        child = path.relative_to(folder).with_suffix("").parts[0]
        if child != "__init__":
            below = {name[len(base)] for name in reached(path) if name[: len(base)] == base and len(name) > len(base)}
            imports[child] |= (below & children) - {child}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError with the circle
