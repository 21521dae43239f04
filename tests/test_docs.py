"""The documentation names files that exist, its links resolve, and its diagram is drawn from the source."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from benchmarks.import_graph import folder_graph, mermaid, module_graph, reduced

ROOT = Path(__file__).parent.parent
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
PACKAGES = (
    "pipeline/",
    "components/",
    "models/",
    "serving/",
    "tests/",
    "benchmarks/",
    "compat/",
    "docs/",
    ".ci/",
    ".github/",
)
IDS = [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_paths_exist(page):
    spans = re.findall(r"`([^`\s]+)`", page.read_text(encoding="utf-8"))
    named = [span for span in spans if span.startswith(PACKAGES) and "<" not in span and "*" not in span]
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_dotted_names_exist(page):
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"`((?:pipeline|components|models|serving)(?:\.\w+)+)(?:\([^`]*\))?`", text)
    assert not [name for name in names if not _defined(name)]


def _defined(name: str) -> bool:
    """Whether a module exists, or a module whose text contains the rest of the name as a word."""
    parts, rest = name.split("."), []
    while parts:
        path = ROOT.joinpath(*parts)
        module = next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)
        if module:
            return all(re.search(rf"\b{word}\b", module.read_text(encoding="utf-8")) for word in rest)
        rest.append(parts.pop())
    return False


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_relative_links_resolve(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = [target for target in targets if "://" not in target and not _resolves(page, target)]
    assert not broken


def _resolves(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    return linked.exists() and (not anchor or anchor in _anchors(linked))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_diagram_is_drawn_from_the_source():
    diagram = mermaid(reduced(folder_graph(module_graph())))
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert diagram in page, "run `python benchmarks/import_graph.py --write`"


def test_the_citation_names_the_version_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


@pytest.mark.parametrize("package", ["pipeline", "components", "models", "serving"])
def test_every_package_declares_its_types(package):
    assert (ROOT / package / "py.typed").is_file()
