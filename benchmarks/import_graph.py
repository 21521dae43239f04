"""Draws the import graph of the folders as a Mermaid diagram in docs/architecture.md.

    python benchmarks/import_graph.py            prints the diagram, and the size of the first level of each package
    python benchmarks/import_graph.py --write    replaces the diagram in docs/architecture.md

A box is a folder, or files at the first level of a package: those that no folder of the package needs share a box,
those that need no folder share another, and each of the others has its own. An arrow points from the importing box to
the imported one; an arrow that follows from others is left out.
"""

import argparse
import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("pipeline", "components", "models", "serving")
_DIAGRAM = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
_FRONT, _BASE = "front", "base"

Graph = dict[str, set[str]]


def module_graph() -> Graph:
    """Returns the modules of this project, each with those that it imports, at its top or within functions."""
    paths = {_module(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
    return {module: _imports(path, set(paths)) - {module} for module, path in paths.items()}


def folder_graph(modules: Graph) -> Graph:
    """Returns the boxes of the diagram, each with those that it imports."""
    boxes = _boxes(modules)
    graph: Graph = {box: set() for box in boxes.values()}
    for module, box in boxes.items():
        graph[box] |= {boxes[name] for name in modules[module] if name in boxes} - {box}
    return graph


def reduced(graph: Graph) -> Graph:
    """Returns an acyclic graph without the arrows that follow from a longer way between the same boxes."""
    below = {box: _reached(graph, box) for box in graph}
    return {
        box: {other for other in imported if not any(other in below[way] for way in imported - {other})}
        for box, imported in graph.items()
    }


def mermaid(graph: Graph) -> str:
    """Returns the diagram, fences included."""
    lines = ["```mermaid", "flowchart TD"]
    for package in PACKAGES:
        lines.append(f"  subgraph {package}")
        lines += [f'    {_identifier(box)}["{_label(box)}"]' for box in sorted(graph) if box.split(".")[0] == package]
        lines.append("  end")
    lines += [
        f"  {_identifier(box)} --> {_identifier(other)}"
        for box, imported in sorted(graph.items())
        for other in sorted(imported)
    ]
    return "\n".join([*lines, "```", ""])


def first_level(modules: Graph, package: str) -> tuple[int, int]:
    """Returns the number of files and folders at the first level of a package, and of arrows between them."""
    inner = {module: module.split(".")[1] for module in modules if module.startswith(f"{package}.")}
    arrows = {(inner[module], inner[name]) for module in inner for name in modules[module] if name in inner}
    return len(set(inner.values())), sum(source != target for source, target in arrows)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path, known: set[str]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            names |= submodules or {node.module}
    return names & known


def _boxes(modules: Graph) -> dict[str, str]:
    """Returns the box of each module; the `__init__` of a package has none."""
    boxes = {module: folder for module in modules if (folder := _folder(module))}
    for package in PACKAGES:
        inside = {module for module in boxes if module.startswith(f"{package}.")}
        needed = set().union(*(_reached(modules, module) for module in inside))
        for module in {module for module in modules if module.startswith(f"{package}.")} - inside:
            if not _reached(modules, module) & inside:
                boxes[module] = f"{package}.{_BASE}"
            else:
                boxes[module] = module if module in needed else f"{package}.{_FRONT}"
    return boxes


def _folder(module: str) -> str:
    folder = module.split(".")[:2]
    return ".".join(folder) if len(folder) == 2 and ROOT.joinpath(*folder).is_dir() else ""


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = graph[todo.pop()] - found
        found |= new
        todo += new
    return found


def _identifier(box: str) -> str:
    return box.replace(".", "_")


def _label(box: str) -> str:
    package, name = box.split(".")
    if name == _FRONT:
        return f"{package}/*.py"
    if name == _BASE:
        return f"base files of {package}/"
    return f"{name}/" if _folder(box) else f"{name}.py"


def main() -> None:
    """Prints or writes the diagram."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="replace the diagram in docs/architecture.md")
    arguments = parser.parse_args()
    modules = module_graph()
    diagram = mermaid(reduced(folder_graph(modules)))
    if arguments.write:
        PAGE.write_text(_DIAGRAM.sub(lambda _: diagram, PAGE.read_text(encoding="utf-8"), count=1), encoding="utf-8")
        return
    print(diagram)
    for package in PACKAGES:
        size, arrows = first_level(modules, package)
        print(f"{package}: {size} files and folders at the first level, {arrows} arrows between them")


if __name__ == "__main__":
    main()
