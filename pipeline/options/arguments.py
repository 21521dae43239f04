"""Command line of `run` and `show` to RunConfig.

From weakest to strongest, a value comes from the preset (the one named, otherwise the one for the data), from
VISION_TFX_HOME, from --config FILE, from the other options.
"""

import dataclasses
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.errors import UsageError
from components.sources.imagenet import ALIAS, DATA
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.options.command_line import CommandLine, split
from pipeline.options.config_file import ConfigFile, call, fields_parser, refuse_foreign
from pipeline.options.keys import as_option, flatten, keys_of, sections
from pipeline.options.suggestions import did_you_mean, nearest
from pipeline.presets import FOLDER_PLACEHOLDER, PRESETS


@dataclasses.dataclass(frozen=True)
class Request:
    """The request of a command line.

    Args:
        config: The resolved configuration.
        given: Keys that the user set, on the command line or in a file that holds some keys only. A whole file, as
            `vision-tfx show` prints it, sets no key in particular.
        predict: Images to show to the pushed model after the run.
    """

    config: RunConfig
    given: frozenset[str] = frozenset()
    predict: tuple[str, ...] = ()


def parse(words: Sequence[str], verb: str = "run", description: str = "") -> Request:
    """Reads `[PRESET] [--config FILE] [--KEY VALUE]...`; `--help` among the words prints the help page and exits.

    Args:
        words: The words behind the verb.
        verb: Name of the verb, for the help page.
        description: Description of the verb, for the help page.

    Raises:
        UsageError: An unknown key or preset, a value of the wrong type, an unreadable file.

    Example:
        >>> request = parse(["digits-dbn", "--training.epochs", "7"])
        >>> request.config.training.epochs, request.config.training.batch_size, sorted(request.given)
        (7, 50, ['training.epochs'])
    """
    options = {key: value or "" for key, value in split(words)}
    helped = {"-h", "--help"} & set(words)
    file = ConfigFile.read(options["config"]) if options.get("config") and not helped else ConfigFile()
    family = _family(options, file.tree)
    if not helped:
        refuse_foreign(options, family, spelled=as_option)
    values = _command_line(family, verb, description).read(words, defaults=False).as_dict()
    preset, _, predict = (values.pop(key, None) for key in ("preset", "config", "predict"))
    in_file = file.values(family)
    config = resolve(preset, _merged(in_file, values), has_file=bool(file.path))
    given = frozenset(flatten(values)) | frozenset(() if file.whole else flatten(in_file))
    return Request(config, given, tuple(predict or ()))


def resolve(preset: str | None, overrides: Mapping[str, Any], *, has_file: bool = False) -> RunConfig:
    """Lays values over a preset.

    Args:
        preset: Name of the preset; None for the one that fits the data.
        overrides: Values, nested.
        has_file: Whether a file was named, so that neither preset nor data need be.

    Raises:
        UsageError: No preset and no data was named, or there is no such preset.
    """
    data = overrides.get("data")
    if preset is None and data is None and not has_file:
        raise UsageError(
            f"neither a preset nor data is named; name a preset ({', '.join(PRESETS)}) or --data folder:PATH"
        )
    base = PRESETS[_preset_name(preset) if preset is not None else _preset_for(str(data or "digits"))].config
    home = os.environ.get("VISION_TFX_HOME") or base.home
    family = _nested(overrides, "model", "family") or base.model.family
    if family != base.model.family:
        base = dataclasses.replace(base, model=RUN_TYPES[family](name="").model)
    merged = _merged(dataclasses.asdict(base), {"home": home}, overrides)
    merged["data"] = _absolute(merged["data"])
    merged |= {key: _expanded(merged[key]) for key in ("home", "data_dir", "manual_dir", "wordnet_dir")}
    if "name" not in overrides and base.data == FOLDER_PLACEHOLDER:
        merged["name"] = _default_name(merged["data"], base.name)
    keys = keys_of()
    for section in sections(keys) & set(flatten(merged)):
        example = next(key for key in keys if key.startswith(f"{section}."))
        raise UsageError(f"{section} is a section, not a value; set its keys, such as {example}")
    if merged["model"].get("initial_weights"):
        merged["model"]["initial_weights"] = str(Path(merged["model"]["initial_weights"]).expanduser().resolve())
    parser = fields_parser(family)
    return RunConfig(**vars(parser.instantiate(call(parser.parse_object, merged))))


def _command_line(family: str, verb: str, description: str) -> CommandLine:
    line = CommandLine(verb, description)
    line.add("preset", f"One of {', '.join(PRESETS)}.", nargs="?", metavar="PRESET")
    line.add("--config", "YAML file as `vision-tfx show` prints it, whole or in part.", metavar="FILE")
    line.add(
        "--predict", "Image to show to the pushed model after the run; may be repeated.",
        metavar="IMAGE", action="append",
    )  # fmt: skip
    line.add(
        "--name", "Name of the pipeline, the MLflow experiment and the served model; by default that of the preset, or "
        "for the presets of a folder that of the folder.", default="",
    )  # fmt: skip
    line.add_fields(RUN_TYPES[family], skip={"name"})
    return line


def _family(options: Mapping[str, str], tree: Mapping[str, Any]) -> str:
    """The family that the command line or the file names, otherwise the preset's."""
    named = options.get("model.family") or _nested(tree, "model", "family")
    if named in RUN_TYPES:
        return str(named)
    preset = options.get("")
    data = options.get("data") or tree.get("data")
    preset = preset if preset in PRESETS else _preset_for(str(data or "digits"))
    return PRESETS[preset].config.model.family


def _nested(tree: Mapping[str, Any], *keys: str) -> Any:
    """The value under nested keys, or None if there is none."""
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


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
    """Data without alias and with an absolute PATH in folder:PATH, so that a folder has one configuration only."""
    if data == ALIAS:
        return DATA
    if not isinstance(data, str) or not data.startswith("folder:") or data == FOLDER_PLACEHOLDER:
        return data
    path = data.removeprefix("folder:")
    return "folder:" + str(Path(path).expanduser().resolve()) if path else data


def _expanded(path: Any) -> Any:
    """A path without ~, which no shell replaces in a file or behind an equals sign."""
    return str(Path(path).expanduser()) if isinstance(path, str) and path.startswith("~") else path


def _default_name(data: str, fallback: str) -> str:
    """A name that folders, MLflow and model servers accept: the data's, in lower-case ASCII with dashes."""
    kind, _, rest = str(data).partition(":")
    if not rest or data == FOLDER_PLACEHOLDER:
        return fallback
    stem = Path(rest).name if kind == "folder" else rest
    ascii_only = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-") or fallback


def _merged(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over one another, the later over the earlier."""
    result: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = _merged(result[key], value) if nested else value
    return result
