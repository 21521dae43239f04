"""`vision-tfx serve`: a model server that speaks TensorFlow Serving's protocol over gRPC and REST."""

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from docstring_parser import parse as parse_docstring

from components.errors import UsageError, VisionTfxError
from pipeline.cli import Parser, add_home
from pipeline.home import Home
from pipeline.pushed_models.pushed_model import pushed_models
from pipeline.streams import quiet
from serving.config import ServerConfig

if TYPE_CHECKING:
    from serving.manager.model_config import ModelConfig
    from serving.server import Addresses

_DESCRIPTION = """A model server that speaks TensorFlow Serving's protocol: gRPC on --port, REST and a demo page on
--rest-api-port. Without --model-base-path and --model-config-file it serves all that was pushed below --home, or the
one that --model-name names. Options and defaults are those of TensorFlow Serving, with - or _ between the words; what
it lacks is marked *."""


def main(arguments: Sequence[str]) -> int:
    """Serves until Ctrl-C or SIGTERM."""
    given = vars(_parser().parse_args([_normal(word) for word in arguments]))
    home = Home(Path(given.pop("home")).expanduser())
    config = ServerConfig(**given)
    models = None if config.model_base_path or config.model_config_file else _pushed(home, given.get("model_name"))
    _load_tensorflow()
    from serving.errors import Code, ServingError
    from serving.server import run_server

    try:
        run_server(config, _tell, None if models is None else _model_configs(models))
    except ServingError as error:
        wrong_usage = error.code is Code.INVALID_ARGUMENT
        raise (UsageError if wrong_usage else VisionTfxError)(error.message) from error
    return 0


def _boolean(word: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[word.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false") from None


_TYPES: dict[type, dict] = {
    int: {"type": int, "metavar": "N"},
    float: {"type": float, "metavar": "X"},
    str: {"metavar": "TEXT"},
    bool: {"type": _boolean, "nargs": "?", "const": True, "metavar": "true|false"},
}


def _parser() -> Parser:
    parser = Parser(prog="vision-tfx serve", description=_DESCRIPTION, usage="%(prog)s [--OPTION VALUE]...")
    helps = {each.arg_name: each.description or "" for each in parse_docstring(ServerConfig.__doc__ or "").params}
    for field in dataclasses.fields(ServerConfig):
        # Only what was given, so that a model's name has a default only where there is one path.
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=field.name,
            default=argparse.SUPPRESS,
            help=f"{helps[field.name].rstrip('.').replace('%', '%%')}; default: {_word(field.default)}",
            **_TYPES[field.type],  # type: ignore[index]
        )
    add_home(parser)
    return parser


def _word(value: object) -> str:
    return "none" if value == "" else str(value).lower()


def _normal(word: str) -> str:
    """`--rest_api_port=8501`, as TensorFlow Serving has it, is `--rest-api-port=8501`."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _pushed(home: Home, name: str | None) -> dict[str, Path]:
    """Returns the base paths of pushed models by name: all, or the one named."""
    cure = "--home chooses another home, and --model-base-path a folder of any SavedModel's versions"
    return {model.name: model.folder.parent.resolve() for model in pushed_models(home, name, cure)}


def _model_configs(base_paths: dict[str, Path]) -> "list[ModelConfig]":
    from serving.manager.model_config import ModelConfig

    return [ModelConfig(name, str(path)) for name, path in base_paths.items()]


def _load_tensorflow() -> None:
    # Its start-up says nothing that an operator needs; what comes later is on stderr.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if "tensorflow" not in sys.modules:
        with quiet("Loading TensorFlow"):
            import tensorflow as tf

            tf.get_logger().setLevel(logging.ERROR)


def _tell(_: object, addresses: "Addresses") -> None:
    said = [f"REST {addresses.rest}"] if addresses.rest else []
    grpc = " and ".join(filter(None, (addresses.grpc, addresses.grpc_socket)))
    said += [f"gRPC {grpc}"] if grpc else []
    print(f"Serving: {', '.join(said)} (Ctrl-C ends it)", flush=True)
