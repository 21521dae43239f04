"""Fingerprint of a station's source: what TFX's cache key does not cover by itself.

TFX keys its cache by inputs and parameters; code reached by a class or a dotted path does not enter it. Each station
gets the hash of its module's import closure within `models/` and `components/` and of the versions of the packages
that those modules import, so that changing the colour of a figure does not ingest ImageNet again.
"""

import ast
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_OWN = ("components", "models", "serving")
# What a module draws, records or says does not change what it computes.
_WITHOUT_EFFECT = {
    "components.figures",
    "components.drawing",
    "components.rbm_figures",
    "components.rbm_readings",
    "components.layer_pictures",
    "components.tracking",
    "components.progress",
    "components.fingerprint",
}


@functools.cache
def fingerprint(*modules: str) -> str:
    """Hash of the source closure of modules and of the versions of the packages they import.

    Args:
        *modules: dotted names within `components`, `models` or `serving`, such as "components.trainer".

    Returns:
        16 hexadecimal digits.
    """
    sources, packages = _closure(modules)
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    for package in sorted(packages):
        digest.update(f"{package}=={_version(package)}\n".encode())
    return digest.hexdigest()[:16]


def _closure(modules: tuple[str, ...]) -> tuple[set[Path], set[str]]:
    sources: set[Path] = set()
    packages: set[str] = set()
    todo = list(modules)
    while todo:
        path = _path(todo.pop())
        if path is None or path in sources:
            continue
        sources.add(path)
        for name in _imports(path):
            if name.split(".")[0] not in _OWN:
                packages.add(name.split(".")[0])
            elif name not in _WITHOUT_EFFECT:
                todo.append(name)
    return sources, packages


def _path(module: str) -> Path | None:
    """The source file of a module; none for a name that is not a module (a function imported by `from`)."""
    path = _ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _version(package: str) -> str:
    distributions = _distributions().get(package, [])
    return ",".join(sorted(importlib.metadata.version(name) for name in set(distributions)))
