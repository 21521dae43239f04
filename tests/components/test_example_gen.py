"""ImageExampleGen as TFX runs it: cached by content, readable by TFX's own nodes."""

import os

import numpy as np
import pytest
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from tfx.dsl.compiler import compiler
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import artifact_utils

from components.errors import UsageError
from components.example_gen import ImageExampleGen

COMPLETE, CACHED = metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED


@pytest.fixture
def data(tmp_path):
    for label in ("cat", "dog"):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for index in range(20):
            pixels = np.random.default_rng([len(label), ord(label[0]), index]).integers(0, 256, (6, 6), np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "data"


class Node:
    """Launches ImageExampleGen alone, as the runner launches each node."""

    def __init__(self, root, data):
        self.root = root
        self.data = data
        config = metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
        self.metadata = metadata.Metadata(config)
        self.runs = 0

    def run(self, **options):
        self.runs += 1
        node = ImageExampleGen(data=f"folder:{self.data}", cache_dir=str(self.root / "cache"), **options)
        route = pipeline.Pipeline(
            "test",
            pipeline_root=str(self.root / "artifacts"),
            components=[node],
            enable_cache=True,
            beam_pipeline_args=["--runner=FnApiRunner"],
        )
        ir = compiler.Compiler().compile(route)
        runtime_parameter_utils.substitute_runtime_parameter(ir, {"pipeline-run-id": f"run-{self.runs}"})
        deployment = pipeline_pb2.IntermediateDeploymentConfig()
        ir.deployment_config.Unpack(deployment)
        spec = self._unpack(deployment.executor_specs["ImageExampleGen"])
        driver = self._unpack(deployment.custom_driver_specs["ImageExampleGen"])
        info = launcher.Launcher(
            ir.nodes[0].pipeline_node, self.metadata, ir.pipeline_info, ir.runtime_spec, spec, driver
        ).launch()
        with self.metadata as store:
            [execution] = store.store.get_executions_by_id([info.execution_id])
            events = store.store.get_events_by_execution_ids([info.execution_id])
            [artifact] = store.store.get_artifacts_by_id([event.artifact_id for event in events])
            [kind] = store.store.get_artifact_types_by_id([artifact.type_id])
        return execution, artifact_utils.deserialize_artifact(kind, artifact)

    @staticmethod
    def _unpack(packed):
        from tfx.proto.orchestration import executable_spec_pb2

        for kind in (executable_spec_pb2.BeamExecutableSpec, executable_spec_pb2.PythonClassExecutableSpec):
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                return message
        raise TypeError(packed.type_url)


@pytest.fixture
def node(tmp_path, data):
    return Node(tmp_path, data)


@pytest.mark.lengthy
def test_the_node_runs_once_and_is_cached_until_the_content_changes(node, data):
    execution, examples = node.run()
    assert execution.last_known_state == COMPLETE
    assert artifact_utils.decode_split_names(examples.split_names) == ["train", "validation", "test"]
    assert examples.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
    first = examples.get_string_custom_property("input_fingerprint")
    assert len(first) == 64

    for path in data.rglob("*.png"):
        os.utime(path, (1, 1))
    execution, cached = node.run()
    assert execution.last_known_state == CACHED
    assert cached.uri == examples.uri

    (data / "cat" / "0.png").write_bytes((data / "cat" / "1.png").read_bytes())
    execution, changed = node.run()
    assert execution.last_known_state == COMPLETE
    assert changed.get_string_custom_property("input_fingerprint") != first


@pytest.mark.lengthy
def test_another_seed_or_source_runs_again(node):
    node.run(seed=1, fingerprint="a")
    assert node.run(seed=2, fingerprint="a")[0].last_known_state == COMPLETE
    assert node.run(seed=1, fingerprint="b")[0].last_known_state == COMPLETE
    assert node.run(seed=1, fingerprint="a")[0].last_known_state == CACHED


@pytest.mark.lengthy
def test_the_stored_size_is_part_of_the_cache_key_but_the_folder_of_archives_is_not(node):
    node.run()
    assert node.run(manual_dir="/somewhere")[0].last_known_state == CACHED
    execution, examples = node.run(stored_size=256)
    assert execution.last_known_state == COMPLETE
    assert examples.get_int_custom_property("stored_size") == 256
    assert examples.get_int_custom_property("jpeg_quality") == 95


def test_a_missing_data_set_is_a_users_error_without_any_wrapping(node, data):
    data.rename(data.parent / "elsewhere")
    with pytest.raises(UsageError, match="does not exist"):
        node.run()


@pytest.mark.lengthy
def test_tfx_reads_the_examples(node):
    import apache_beam as beam
    from apache_beam.testing.util import assert_that
    from tfx.components.util import tfxio_utils

    _, examples = node.run()
    reader = tfxio_utils.get_split_tfxio([examples], "validation", telemetry_descriptors=["test"])

    def check(batches):
        columns = [batch.schema.names for batch in batches]
        assert sum(batch.num_rows for batch in batches) == 4
        assert all({"image", "label", "label_name", "file_name", "luminance"} <= set(names) for names in columns)

    with beam.Pipeline(argv=["--runner=FnApiRunner"]) as route:
        assert_that(route | reader.BeamSource(), check)
