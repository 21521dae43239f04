"""Command line and YAML to RunConfig, and back.

jsonargparse parses and checks types; this module decides what overrides what. From weakest
to strongest: the preset (the one named, else the one for the data), VISION_TFX_HOME, --config FILE, other options.
"""

import dataclasses
import os
import re
import unicodedata
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from components.errors import UsageError
from components.sources.imagenet import ALIAS, DATA
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.options.fields import accepted, did_you_mean, field_types, flatten, nearest
from pipeline.presets import FOLDER_PLACEHOLDER, PRESETS

_TYPES = field_types()
_GROUPS = {name.rpartition(".")[0] for name in _TYPES} - {""}
_OPTIONS = {"config", "predict", "help"}


@dataclasses.dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Args:
        config: The resolved configuration.
        predict: Images to show to the pushed model afterwards.
    """

    config: RunConfig
    predict: tuple[str, ...] = ()


def parse(arguments: Sequence[str]) -> Request:
    """Reads `[PRESET] [--config FILE] [--KEY VALUE]...`.

    Raises:
        UsageError: An unknown key or preset, a value of the wrong type, an unreadable file.
    """
    arguments = [_normal(token) for token in arguments]
    options = dict(_options(arguments))
    text, tree = _read(options["config"]) if options.get("config") else ("", {})
    family = _family(options, tree)
    _refuse_unknown([key for key in options if key], family, option=True)
    given = _parsed(_command_line(family).parse_args, _quoted_values(arguments), defaults=False).as_dict()
    preset, file, predict = given.pop("preset", None), given.pop("config", None), given.pop("predict", None)
    overrides = _merged(_checked(text, tree, file, family) if file else {}, given)
    return Request(resolve(preset, overrides, has_file=file is not None), tuple(predict or ()))


def resolve(preset: str | None, overrides: Mapping[str, Any], *, has_file: bool = False) -> RunConfig:
    """Lays overrides (nested) over a preset; without a preset, over the one that fits the data."""
    data = overrides.get("data")
    if preset is None and data is None and not has_file:
        raise UsageError(f"nothing to run was named: give a preset ({', '.join(PRESETS)}) or --data folder:PATH")
    base = PRESETS[_preset_name(preset) if preset is not None else _preset_for(str(data or "digits"))].config
    home = os.environ.get("VISION_TFX_HOME") or base.home
    family = _nested(overrides, "model", "family") or base.model.family
    if family != base.model.family:
        base = dataclasses.replace(base, model=RUN_TYPES[family](name="").model)
    merged = _merged(dataclasses.asdict(base), {"home": home}, overrides)
    merged["data"] = _absolute(merged["data"])
    if merged["model"].get("initial_weights"):
        merged["model"]["initial_weights"] = str(Path(merged["model"]["initial_weights"]).expanduser().resolve())
    merged |= {key: _expanded(merged[key]) for key in ("home", "data_dir", "manual_dir", "wordnet_dir")}
    if "name" not in overrides and base.data == FOLDER_PLACEHOLDER:
        merged["name"] = _default_name(merged["data"], base.name)
    for group in _GROUPS & set(flatten(merged)):
        example = next(key for key in _TYPES if key.startswith(f"{group}."))
        raise UsageError(f"{group} has keys of its own, such as {example}; set those")
    parser = _fields(family)
    return RunConfig(**vars(parser.instantiate(_parsed(parser.parse_object, merged))))


def to_yaml(config: RunConfig) -> str:
    """Every field as YAML that `--config` takes back unchanged."""
    parser = _fields(config.model.family)
    return str(parser.dump(parser.parse_object(dataclasses.asdict(config)), skip_unset=False))


def help_text(program: str, description: str, arguments: Sequence[str] = ()) -> str:
    """The help page of a command that takes a configuration, with the keys of the model that the arguments name."""
    parser = _command_line(_family(dict(_options([_normal(token) for token in arguments])), {}), program, description)
    return re.sub(r"--([\w.]+)", lambda option: _as_option(option[1]), parser.format_help())


def _fields(family: str, **options: Any) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, **options)
    # With a default for the name, a file or a command line may leave it out.
    parser.add_argument("--name", type=str, default="", help="Name of pipeline, MLflow experiment and served model.")
    parser.add_class_arguments(RUN_TYPES[family], as_group=False, skip={"name"})
    return parser


def _command_line(family: str, program: str = "vision-tfx run", description: str = "") -> ArgumentParser:
    parser = _fields(family, prog=program, description=description)
    parser.add_argument("preset", nargs="?", metavar="PRESET", help=f"One of {', '.join(PRESETS)}.")
    parser.add_argument("--config", metavar="FILE", help="YAML as `vision-tfx show` prints it; may be partial.")
    parser.add_argument(
        "--predict", metavar="IMAGE", action="append", help="Show this image to the pushed model afterwards."
    )
    return parser


def _parsed(parse: Callable[..., Namespace], *arguments: Any, **options: Any) -> Namespace:
    """Calls one of the parser's methods and turns its error, if any, into one sentence."""
    try:
        return parse(*arguments, **options)
    except ArgumentError as error:
        raise UsageError(_sentence(str(error))) from None


def _sentence(message: str) -> str:
    key = re.search(r'Parser key "([\w.]+)"', message)
    value = re.search(r"(?:Got|Given) value: (.*)", message)
    if key and value and key[1] in _TYPES:
        return f"{key[1]} must be {accepted(_TYPES[key[1]])}, not {value[1]!r}"
    return " ".join(message.split())


def _normal(token: str) -> str:
    """--model.hidden-units=[1] as --model.hidden_units=[1]: dashes and underscores are one."""
    if not token.startswith("--"):
        return token
    key, equals, value = token.partition("=")
    return "--" + key[2:].replace("-", "_") + equals + value


def _quoted_values(arguments: Sequence[str]) -> list[str]:
    """Values as YAML has them: none as null, 500,500 as [500,500]."""
    result: list[str] = []
    for token in arguments:
        key, equals, value = token.partition("=") if token.startswith("--") else ("", "", token)
        previous = result[-1] if result else ""
        owner = key[2:] if equals else previous[2:] if previous.startswith("--") else ""
        result.append(key + equals + _yaml_value(value, _TYPES.get(owner)) if equals or not key else token)
    return result


def _yaml_value(value: str, hint: Any) -> str:
    if value.lower() == "none" and "none" in accepted(hint):
        return "null"
    if re.fullmatch(r"[\d, ]+", value) and "a list" in accepted(hint):
        return f"[{value}]"
    return value


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options of a command line with their values; what is no option's value, the preset, under the empty name."""
    owner = ""
    for token in arguments:
        if token.startswith("--"):
            owner, equals, value = token[2:].partition("=")
            yield owner, value
            owner = "" if equals else owner
        else:
            yield owner, token
            owner = ""


def _family(options: Mapping[str, str], tree: Mapping[str, Any]) -> str:
    """The family of the model that is meant: named on the command line or in the file, else the preset's."""
    named = options.get("model.family") or _nested(tree, "model", "family")
    if named in RUN_TYPES:
        return str(named)
    preset = options.get("")
    data = options.get("data") or tree.get("data")
    preset = preset if preset in PRESETS else _preset_for(str(data or "digits"))
    return PRESETS[preset].config.model.family


def _nested(tree: Mapping[str, Any], *keys: str) -> Any:
    """The value under nested keys, or none where there is no such value."""
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _read(path: str) -> tuple[str, dict[str, Any]]:
    """A configuration file's text, and what it says."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = yaml.safe_load(text) or {}
    except FileNotFoundError:
        raise UsageError(f"there is no configuration file {path}: `vision-tfx show PRESET > FILE` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration file {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UsageError(f"{path} must hold `key: value` lines as `vision-tfx show PRESET` prints them")
    return text, tree


def _checked(text: str, tree: dict[str, Any], path: str, family: str) -> dict[str, Any]:
    """A file's values, of the right types."""
    if not tree:
        return {}
    _refuse_unknown(flatten(tree), family, where=f" in {path}")
    return dict(_parsed(_fields(family).parse_string, text, defaults=False).as_dict())


def _refuse_unknown(
    keys: Sequence[str] | Mapping[str, Any], family: str, *, option: bool = False, where: str = ""
) -> None:
    mine = field_types(RUN_TYPES[family])
    known = [*mine, *sorted(_OPTIONS)] if option else list(mine)
    for key in keys:
        if key in known or key in _GROUPS:
            continue
        wrong, *meant = (_as_option(name) if option else name for name in (key, *nearest(key, known)))
        if key in _TYPES:
            raise UsageError(
                f"{wrong}{where} is a key of other models, but this one's family is {family}; leave it out, or name a "
                f"preset of the other family"
            )
        raise UsageError(f"there is no {'option' if option else 'key'} {wrong}{where}{did_you_mean(meant)}")


def _as_option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _preset_name(given: str) -> str:
    if given in PRESETS:
        return given
    if given.startswith(("folder:", "tfds:")):
        raise UsageError(f"{given} is data, not a preset; did you mean --data {given}?")
    if Path(given).is_dir():
        raise UsageError(f"{given} is a folder, not a preset; did you mean --data folder:{given}?")
    if Path(given).suffix in (".yaml", ".yml"):
        raise UsageError(f"{given} is a file, not a preset; did you mean --config {given}?")
    close = [name for name in PRESETS if name.startswith(given)] or nearest(given, PRESETS)
    raise UsageError(f"there is no preset {given} (`vision-tfx presets` lists all){did_you_mean(close)}")


def _preset_for(data: str) -> str:
    data = _absolute(data)
    fitting = [name for name, preset in PRESETS.items() if preset.config.data == data]
    return fitting[0] if fitting else "folder-dbn"


def _absolute(data: Any) -> Any:
    """folder:PATH with an absolute PATH: one folder is one configuration, from wherever it is named; no alias."""
    if data == ALIAS:
        return DATA
    if not isinstance(data, str) or not data.startswith("folder:") or data == FOLDER_PLACEHOLDER:
        return data
    path = data.removeprefix("folder:")
    return "folder:" + str(Path(path).expanduser().resolve()) if path else data


def _expanded(path: Any) -> Any:
    """~ where no shell has replaced it: in a file, or behind an equals sign."""
    return str(Path(path).expanduser()) if isinstance(path, str) and path.startswith("~") else path


def _default_name(data: str, fallback: str) -> str:
    """A name that folders, MLflow and model servers all take: the data's, in lower-case ASCII with dashes."""
    kind, _, rest = str(data).partition(":")
    if not rest or data == FOLDER_PLACEHOLDER:
        return fallback
    stem = Path(rest).name if kind == "folder" else rest
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-") or fallback


def _merged(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over one another; later ones win."""
    result: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = _merged(result[key], value) if nested else value
    return result
