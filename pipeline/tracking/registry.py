"""MLflow's model registry: each pushed model as a version of one registered model, the newest as its champion."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.export import layout
from components.reporting.station_tracker import metric_entities
from serving.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

CHAMPION = "champion"
VERSION_TAG = "serving_version"
URI_TAG = "saved_model"
_EXAMPLE_FILE = "input_example.json"
# The output by which a model's kind is known.
_KINDS = {layout.CLASSES: "classifier", layout.CODE: "autoencoder", layout.LOG_PROBABILITY: "density"}


def register(
    client: "MlflowClient",
    run_id: str,
    name: str,
    pushed_uri: str,
    version: int,
    *,
    metrics: Mapping[str, float],
    example: bytes | None = None,
) -> str:
    """Registers a pushed SavedModel as an external model and makes it the champion.

    MLflow stores a description (signature, input example, labels), which points to the folder of the pushed SavedModel.
    A version that is registered already only becomes the champion. Call it while the run's tracking URI is exported,
    because MLflow looks the description up there.

    Args:
        client: Client of MLflow.
        run_id: Id of the run that made the model.
        name: Name of the registered model.
        pushed_uri: Folder of the SavedModel.
        version: Version under which it is served; MLflow counts its own versions.
        metrics: Results of the model, which are logged on the run too.
        example: An encoded image, which becomes the input example; default, none.

    Returns:
        MLflow's version.
    """
    tags = {URI_TAG: pushed_uri, VERSION_TAG: str(version)}
    known = _find(client, name, tags)
    if known is None:
        model = _describe(client, run_id, name, tags, metrics, example)
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


def promote(client: "MlflowClient", name: str, old: int, new: int, pushed_uri: str) -> None:
    """Makes an older version the champion after a rollback, and points it to the folder where it is served.

    Args:
        client: Client of MLflow.
        name: Name of the registered model.
        old: Served version that was rolled back to.
        new: Version number under which it is served now.
        pushed_uri: Folder of the new version.
    """
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.tags.get(VERSION_TAG) == str(old):
            for tag, value in {URI_TAG: pushed_uri, VERSION_TAG: str(new)}.items():
                client.set_model_version_tag(name, found.version, tag, value)
            client.set_registered_model_alias(name, CHAMPION, found.version)


def _find(client: "MlflowClient", name: str, tags: dict[str, str]) -> str | None:
    """Returns MLflow's version with these tags; creates the registered model if there is none of that name."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for found in client.search_model_versions(f"name = '{name}'"):
        if tags.items() <= found.tags.items():
            return str(found.version)
    return None


def _link(client: "MlflowClient", model_id: str, name: str, version: str) -> None:
    """Links MLflow's page of the model to the registered version, as `mlflow.register_model` does."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": name, "version": version}])})


def _describe(
    client: "MlflowClient",
    run_id: str,
    name: str,
    tags: dict[str, str],
    metrics: Mapping[str, float],
    example: bytes | None,
) -> "LoggedModel":
    """Creates the external model.

    `mlflow.create_external_model` does the same, but with the fluent API's global run and a made-up signature.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_IS_EXTERNAL

    signature = default_signature(Path(tags[URI_TAG]))
    model = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name=re.sub(r"[/:.%\"']", "-", name),  # MLflow accepts none of these characters here
        source_run_id=run_id,
        tags=tags | {MLFLOW_MODEL_IS_EXTERNAL: "true"},
        model_type=f"image-{_kind(signature)}",
    )
    with TemporaryDirectory() as folder:
        _write_description(Path(folder), model, {MLFLOW_MODEL_IS_EXTERNAL: True, **tags}, example, signature)
        client.log_model_artifacts(model.model_id, folder)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.log_batch(run_id, metrics=metric_entities(metrics, model_id=model.model_id))
    return client.finalize_logged_model(model.model_id, "READY")


def _kind(signature: Signature) -> str:
    return next((kind for output, kind in _KINDS.items() if output in signature.outputs), "model")


def _write_description(
    folder: Path, model: "LoggedModel", metadata: dict[str, Any], example: bytes | None, signature: Signature
) -> None:
    """Writes MLflow's MLmodel file and, beside it, the input example as a table of one row, with bytes in base64."""
    from mlflow.models import Model

    labels = _labels(Path(metadata[URI_TAG]))
    described = Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        model_uuid=model.model_id,
        signature=mlflow_signature(signature),
        metadata=metadata | ({"labels": labels} if labels else {}),
    )
    if example is not None:
        described.saved_input_example_info = {
            "artifact_path": _EXAMPLE_FILE,
            "type": "dataframe",
            "pandas_orient": "split",
        }
        table = {"columns": list(signature.inputs), "data": [[base64.b64encode(example).decode()]]}
        (folder / _EXAMPLE_FILE).write_text(json.dumps(table), encoding="utf-8")
    described.save(str(folder / "MLmodel"))


def default_signature(saved_model: Path) -> Signature:
    """Reads the signature `serving_default` of a SavedModel, without loading its graph and weights.

    Args:
        saved_model: Folder of the SavedModel.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    return Signature.from_proto(layout.SERVING_DEFAULT, proto.meta_graphs[0].signature_def[layout.SERVING_DEFAULT])


def mlflow_signature(signature: Signature) -> "ModelSignature":
    """Converts a signature to MLflow's form: one encoded image per row as input, and the outputs as columns.

    Args:
        signature: Signature whose inputs are encoded images.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    def column(spec: TensorSpec) -> ColSpec:
        number = DataType.string if spec.type_name == "string" else DataType.float
        # More dimensions than that of the batch: an array for each image.
        return ColSpec(number if spec.shape is not None and len(spec.shape) == 1 else Array(number), spec.alias)

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, name) for name in signature.inputs]),
        outputs=Schema([column(spec) for spec in signature.outputs.values()]),
    )


def _labels(saved_model: Path) -> list[str]:
    """Returns the labels of a classifier in index order; empty for another model."""
    file = saved_model / layout.LABELS_ASSET
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
