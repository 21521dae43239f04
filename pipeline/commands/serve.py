"""`vision-tfx serve`: a model server compatible with TensorFlow Serving, over gRPC and REST."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import UsageError, VisionTfxError
from pipeline.home import Home
from pipeline.options.command_line import CommandLine, default_home
from pipeline.pushed_models.pushed_model import pushed_models
from pipeline.streams import quiet
from serving.config import ServerConfig

if TYPE_CHECKING:
    from serving.manager.model_config import ModelConfig
    from serving.server import Addresses

_DESCRIPTION = """Serves models with TensorFlow Serving's protocol: gRPC on --port, REST and a demo page on
--rest-api-port. Without --model-base-path and --model-config-file it serves all models pushed in --home, or only the
one that --model-name names. Options and defaults are those of TensorFlow Serving; options that it lacks are marked *.
Dashes and underscores are interchangeable, and an option that is true or false means true if it has no value."""


def main(arguments: Sequence[str]) -> int:
    """Serves until Ctrl-C or SIGTERM."""
    line = CommandLine("serve", _DESCRIPTION)
    line.add_fields(ServerConfig)
    line.add_home()
    # Only the options that were given: a name without a base path chooses one of the pushed models.
    given = line.read(arguments, defaults=False).as_dict()
    home = Home(Path(given.pop("home", default_home())).expanduser())
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


def _pushed(home: Home, name: str | None) -> dict[str, Path]:
    """Returns the base paths of pushed models by name: all, or the one named."""
    cure = "--home chooses another home, and --model-base-path a folder of any SavedModel's versions"
    return {model.name: model.folder.parent.resolve() for model in pushed_models(home, name, cure)}


def _model_configs(base_paths: dict[str, Path]) -> "list[ModelConfig]":
    from serving.manager.model_config import ModelConfig

    return [ModelConfig(name, str(path)) for name, path in base_paths.items()]


def _load_tensorflow() -> None:
    # Nothing in TensorFlow's start-up log helps an operator; later messages appear on stderr.
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
    print(f"Serving: {', '.join(said)} (Ctrl-C stops it)", flush=True)
