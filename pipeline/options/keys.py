"""Keys of a configuration, such as "model.hidden_units", with the type and the facts that stand at each field."""

import dataclasses
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from models.ranges import Range
from models.settings import Reader, setting_of
from pipeline.config import RunConfig

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class Key(NamedTuple):
    """A key of a configuration.

    Args:
        type: Type of its values.
        default: Its default; None for a key without one.
        accepts: Range of its numbers, for a list of each element; None for a key that holds no number.
        readers: Parts of a run that read it, those of the enclosing sections among them; empty if every run reads it.
    """

    type: Any
    default: Any
    accepts: Range | None
    readers: tuple[Reader, ...]


def keys_of(config: type = RunConfig, prefix: str = "", readers: tuple[Reader, ...] = ()) -> dict[str, Key]:
    """Lists the keys of a configuration and of those nested in it.

    Args:
        config: Type of the configuration, a dataclass.
        prefix: Start of every key, such as "model.".
        readers: Parts of a run that read the whole configuration.

    Example:
        >>> key = keys_of()["training.max_norm"]
        >>> print(accepted(key.type), key.accepts, sep=", ")
        a number or none, above 0 and at most 1e+06
    """
    found: dict[str, Key] = {}
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        hint, facts = hints[field.name], setting_of(field.metadata)
        nested = [part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)]
        if not nested:
            default = None if field.default is dataclasses.MISSING else field.default
            found[prefix + field.name] = Key(hint, default, facts.accepts, readers + facts.readers)
        for part in nested:
            found |= keys_of(part, f"{prefix}{field.name}.", readers + facts.readers)  # type: ignore[arg-type]
    return found


def sections(keys: Iterable[str]) -> set[str]:
    """Returns the keys of the nested configurations that hold other keys.

    Example:
        >>> sections(["seed", "training.epochs", "training.momentum"])
        {'training'}
    """
    return {key.rpartition(".")[0] for key in keys} - {""}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Joins the keys of nested mappings with dots.

    Example:
        >>> flatten({"seed": 1, "model": {"channels": 3}})
        {'seed': 1, 'model.channels': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def accepted(hint: Any) -> str:
    """Describes the values that a type accepts.

    Example:
        >>> accepted(int), accepted(float | None), accepted(Literal["cosine", "constant"])
        ('a whole number', 'a number or none', 'one of cosine, constant')
    """
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


def as_option(key: str) -> str:
    """Returns a key as it is written on the command line.

    Example:
        >>> as_option("model.hidden_units")
        '--model.hidden-units'
    """
    return "--" + key.replace("_", "-")
