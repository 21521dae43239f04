"""ImageExampleGen: the node that ingests a data set of images."""

import copy
import logging
from pathlib import Path
from typing import Any

# TFX 1.21 has no public API for drivers. Without a driver, the cache key would not depend on the content of the files;
# tests/components/test_example_gen.py launches the node and fails if a release of TFX changes these modules.
from tfx import types
from tfx.components.example_gen import utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, base_driver, executor_spec
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as ir_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto import example_gen_pb2
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts

from components.features import JPEG_QUALITY, SPLITS
from components.ingest.example_writer import write_examples
from components.sources.content_hashes import ContentHashes
from components.sources.datasets import open_source
from components.sources.source import Source

EXAMPLES = "examples"
DATA_DIGEST = utils.FINGERPRINT_PROPERTY_NAME  # "input_fingerprint", as in TFX's own ExampleGen


class ImageExampleGenSpec(component_spec.ComponentSpec):
    """Parameters and output of ImageExampleGen."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "data": component_spec.ExecutionParameter(type=str),
        "data_dir": component_spec.ExecutionParameter(type=str),
        "manual_dir": component_spec.ExecutionParameter(type=str),
        "wordnet_dir": component_spec.ExecutionParameter(type=str),
        "cache_dir": component_spec.ExecutionParameter(type=str),
        "stored_size": component_spec.ExecutionParameter(type=int),
        "validation_share": component_spec.ExecutionParameter(type=float),
        "test_share": component_spec.ExecutionParameter(type=float),
        "seed": component_spec.ExecutionParameter(type=int),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}  # noqa: RUF012
    OUTPUTS = {EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples)}  # noqa: RUF012


class Driver(base_driver.BaseDriver, ir_base_driver.BaseDriver):
    """Hashes the data set's files before the cache is queried, so that the cache key depends on their content.

    Derives from both drivers: a component accepts only a subclass of the first, and the launcher calls the second.
    """

    def __init__(self, metadata_handle: Any):
        base_driver.BaseDriver.__init__(self, metadata_handle)
        ir_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Adds the digest of the data set to the properties of the execution and of the artifact."""
        properties = execution_info.exec_properties
        digest = _source(properties).fingerprint(_hashes(properties))
        logging.info("digest of %s: %s", properties["data"], digest)
        result = driver_output_pb2.DriverOutput()
        # The data set is prepared by now, so the folder of its archives must not be part of the cache key.
        for name, value in {**properties, "manual_dir": "", DATA_DIGEST: digest}.items():
            data_types_utils.set_metadata_value(result.exec_properties[name], value)
        artifact = copy.deepcopy(execution_info.output_dict[EXAMPLES][0].mlmd_artifact)
        artifact.custom_properties[DATA_DIGEST].string_value = digest
        if properties["stored_size"]:
            artifact.custom_properties["stored_size"].int_value = properties["stored_size"]
            artifact.custom_properties["jpeg_quality"].int_value = JPEG_QUALITY
        artifact.custom_properties[utils.SPAN_PROPERTY_NAME].int_value = 0
        result.output_artifacts[EXAMPLES].artifacts.append(artifact)
        return result


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the Examples artifact; see `components.ingest.example_writer.write_examples`."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs `write_examples` with the Beam arguments of the pipeline."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(output_dict[EXAMPLES])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        # The file format property keeps TFX's default, which readers require; they infer compression from the name.
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        write_examples(
            _source(exec_properties),
            Path(examples.uri),
            _hashes(exec_properties),
            validation_share=exec_properties["validation_share"],
            test_share=exec_properties["test_share"],
            seed=exec_properties["seed"],
            pipeline_factory=self._make_beam_pipeline,
            stored_size=exec_properties["stored_size"] or None,
        )


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Ingests a data set of images: inspects every image, lists broken ones, and cuts the splits that are missing.

    The output `examples` is a `standard_artifacts.Examples` with the splits train, validation and test. A change of the
    content of the data set's files makes the node run again; a change of their times or of their folder does not.

    * File structure: `{uri}/Split-{train,validation,test}/data_tfrecord-*-of-*`, uncompressed TFRecords of
      `tf.train.Example` (features: `components.features`); `{uri}/labels.txt`, `{uri}/manifest.parquet` and
      `{uri}/quarantine.jsonl` (see `components.ingest.manifest`).

    Args:
        data: "digits", "folder:PATH" or "tfds:NAME[/CONFIG][:VERSION]".
        cache_dir: Folder for files kept between runs: the cache of content hashes (content_hashes.sqlite), the digits.
        data_dir: Folder of prepared TFDS data sets; None means TFDS' own default, ~/tensorflow_datasets.
        manual_dir: Folder of archives that TFDS cannot download; None means TFDS' own default.
        wordnet_dir: Folder of WordNet 3.0, for words and kinds of classes named by synset; None means neither.
        stored_size: Side in pixels of the square JPEGs to store; None stores the files unchanged.
        validation_share: Share of the images without a split that becomes the validation split, above 0 and below 1.
        test_share: Share of the images without a split that becomes the test split, above 0 and below 1.
        seed: Seed of splits and order.
        fingerprint: Hash of this node's source code; it makes the node run again after a change.

    Example:
        >>> node = ImageExampleGen(data="digits", cache_dir="home/cache")
        >>> node.id, list(node.outputs)
        ('ImageExampleGen', ['examples'])
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        data: str,
        cache_dir: str,
        data_dir: str | None = None,
        manual_dir: str | None = None,
        wordnet_dir: str | None = None,
        stored_size: int | None = None,
        validation_share: float = 0.1,
        test_share: float = 0.1,
        seed: int = 2006,
        fingerprint: str = "",
    ):
        super().__init__(
            ImageExampleGenSpec(
                data=data,
                data_dir=data_dir or "",
                manual_dir=manual_dir or "",
                wordnet_dir=wordnet_dir or "",
                stored_size=stored_size or 0,
                cache_dir=cache_dir,
                validation_share=float(validation_share),
                test_share=float(test_share),
                seed=seed,
                fingerprint=fingerprint,
                examples=types.Channel(type=standard_artifacts.Examples),
            )
        )


def _source(properties: dict[str, Any]) -> Source:
    return open_source(
        properties["data"],
        properties["data_dir"] or None,
        Path(properties["cache_dir"]),
        properties["manual_dir"] or None,
        properties["wordnet_dir"] or None,
    )


def _hashes(properties: dict[str, Any]) -> ContentHashes:
    return ContentHashes(Path(properties["cache_dir"]) / "content_hashes.sqlite")
