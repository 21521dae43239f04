"""Which models are served, as TensorFlow Serving's model config file and flags say it."""

import ntpath
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.manager.version_policy import VersionPolicy
from serving.storage.file_systems import is_uri

PLATFORM = "tensorflow"
_TENSORFLOW = 1  # of the deprecated enum ModelType
_PROTO = "tensorflow.serving.ModelServerConfig"


@dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Args:
        name: What requests call it.
        base_path: Folder, or URI, with one sub-folder per version; absolute.
        policy: Which versions.
        labels: Versions by label.
        platform: "tensorflow".
    """

    name: str
    base_path: str
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = PLATFORM


def configured_models(config: ServerConfig) -> list[ModelConfig]:
    """The models that a server's settings name: in its config file, or the one base path.

    Raises:
        ServingError: INVALID_ARGUMENT: neither is there, or the file is wrong.
    """
    if config.model_config_file:
        return read_config_file(config.model_config_file) or []
    if not config.model_base_path:
        raise invalid("nothing to serve: give --model-base-path or --model-config-file")
    path = config.model_base_path
    return [ModelConfig(config.model_name, path if is_uri(path) else os.path.abspath(path))]  # noqa: PTH100


def read_config_file(path: str) -> list[ModelConfig] | None:
    """The models of a config file; None when it says nothing, which changes nothing.

    Raises:
        ServingError: INVALID_ARGUMENT: It cannot be read or is wrong. FAILED_PRECONDITION: It is of the other kind.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        text = _read(path)
    except Exception as error:
        raise invalid(f"the model config file {path} cannot be read: {error}") from error
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
    return None if proto.WhichOneof("config") is None else list(models_of(proto))


def _read(path: str) -> bytes:
    if not is_uri(path):
        return Path(path).read_bytes()
    import tensorflow as tf

    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def reloaded_models(proto: Any) -> list[ModelConfig]:
    """The models of a `ModelServerConfig` in a HandleReloadConfigRequest.

    Raises:
        ServingError: INVALID_ARGUMENT: It is not a list of models, or one is wrong.
    """
    if proto.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    return list(models_of(proto))


def models_of(proto: Any) -> Iterable[ModelConfig]:
    """The models that a `ModelServerConfig` lists, not yet checked together.

    Raises:
        ServingError: INVALID_ARGUMENT: One is wrong in itself.
    """
    for model in proto.model_config_list.config:
        yield ModelConfig(model.name, model.base_path, _policy(model), dict(model.version_labels), _platform(model))


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


def check(models: Sequence[ModelConfig], served: Iterable[ModelConfig] = (), roots: Sequence[str] = ()) -> None:
    """Refuses models that cannot be served together, or instead of those that are served now.

    Args:
        models: To serve.
        served: Served until now.
        roots: Folders or URIs, one of which every base path must lie in; none allows any.

    Raises:
        ServingError: In TensorFlow Serving's words.
    """
    names: set[str] = set()
    for model in models:
        if model.name in names:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
        _check_name(model.name)
    for model in models:
        if not is_uri(model.base_path) and not os.path.isabs(model.base_path):  # noqa: PTH117
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        if not lies_in(model.base_path, roots):
            raise ServingError(
                Code.PERMISSION_DENIED,
                f"base path {model.base_path} of model {model.name} is outside of {', '.join(roots)}, which is all "
                "that --model-roots allows",
            )
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
    """A name may hold almost anything, but what is made of it (URLs, file names of logs) must not lead elsewhere."""
    if not name:
        raise invalid("Expected every model to have a name; one has none")
    parts = re.split(r"[/\\]", name)
    if any(part in ("", ".", "..") for part in parts) or not name.isprintable() or ntpath.splitdrive(name)[0]:
        raise invalid(f"model name {name!r} looks like a path that leaves its folder; choose another")


def lies_in(path: str, roots: Sequence[str]) -> bool:
    """Whether a path, with its links followed, lies in one of some folders or URIs; in no folders lies everything."""
    if not roots:
        return True
    if ".." in re.split(r"[/\\]", path) and is_uri(path):
        return False
    return any(_resolved(path).startswith(_resolved(root)) for root in roots)


def _resolved(path: str) -> str:
    if is_uri(path):
        return path.rstrip("/") + "/"
    return os.path.join(os.path.realpath(path), "")  # noqa: PTH118
