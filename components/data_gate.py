"""DataGate: the node that stops a run whose data is not fit for training."""

import logging
import os
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact, standard_artifacts
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from components import environment
from components.errors import GateRefused
from components.features import SPLITS, split_folder
from components.ingest.data_gates import DataGates
from components.ingest.data_verdict import Verdict, judge
from components.ingest.manifest import read_labels, read_manifest, read_quarantine

REPORT_JSON = "data_gate.json"
REPORT_TEXT = "data_gate.txt"
_ANOMALIES_FILE = "SchemaDiff.pb"  # TFX's name


class DataVerdict(artifact.Artifact):
    """Artifact type of the report on data that passed the gate.

    * File structure: `{uri}/data_gate.json` for programs, `{uri}/data_gate.txt` for readers.
    """

    TYPE_NAME = "DataVerdict"


def check_data(examples: Path, anomalies: Path, gates: DataGates, report: Path, log_dir: Path | None) -> Verdict:
    """Judges an ingested data set, writes the report, and raises an error if a defect exceeds the gates.

    Args:
        examples: Folder of the Examples artifact.
        anomalies: Folder of ExampleValidator's ExampleAnomalies artifact.
        gates: Tolerated defects.
        report: Folder for the report.
        log_dir: Second folder for the report, which survives a refusal: TFX deletes the outputs of a failed node. None
            writes no second copy.

    Returns:
        The verdict.

    Raises:
        GateRefused: A defect exceeds the gates; the message describes every such defect and its cure.
    """
    verdict = judge(
        read_manifest(examples), read_quarantine(examples), read_labels(examples), read_anomalies(anomalies), gates
    )
    for folder in filter(None, (report, log_dir)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT_JSON).write_text(verdict.to_json(), encoding="utf-8")
        (folder / REPORT_TEXT).write_text(verdict.to_text(), encoding="utf-8")
    if verdict.refusals:
        where = f"; all files are listed in {log_dir / REPORT_TEXT}" if log_dir else ""
        raise GateRefused(verdict.message() + where)
    return verdict


def read_anomalies(folder: Path) -> dict[str, anomalies_pb2.Anomalies]:
    """Returns the anomalies in an ExampleAnomalies artifact by split.

    Args:
        folder: Folder of the artifact; a split without a file is left out.
    """
    files = {split: folder / split_folder(split) / _ANOMALIES_FILE for split in SPLITS}
    return {
        split: anomalies_pb2.Anomalies.FromString(path.read_bytes()) for split, path in files.items() if path.is_file()
    }


@component
def DataGate(  # noqa: N802 - a component is a class to its users
    examples: InputArtifact[standard_artifacts.Examples],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    verdict: OutputArtifact[DataVerdict],
    gates: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    """Stops the run if its data is not fit for training; see `check_data`.

    Args:
        examples: Output of ImageExampleGen; read are labels.txt, manifest.parquet and quarantine.jsonl.
        anomalies: Output of ExampleValidator; read is `Split-<name>/SchemaDiff.pb` of every split.
        verdict: Report on data that passed, as data_gate.json and data_gate.txt. The same files go to the run's log
            folder, also for data that was refused.
        gates: JSON that `DataGates.to_json` wrote.
        fingerprint: Hash of this node's source code; it makes the node run again after a change.

    Example:
        >>> from tfx.types import Channel
        >>> node = DataGate(
        ...     examples=Channel(type=standard_artifacts.Examples),
        ...     anomalies=Channel(type=standard_artifacts.ExampleAnomalies),
        ...     gates=DataGates(max_broken_percent=1.0).to_json(),
        ...     fingerprint="",
        ... )
        >>> node.id, list(node.outputs)
        ('DataGate', ['verdict'])
    """
    log_dir = os.environ.get(environment.LOG_DIR)
    result = check_data(
        Path(examples.uri),
        Path(anomalies.uri),
        DataGates.from_json(gates),
        report=Path(verdict.uri),
        log_dir=Path(log_dir) if log_dir else None,
    )
    logging.info("data accepted: %s", result.images)
