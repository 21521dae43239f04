"""A fingerprint changes with what can change a node's result, and with nothing else."""

import re
import shutil
from pathlib import Path

import pytest

from components import fingerprint
from components.trainer import training_module
from models.config import AlexNetConfig, DBNConfig

ROOT = Path(fingerprint.__file__).parent.parent
OBJECTIVES = ("classification", "joint", "reconstruction", "density")
TRAINING_MODULES = [training_module(DBNConfig(objective=objective)) for objective in OBJECTIVES]
TRAINING_MODULES.append(training_module(AlexNetConfig()))

STATION = """
'''A node.'''
import logging
from components import helper
from components.figures import plots
from components.reporting.tracker import Tracker, opened

_log = logging.getLogger(__name__)

def run(tracker: Tracker):
    with opened() as record:
        result = helper.compute(1)
    if result < 0:
        raise ValueError("negative")
    return result
"""


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def digest(monkeypatch):
    """The fingerprint of a module of the tree at a root."""

    def of(root: Path, *modules: str) -> str:
        monkeypatch.setattr(fingerprint, "_ROOT", root)
        fingerprint.fingerprint.cache_clear()
        return fingerprint.fingerprint(*modules)

    yield of
    fingerprint.fingerprint.cache_clear()


@pytest.fixture
def tree(tmp_path):
    return written(
        tmp_path,
        {
            "components/__init__.py": "",
            "components/station.py": STATION,
            "components/helper.py": "from models.net import WIDTH\n\ndef compute(x):\n    return x * WIDTH\n",
            "components/other.py": "",
            "components/figures/plots.py": "COLOUR = 'red'\n",
            "components/reporting/tracker.py": "class Tracker: ...\n",
            "models/net.py": "import numpy\nWIDTH = 3\n",
            "models/wide.py": "import numpy\nWIDTH = 9\n",
        },
    )


def changed(tree: Path, name: str, old: str, new: str) -> Path:
    path = tree / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return tree


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("components/station.py", "compute(1)", "compute(2)"),
        ("components/station.py", "result < 0", "result < 1"),
        ("components/station.py", "raise ValueError(", "raise TypeError("),
        ("components/helper.py", "x * WIDTH", "x + WIDTH"),
        ("components/helper.py", "from models.net", "from models.wide"),
        ("models/net.py", "WIDTH = 3", "WIDTH = 4"),
        ("models/net.py", "import numpy", "import numpy, scipy"),
    ],
)
def test_changes_with_the_code(digest, tree, name, old, new):
    before = digest(tree, "components.station")
    assert digest(changed(tree, name, old, new), "components.station") != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("components/station.py", "'''A node.'''", "'''Another description.'''  # and a comment"),
        ("components/station.py", "    return result", "    # a comment\n\n    return (result)"),
        ("components/station.py", "    return result", "    _log.info('done: %s', result)\n    return result"),
        ("components/station.py", "    return result", "    logging.warning('done')\n    return result"),
        (
            "components/station.py",
            "    return result",
            "    tracker.log_metrics({'result': result})\n    return result",
        ),
        ("components/station.py", "    return result", "    record.log_text('done')\n    return result"),
        ("components/station.py", "    return result", "    plots.draw(result)\n    return result"),
        ("components/station.py", '"negative"', '"below zero"'),
        ("components/figures/plots.py", "red", "blue"),
        ("components/reporting/tracker.py", "...", "pass"),
    ],
)
def test_stays_when_only_words_plots_or_reports_change(digest, tree, name, old, new):
    before = digest(tree, "components.station")
    assert digest(changed(tree, name, old, new), "components.station") == before


def test_stays_when_a_file_moves(digest, tree):
    before = digest(tree, "components.station")
    (tree / "models" / "deep").mkdir()
    (tree / "models" / "net.py").rename(tree / "models" / "deep" / "net.py")
    changed(tree, "components/helper.py", "models.net", "models.deep.net")
    assert digest(tree, "components.station") == before


def test_changes_with_the_version_of_a_package(digest, tree, monkeypatch):
    before = digest(tree, "components.station")
    monkeypatch.setattr(fingerprint, "_version", lambda package: "99")
    assert digest(tree, "components.station") != before


@pytest.mark.parametrize("module", ["components", "components.other", "components.missing", "components.figures"])
def test_a_closure_of_one_file_is_refused(digest, tree, module):
    with pytest.raises(ValueError, match="name the module that holds the code"):
        digest(tree, "components.station", module)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the packages that enter cache keys."""
    root = tmp_path_factory.mktemp("sources")
    for package in ("components", "models", "serving"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def edit(sources):
    """Rewrites files of the copy until the test ends."""
    before: dict[Path, str] = {}

    def apply(path: Path, rewrite) -> None:
        before.setdefault(path, path.read_text())
        path.write_text(rewrite(path.read_text()))
        assert path.read_text() != before[path]

    yield apply
    for path, text in before.items():
        path.write_text(text)


@pytest.mark.parametrize("module", TRAINING_MODULES)
class TestTrainingModule:
    def path(self, sources: Path, module: str) -> Path:
        return sources.joinpath(*module.split(".")).with_suffix(".py")

    def test_docstrings_do_not_count(self, digest, sources, edit, module):
        before = digest(sources, module)
        edit(self.path(sources, module), lambda text: re.sub(r'"""(\w)', r'"""Reworded: \1', text))
        assert digest(sources, module) == before

    def test_colours_do_not_count(self, digest, sources, edit, module):
        before = digest(sources, module)
        edit(sources / "components/figures/drawing.py", lambda text: re.sub(r"#[0-9a-f]{6}", "#123456", text))
        assert digest(sources, module) == before

    @pytest.mark.parametrize("line", ["tracker.log_text('a', 'b')", "import logging\n    logging.info('a')"])
    def test_log_lines_do_not_count(self, digest, sources, edit, module, line):
        before = digest(sources, module)
        edit(
            self.path(sources, module), lambda text: re.sub("^    return", f"    {line}\n    return", text, flags=re.M)
        )
        assert digest(sources, module) == before

    @pytest.mark.parametrize("name", [None, "models/config.py", "components/features.py"])
    def test_constants_count(self, digest, sources, edit, module, name):
        before = digest(sources, module)
        edit(self.path(sources, module) if name is None else sources / name, lambda text: text + "\nVALUE = 1\n")
        assert digest(sources, module) != before

    def test_plots_and_reports_are_not_in_the_closure(self, module):
        names = {path.relative_to(ROOT).as_posix() for path in fingerprint._closure(module)}
        assert not [name for name in names if name.startswith(("components/figures", "components/reporting"))]


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("models/config.py", "setting(COUNT)", "setting(COUNT_OR_ZERO)", True),
        ("models/config.py", "DROPPED, MOMENTUM", "DROPPED, FINITE, MOMENTUM", True),
        ("models/ranges.py", "FINITE = 1e6", "FINITE = 1e9", True),
        ("models/config.py", "default=2e-4", "default=3e-4", False),
    ],
)
def test_ranges_of_fields_do_not_count_but_defaults_do(digest, sources, edit, name, old, new, same):
    before = digest(sources, "components.trainer")
    edit(sources / name, lambda text: text.replace(old, new))
    assert (digest(sources, "components.trainer") == before) == same


def test_pretraining_does_not_depend_on_the_trainer():
    names = {path.name for path in fingerprint._closure("components.rbm_pretrainer")}
    assert "rbm.py" in names
    assert not names & {"trainer.py", "export.py", "saved_model.py"}
