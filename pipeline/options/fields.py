"""The keys of a configuration, what each accepts in words, and which of them somebody may have meant."""

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.config import RunConfig

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def field_types(config: type = RunConfig, prefix: str = "") -> dict[str, Any]:
    """Every key of a configuration, such as "model.hidden_units", with its type; nested configurations included."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(config).items():
        nested = [part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)]
        if not nested:
            found[prefix + name] = hint
        for part in nested:
            found |= field_types(part, f"{prefix}{name}.")  # type: ignore[arg-type]
    return found


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"channels": 1}} as {"model.channels": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def accepted(hint: Any) -> str:
    """What a type accepts, in words: "a whole number", "one of cosine, constant", "a number or none"."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments)) if len(arguments) > 1 else str(arguments[0])
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a list of {count}whole numbers such as [{', '.join(['28'] * max(2, len(arguments)))}]"
    if origin in (Union, types.UnionType):
        return " or ".join("none" if part is types.NoneType else accepted(part) for part in arguments)
    return str(hint)


def nearest(key: str, known: Iterable[str]) -> list[str]:
    """The known keys that a wrong one may stand for, best first: same last part, else similar spelling; at most 3."""
    known = list(known)
    leaves = {name: name.rpartition(".")[2] for name in known}
    leaf = key.rpartition(".")[2]
    same = [name for name in known if leaves[name] == leaf]
    if same:
        return difflib.get_close_matches(key, same, n=3, cutoff=0.0)
    similar = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if similar:
        return similar
    close = difflib.get_close_matches(leaf, leaves.values(), n=1, cutoff=0.6)
    return [name for name in known if leaves[name] in close][:3]


def did_you_mean(candidates: Iterable[str]) -> str:
    """The cure at the end of an error: "; did you mean x or y?", or nothing where there is no candidate."""
    text = " or ".join(candidates)
    return f"; did you mean {text}?" if text else ""
