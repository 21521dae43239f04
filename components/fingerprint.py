"""Fingerprint of the source behind a node: the part of TFX's cache key that TFX does not compute itself.

TFX keys its cache by inputs and parameters; the code behind a class or a dotted path is not in the key. Each node
therefore has a parameter with a hash of the import closure of its module within `models/`, `components/` and
`serving/`, and of the versions of the packages that this closure imports. The hash covers the code that can change a
result and nothing else, so that an AlexNet that trained for a day is not trained again because a docstring was
reworded, a plot recoloured or a file moved.
"""

import ast
import functools
import hashlib
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parent.parent
_OWN = ("components", "models", "serving")
# Code that no result depends on: it draws, logs and reports, or describes the fields of a configuration.
_REPORTING = ("components.figures", "components.reporting", "models.ranges", "models.settings")


@functools.cache
def fingerprint(*modules: str) -> str:
    """Hashes the source closure of modules and the versions of the packages that it imports.

    Args:
        *modules: Dotted names within `components`, `models` or `serving`, such as "components.trainer".

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: The closure of a module has fewer than two files, so the intended code would be missing from the
            key. The name is then that of a package whose `__init__.py` imports nothing, for example.

    Example:
        >>> len(fingerprint("components.trainer"))
        16
        >>> fingerprint("components")
        Traceback (most recent call last):
            ...
        ValueError: the closure of 'components' has fewer than two files; name the module that holds the code
    """
    files: dict[Path, _Source] = {}
    for module in modules:
        closure = _closure(module)
        if len(closure) < 2:
            raise ValueError(f"the closure of {module!r} has fewer than two files; name the module that holds the code")
        files |= closure
    digest = hashlib.sha256()
    for text in sorted(_text(source) for source in files.values()):
        digest.update(text.encode() + b"\0")
    for package in sorted({package for source in files.values() for package in source.packages}):
        digest.update(f"{package}=={_version(package)}\n".encode())
    return digest.hexdigest()[:16]


class _Source(NamedTuple):
    """The significant content of one file.

    Args:
        code: Its statements without imports of this project's own modules.
        own_imports: Module, imported name ("" for a module as a whole) and local name of each of these imports.
        packages: Third-party packages that it imports.
    """

    code: str
    own_imports: tuple[tuple[str, str, str], ...]
    packages: frozenset[str]


def _closure(module: str) -> dict[Path, _Source]:
    """Returns the source files that a module reaches by imports, including its own."""
    found: dict[Path, _Source] = {}
    todo = [module]
    while todo:
        path = _path(todo.pop())
        if path is not None and path not in found:
            found[path] = _source(path)
            todo += [name for name, _, _ in found[path].own_imports if not _reports(name)]
    return found


def _path(module: str) -> Path | None:
    """Returns the source file of a module; None if there is none."""
    path = _ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _text(source: _Source) -> str:
    """Returns the code of a file and, for each imported name, a hash of the file that defines it.

    The hash replaces that file's name, so that the text stays the same when files move, and changes when a name comes
    from a file of other content.
    """
    imports = [
        f"{local} is {name} of {_content(module)}" for module, name, local in source.own_imports if not _reports(module)
    ]
    return "\n".join([source.code, *sorted(imports)])


def _content(module: str) -> str:
    path = _path(module)
    return hashlib.sha256(_source(path).code.encode()).hexdigest() if path else module


def _source(path: Path) -> _Source:
    return _significant(path.read_text(encoding="utf-8"))


@functools.cache
def _significant(text: str) -> _Source:
    tree = ast.parse(text)
    parts = _SignificantParts(_reporting_names(tree))
    code = ast.unparse(parts.visit(tree))
    return _Source(code, tuple(parts.own_imports), frozenset(parts.packages))


def _reports(module: str) -> bool:
    return f"{module}.".startswith(tuple(f"{package}." for package in _REPORTING))


class _SignificantParts(ast.NodeTransformer):
    """Keeps the statements that can change a result, and collects the imports.

    Removes docstrings, statements that only log or report such as `logging.info(...)` or `tracker.log_metrics(...)`,
    the wording of errors, because an error ends its node, and the metadata of dataclass fields.

    Args:
        reporting: Names in the file bound to loggers and to objects of the reporting packages.
    """

    def __init__(self, reporting: set[str]) -> None:
        self._reporting = reporting
        self.own_imports: list[tuple[str, str, str]] = []
        self.packages: set[str] = set()

    def generic_visit(self, node: ast.AST) -> ast.AST:
        node = super().generic_visit(node)
        if getattr(node, "body", None) == []:
            setattr(node, "body", [ast.Pass()])  # noqa: B010 - `ast.AST` declares no body, several of its subclasses do
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) or _root(node.value) in self._reporting:
            return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if _root(node.value) == "logging" else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _root(node.func) == "field":  # a range is checked before a run, so no result depends on it
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "metadata"]
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        own = [alias for alias in node.names if _is_own(alias.name)]
        self.own_imports += [(alias.name, "", alias.asname or alias.name) for alias in own]
        self.packages |= {alias.name.split(".")[0] for alias in node.names if alias not in own}
        return None if own or node.names[0].name == "logging" else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        module = node.module or ""
        if not _is_own(module):
            self.packages.add(module.split(".")[0])
            return node
        for alias in node.names:
            submodule = f"{module}.{alias.name}"
            whole = _path(submodule) is not None
            self.own_imports.append(
                (submodule if whole else module, "" if whole else alias.name, alias.asname or alias.name)
            )
        return None


def _is_own(module: str) -> bool:
    return module.split(".")[0] in _OWN


def _reporting_names(tree: ast.Module) -> set[str]:
    """Returns the names bound to loggers, to objects of the reporting packages and to their return values."""
    names = {"logging"}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)):
                names |= {a.asname or a.name for a in node.names if _reports(f"{module}.{a.name}")}
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as value) if _root(value) in names:
                names.add(name)
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if _root(annotation) in names:
                names.add(name)
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)) if _root(value) in names:
                names.add(name)
    return names


def _root(node: ast.AST) -> str:
    """Returns the name at the start of a chain of calls and attributes: "tracker" in `tracker.log_metrics(...)`."""
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _version(package: str) -> str:
    distributions = _distributions().get(package, [])
    return ",".join(sorted(importlib.metadata.version(name) for name in set(distributions)))
