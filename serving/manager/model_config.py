"""Configuration of the served models, from TensorFlow Serving's model config file and flags."""

import ntpath
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.manager.version_policy import VersionPolicy
from serving.storage.paths import is_uri, lies_in, read_bytes

PLATFORM = "tensorflow"
_TENSORFLOW = 1  # of the deprecated enum ModelType
_PROTO = "tensorflow.serving.ModelServerConfig"


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of one model.

    Args:
        name: Name of the model in requests.
        base_path: Absolute path or URI of the folder that holds one folder per version.
        policy: Versions to serve.
        labels: Version numbers by version label.
        platform: Platform of the model; "tensorflow" is the only one that is served.

    Example:
        >>> ModelConfig("digits", "/models/digits").policy
        VersionPolicy(newest=1, specific=None)
    """

    name: str
    base_path: str
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = PLATFORM


def configured_models(config: ServerConfig) -> list[ModelConfig]:
    """Returns the models that a server's settings name: the ones in the config file, or the one base path.

    Raises:
        ServingError: INVALID_ARGUMENT: The settings name no model, or the file is invalid.
    """
    if config.model_config_file:
        return read_config_file(config.model_config_file) or []
    if not config.model_base_path:
        raise invalid("there is nothing to serve; give --model-base-path or --model-config-file")
    path = config.model_base_path
    return [ModelConfig(config.model_name, path if is_uri(path) else os.path.abspath(path))]  # noqa: PTH100


def read_config_file(path: str) -> list[ModelConfig] | None:
    """Returns the models of a config file; None for an empty file, which changes nothing.

    Args:
        path: Path or URI of a `ModelServerConfig` in protobuf's text format.

    Raises:
        ServingError: INVALID_ARGUMENT: The file cannot be read, or is invalid. FAILED_PRECONDITION: It has a
            `custom_model_config`.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> text = 'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" } }'
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "models.config").write_text(text)
        ...     [model] = read_config_file(f"{folder}/models.config")
        >>> model.name, model.base_path
        ('m', '/m')
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        text = read_bytes(path)
    except Exception as error:  # a file system may raise anything
        raise invalid(f"cannot read the model config file {path}: {error}") from error
    try:
        proto = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid(f"Error parsing text-format {_PROTO}: {path}:{error}") from error
    if proto.WhichOneof("config") == "custom_model_config":
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Cannot transition to requested config: {path} has a custom_model_config; list its models in a "
            "model_config_list",
        )
    return None if proto.WhichOneof("config") is None else _models(proto)


def reloaded_models(proto: Any) -> list[ModelConfig]:
    """Returns the models of the `ModelServerConfig` in a HandleReloadConfigRequest.

    Raises:
        ServingError: INVALID_ARGUMENT: The message is not a list of models, or a model in it is invalid.
    """
    if proto.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    return _models(proto)


def check(models: Sequence[ModelConfig], served: Iterable[ModelConfig] = (), roots: Sequence[str] = ()) -> None:
    """Refuses models that cannot be served together, or in place of the ones that are served now.

    Args:
        models: Models to serve.
        served: Models served until now.
        roots: Folders or URIs, one of which every base path must lie in; without any, every path is allowed.

    Raises:
        ServingError: With TensorFlow Serving's message.
    """
    names: set[str] = set()
    for model in models:
        if model.name in names:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
        _check_name(model.name)
    for model in models:
        _check_base_path(model, roots)
    platforms = {model.name: model.platform for model in served}
    for model in models:
        if (before := platforms.get(model.name, model.platform)) != model.platform:
            raise invalid(
                f"Illegal to change a model's platform. For model {model.name} platform was {before} and new platform "
                f"requested is {model.platform}"
            )
        if model.platform != PLATFORM:
            raise invalid(
                f"Model {model.name} requests unsupported platform {model.platform}; only {PLATFORM} is served"
            )


def _check_name(name: str) -> None:
    """Refuses names that would lead out of a folder as a part of a URL or of a log's file name."""
    if not name:
        raise invalid("Expected every model to have a name; one has none")
    parts = re.split(r"[/\\]", name)
    if any(part in ("", ".", "..") for part in parts) or not name.isprintable() or ntpath.splitdrive(name)[0]:
        raise invalid(f"model name {name!r} looks like a path that leaves its folder; choose another name")


def _check_base_path(model: ModelConfig, roots: Sequence[str]) -> None:
    if not is_uri(model.base_path) and not os.path.isabs(model.base_path):  # noqa: PTH117
        raise invalid(f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}")
    if not lies_in(model.base_path, roots):
        raise ServingError(
            Code.PERMISSION_DENIED,
            f"base path {model.base_path} of model {model.name} is outside of {', '.join(roots)}, which is all that "
            "--model-roots allows",
        )


def _models(proto: Any) -> list[ModelConfig]:
    return [
        ModelConfig(model.name, model.base_path, _policy(model), dict(model.version_labels), _platform(model))
        for model in proto.model_config_list.config
    ]


def _platform(model: Any) -> str:
    if not model.model_type:
        if not model.model_platform:
            raise invalid(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                f'ModelServerConfig::model_platform. Write model_platform: "{PLATFORM}" for model {model.name}.'
            )
        return str(model.model_platform)
    if model.model_platform:
        raise invalid(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform. "
            f"Leave model_type out for model {model.name}."
        )
    if model.model_type != _TENSORFLOW:
        raise invalid(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
    return PLATFORM


def _policy(model: Any) -> VersionPolicy:
    policy = model.model_version_policy
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        return VersionPolicy(newest=None)
    if chosen == "specific":
        return VersionPolicy(specific=frozenset(policy.specific.versions))
    return VersionPolicy(newest=policy.latest.num_versions or 1)
