"""DataGate: the station that stops a run whose data is not fit to be trained on."""

import logging
import os
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact, standard_artifacts

from components import environment
from components.errors import GateRefused
from components.ingest.data_gates import DataGates
from components.ingest.data_verdict import Verdict, judge
from components.ingest.manifest import read_labels, read_manifest, read_quarantine

REPORT_JSON = "data_gate.json"
REPORT_TEXT = "data_gate.txt"
_ANOMALIES_FILE = "SchemaDiff.pb"  # ExampleValidator's


class DataVerdict(artifact.Artifact):
    """The report of a gate that let the data pass.

    * File structure: `{uri}/data_gate.json`, `{uri}/data_gate.txt`.
    """

    TYPE_NAME = "DataVerdict"


def check_data(examples: Path, anomalies: Path, gates: DataGates, report: Path, log_dir: Path | None) -> Verdict:
    """Judges an ingested data set, writes the report, and refuses what is beyond the gates.

    Args:
        examples: Folder of the Examples artifact.
        anomalies: Folder of ExampleValidator's ExampleAnomalies artifact.
        gates: What is tolerated.
        report: Folder for the report when the data passes.
        log_dir: Folder for the report in any case; a failed station's outputs are deleted.

    Raises:
        GateRefused: Something is beyond the gates; the message says what, where and how to cure it.
    """
    verdict = judge(
        read_manifest(examples), read_quarantine(examples), read_labels(examples), read_anomalies(anomalies), gates
    )
    for folder in filter(None, (report, log_dir)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT_JSON).write_text(verdict.to_json(), encoding="utf-8")
        (folder / REPORT_TEXT).write_text(verdict.to_text(), encoding="utf-8")
    if verdict.refusals:
        where = f" All files are named in {log_dir / REPORT_TEXT}." if log_dir else ""
        raise GateRefused(verdict.sentence() + where)
    return verdict


def read_anomalies(folder: Path) -> dict[str, anomalies_pb2.Anomalies]:
    """What ExampleValidator found, by split."""
    return {
        path.parent.name.removeprefix("Split-"): anomalies_pb2.Anomalies.FromString(path.read_bytes())
        for path in sorted(folder.glob(f"Split-*/{_ANOMALIES_FILE}"))
    }


@component
def DataGate(  # noqa: N802 - a component is a class to its users
    examples: InputArtifact[standard_artifacts.Examples],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    verdict: OutputArtifact[DataVerdict],
    gates: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    """Stops the run when its data is not fit to be trained on; see `check_data`.

    Args:
        examples: What ImageExampleGen wrote.
        anomalies: What ExampleValidator found.
        verdict: The report of data that passed.
        gates: JSON of `components.ingest.data_gates.DataGates`.
        fingerprint: Of this station's source, so that a changed one runs again.
    """
    log_dir = os.environ.get(environment.LOG_DIR)
    result = check_data(
        Path(examples.uri),
        Path(anomalies.uri),
        DataGates.from_json(gates),
        report=Path(verdict.uri),
        log_dir=Path(log_dir) if log_dir else None,
    )
    logging.info("Data accepted: %s", result.images)
