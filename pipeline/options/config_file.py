"""Configuration files: YAML as `vision-tfx show` prints it, whole or in part."""

import dataclasses
from argparse import ArgumentError
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from components.errors import UsageError
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.options.command_line import one_line, wrong_value
from pipeline.options.keys import flatten, keys_of, sections
from pipeline.options.suggestions import did_you_mean, nearest

_CURE = "write one with `vision-tfx show PRESET > FILE`"


@dataclasses.dataclass(frozen=True)
class ConfigFile:
    """A configuration file; without arguments, no file.

    Args:
        path: Path of the file, for messages.
        text: Text of the file.
        tree: Values in the file, nested, not yet checked.

    Example:
        >>> _ = Path("part.yaml").write_text("training: {epochs: 7}")
        >>> file = ConfigFile.read("part.yaml")
        >>> file.values("dbn"), file.whole
        ({'training': {'epochs': 7}}, False)
    """

    path: str = ""
    text: str = ""
    tree: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> "ConfigFile":
        """Reads a file.

        Raises:
            UsageError: The file cannot be read or is not YAML.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            tree = yaml.safe_load(text) or {}
        except FileNotFoundError:
            raise UsageError(f"there is no configuration file {path}; {_CURE}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"the configuration file {path} cannot be read: {reason}; make it readable") from None
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{path} is not YAML: {one_line(error)}; {_CURE}") from None
        if not isinstance(tree, dict):
            raise UsageError(f"{path} does not consist of `key: value` lines; {_CURE}")
        return cls(path, text, tree)

    @property
    def whole(self) -> bool:
        """Whether every top-level key is there, as `vision-tfx show` prints them.

        Such a file is a configuration as a whole, with the values that a preset has for other objectives. It does not
        tell which of its values a user set.
        """
        return {field.name for field in dataclasses.fields(RunConfig)} <= self.tree.keys()

    def values(self, family: str) -> dict[str, Any]:
        """The values, nested, of the right types.

        Args:
            family: Family of the model.

        Raises:
            UsageError: A key is unknown, or a value has another type.
        """
        if not self.tree:
            return {}
        keys, where = flatten(self.tree), f" in {self.path}"
        refuse_foreign(keys, family, where)
        _refuse_unknown(keys, family, where)
        return dict(call(fields_parser(family).parse_string, self.text, defaults=False).as_dict())


def to_yaml(config: RunConfig) -> str:
    """Prints every field of a configuration as YAML, which `--config` reads back unchanged.

    Example:
        >>> to_yaml(RunConfig("birds", data="folder:/birds")).splitlines()[:2]
        ['name: birds', 'data: folder:/birds']
    """
    parser = fields_parser(config.model.family)
    return str(parser.dump(parser.parse_object(dataclasses.asdict(config)), skip_unset=False))


def fields_parser(family: str) -> ArgumentParser:
    """The parser for the fields of a configuration, in a file or as nested values.

    Args:
        family: Family of the model.
    """
    parser = ArgumentParser(exit_on_error=False)
    # With a default for the name, a file may omit it.
    parser.add_argument("--name", type=str, default="")
    parser.add_class_arguments(RUN_TYPES[family], as_group=False, skip={"name"})
    return parser


def call(parse: Callable[..., Namespace], *arguments: Any, **options: Any) -> Namespace:
    """Calls a method of a parser of fields.

    Raises:
        UsageError: The method reported an error.
    """
    try:
        return parse(*arguments, **options)
    except ArgumentError as error:
        types = {key: each.type for key, each in keys_of().items()}
        raise UsageError(wrong_value(error, types) or one_line(error)) from None


def refuse_foreign(keys: Iterable[str], family: str, where: str = "", spelled: Callable[[str], str] = str) -> None:
    """Refuses keys of models of another family.

    Args:
        keys: Keys that a user gave.
        family: Family of the model.
        where: Place of the keys, for the message.
        spelled: Spelling of a key there.

    Raises:
        UsageError: One of the keys belongs to another family.
    """
    for key in keys:
        if key in keys_of() and key not in keys_of(RUN_TYPES[family]):
            raise UsageError(
                f"{spelled(key)}{where} belongs to another family of models than {family}, the family of this one; "
                "leave it out, or name a preset of the other family"
            )


def _refuse_unknown(keys: Iterable[str], family: str, where: str) -> None:
    known = keys_of(RUN_TYPES[family])
    for key in keys:
        if key not in known and key not in sections(known):
            raise UsageError(f"there is no key {key}{where}{did_you_mean(nearest(key, known))}")
