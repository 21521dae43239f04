"""The model registry: every pushed model as a version of one registered model, the newest as its champion."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlparse

from components.export import layout
from components.reporting.station_tracker import metric_entities

CHAMPION = "champion"
VERSION_TAG = "serving_version"
URI_TAG = "saved_model"
_EXAMPLE_FILE = "input_example.json"
_KINDS = {
    "classification": "classifier", "joint": "classifier", "reconstruction": "autoencoder", "density": "density",
}  # fmt: skip
# Outputs of `serving_default` by kind of model; a plural is an array for each image.
_OUTPUTS = {
    "classifier": {layout.PROBABILITIES: "floats", layout.CLASSES: "strings", layout.SCORES: "floats"},
    "autoencoder": {
        layout.CODE: "floats", layout.RECONSTRUCTION: "floats",
        layout.SQUARED_ERROR: "float", layout.MEAN_IMAGE_ERROR: "float",
    },
    "density": {
        layout.LOG_PROBABILITY: "float", layout.BASE_RATE_LOG_PROBABILITY: "float",
        layout.HIDDEN: "floats", layout.RECONSTRUCTION: "floats",
    },
}  # fmt: skip


def register(
    client: Any,
    run_id: str,
    name: str,
    pushed_uri: str,
    version: int,
    *,
    metrics: Mapping[str, float],
    example: bytes | None = None,
    objective: str = "classification",
) -> str:
    """Registers a pushed SavedModel as an external model and makes it the champion; a known one is only made champion.

    MLflow holds the description (signature, input example, labels) and points at the SavedModel where it was pushed.
    Call it inside a run: MLflow looks the description up under the exported tracking URI.

    Args:
        client: An `mlflow.MlflowClient`.
        run_id: The run that made the model.
        name: Of the registered model.
        pushed_uri: Folder of the SavedModel.
        version: The version it is served as; MLflow counts its own, which is returned.
        metrics: The model's results; they are logged on the run too.
        example: An encoded image.
        objective: Of the model, which decides what it answers.

    Returns:
        MLflow's version.
    """
    tags = {URI_TAG: pushed_uri, VERSION_TAG: str(version)}
    known = _find(client, name, tags)
    if known is None:
        model = _describe(client, run_id, name, tags, metrics, example, objective)
        known = client.create_model_version(
            name,
            source=f"models:/{model.model_id}",
            run_id=run_id,
            tags=tags,
            description=f"Served as version {version} from {pushed_uri}",
            model_id=model.model_id,
        ).version
        _link(client, model.model_id, name, known)
    client.set_registered_model_alias(name, CHAMPION, known)
    return str(known)


def promote(client: Any, name: str, old: int, new: int, pushed_uri: str) -> None:
    """After a rollback: the description of the older version is the champion's again, and points where it is served.

    Args:
        client: An `mlflow.MlflowClient`.
        name: Of the registered model.
        old: The served version that was returned to.
        new: The number it is served under now.
        pushed_uri: Its folder.
    """
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.tags.get(VERSION_TAG) == str(old):
            for tag, value in {URI_TAG: pushed_uri, VERSION_TAG: str(new)}.items():
                client.set_model_version_tag(name, found.version, tag, value)
            client.set_registered_model_alias(name, CHAMPION, found.version)


def _find(client: Any, name: str, tags: dict[str, str]) -> str | None:
    """MLflow's version that has the tags; makes the registered model when there is none of that name."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for found in client.search_model_versions(f"name = '{name}'"):
        if tags.items() <= found.tags.items():
            return str(found.version)
    return None


def _link(client: Any, model_id: str, name: str, version: str) -> None:
    """Lets MLflow's page of the model lead to the registered version, as `mlflow.register_model` does."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": version}])})


def _describe(
    client: Any,
    run_id: str,
    name: str,
    tags: dict[str, str],
    metrics: Mapping[str, float],
    example: bytes | None,
    objective: str,
) -> Any:
    """Makes the external model.

    `mlflow.create_external_model` does the same with the fluent API's global run and a made-up signature.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_IS_EXTERNAL

    model = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name=re.sub(r"[/:.%\"']", "-", name),  # MLflow takes none of these here
        source_run_id=run_id,
        tags=tags | {MLFLOW_MODEL_IS_EXTERNAL: "true"},
        model_type=f"image-{_KINDS[objective]}",
    )
    with TemporaryDirectory() as folder:
        _write_description(Path(folder), model, {MLFLOW_MODEL_IS_EXTERNAL: True, **tags}, example, objective)
        client.log_model_artifacts(model.model_id, folder)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.log_batch(run_id, metrics=metric_entities(metrics, model_id=model.model_id))
    return client.finalize_logged_model(model.model_id, "READY")


def _write_description(
    folder: Path, model: Any, metadata: dict[str, Any], example: bytes | None, objective: str
) -> None:
    """Writes MLflow's MLmodel file and, beside it, the input example as a table of one row, bytes in base64."""
    from mlflow.models import Model

    labels = _labels(metadata[URI_TAG])
    described = Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        model_uuid=model.model_id,
        signature=signature(objective),
        metadata=metadata | ({"labels": labels} if labels else {}),
    )
    if example is not None:
        described.saved_input_example_info = {
            "artifact_path": _EXAMPLE_FILE,
            "type": "dataframe",
            "pandas_orient": "split",
        }
        table = {"columns": [layout.BYTES], "data": [[base64.b64encode(example).decode()]]}
        (folder / _EXAMPLE_FILE).write_text(json.dumps(table), encoding="utf-8")
    described.save(str(folder / "MLmodel"))


def signature(objective: str) -> Any:
    """MLflow's form of the SavedModel's `serving_default`: one encoded image a row in, the answers out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    types = {"float": DataType.float, "floats": Array(DataType.float), "strings": Array(DataType.string)}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, layout.BYTES)]),
        outputs=Schema([ColSpec(types[kind], name) for name, kind in _OUTPUTS[_KINDS[objective]].items()]),
    )


def _labels(pushed_uri: str) -> list[str]:
    """The labels in index order; none where the SavedModel is not on this machine."""
    address = urlparse(pushed_uri)
    path = unquote(address.path) if address.scheme == "file" else pushed_uri
    file = Path(path) / layout.LABELS_ASSET
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
