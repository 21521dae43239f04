"""Runs a compiled pipeline node by node and reports the outcome of each.

TFX's LocalDagRunner returns nothing and has no callbacks. LocalDag drives the same launcher, and reads the status of a
node from its execution in ML Metadata.

The compiler, the launcher, `runner_utils`, `runtime_parameter_utils` and `execution_lib` are not in TFX's public API
(`tfx.v1`). The code follows `LocalDagRunner.run_with_ir` of TFX 1.21; with another version, compare it with that
method. If one of these modules moves or changes a signature, every run fails at its start, and so do the e2e tests.
"""

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import v1 as tfx
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib

from components.interruption import signals_deferred
from pipeline.cache_reason import why_not_cached
from pipeline.reports import StationReport, Status

_STATUS: dict[int, Status] = {
    mlmd.Execution.CACHED: "cached",
    mlmd.Execution.COMPLETE: "ran",
    mlmd.Execution.FAILED: "failed",
    mlmd.Execution.CANCELED: "failed",
}
_UNFINISHED = (mlmd.Execution.RUNNING, mlmd.Execution.NEW)
_RESOLVER = "tfx.dsl.components.common.resolver.Resolver"


class LocalDag:
    """One run of a pipeline in this process.

    Args:
        pipeline: The pipeline.
        run_id: Name of the run in ML Metadata, different for every run.
    """

    def __init__(self, pipeline: tfx.dsl.Pipeline, run_id: str) -> None:
        self._ir = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            self._ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        self._deployment = runner_utils.extract_local_deployment_config(self._ir)
        connection = self._deployment.metadata_connection_config
        self._connection = getattr(connection, connection.WhichOneof("connection_config"))
        self._nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in self._ir.nodes}
        self._root = Path(str(pipeline.pipeline_info.pipeline_root))

    @property
    def names(self) -> list[str]:
        """Ids of the nodes in the order in which they run."""
        return list(self._nodes)

    def launch(self, name: str) -> StationReport:
        """Runs one node, or takes its outputs from the cache if its inputs and source are unchanged.

        Args:
            name: Id of the node; all nodes before it were launched.

        Returns:
            Report of the node, whose status is never "failed".

        Raises:
            Exception: Any error that the node raised. Its execution is marked as failed or cancelled and its outputs
                are deleted, as after a KeyboardInterrupt.
        """
        node = self._nodes[name]
        node_launcher = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(self._connection),
            pipeline_info=self._ir.pipeline_info,
            pipeline_runtime_spec=self._ir.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(self._deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, name),
        )
        started = _now()
        try:
            info = node_launcher.launch()
        except BaseException:
            # The launcher closes an execution whose executor raised, but leaves it RUNNING after an interruption and
            # after an error of the driver.
            with signals_deferred():
                self.discard_unfinished()
            raise
        return self._report(name, started, info.execution_id if info else None)

    def properties(self, uri: str) -> dict[str, object]:
        """Returns the custom properties of the newest artifact at a URI.

        Args:
            uri: Folder of the artifact.
        """
        with self._store() as store:
            artifact = store.get_artifacts_by_uri(uri)[-1]
        return {key: getattr(value, value.WhichOneof("value")) for key, value in artifact.custom_properties.items()}

    def discard_unfinished(self) -> None:
        """Cancels unfinished executions and deletes their half-written outputs, for example those of a killed process.

        Call only while holding the home lock: this also cancels executions of other pipelines in the same home.
        """
        with self._store() as store:
            unfinished = [e for e in store.get_executions() if e.last_known_state in _UNFINISHED]
            for execution in unfinished:
                execution.last_known_state = mlmd.Execution.CANCELED
            store.put_executions(unfinished)
        for execution in unfinished:
            for folder in self._root.glob(f"*/*/{execution.id}"):
                shutil.rmtree(folder, ignore_errors=True)
            logging.info("Discarded execution %d (%s).", execution.id, execution.type)

    @contextlib.contextmanager
    def _store(self) -> Iterator[MetadataStore]:
        with metadata.Metadata(self._connection) as handle:
            yield handle.store

    def _report(self, name: str, started: int, execution_id: int | None) -> StationReport:
        if not execution_id:
            return StationReport(name, "skipped", started, _now(), reason="its condition does not hold")
        with metadata.Metadata(self._connection) as handle:
            [execution] = handle.store.get_executions_by_id([execution_id])
            outputs = execution_lib.get_output_artifacts(handle, execution_id)
            status = _STATUS[execution.last_known_state]
            if self._nodes[name].node_info.type.name == _RESOLVER:
                status = "resolved"
            if status == "failed":
                raise RuntimeError(f"{name} could not resolve its inputs; the log names them")
            reason = why_not_cached(handle.store, execution) if status == "ran" else ""
        uris = {key: [artifact.uri for artifact in artifacts] for key, artifacts in outputs.items()}
        return StationReport(name, status, started, _now(), execution_id, uris, reason)


def _now() -> int:
    return int(time.time() * 1000)
