"""The DAG: one block per station, in the order in which they run."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path

import tensorflow_data_validation as tfdv
from tfx import v1 as tfx
from tfx.orchestration import metadata

from components import features
from components.baseline import BaselineStrategy
from components.data_gate import DataGate
from components.evaluation.eval_config import ten_crop_config, test_config, validation_config
from components.evaluation.measures import MEASURES
from components.example_gen import ImageExampleGen
from components.fingerprint import fingerprint
from components.infra_validator import InfraValidator
from components.ingest.data_gates import DataGates
from components.pusher import Pusher
from components.rbm_pretrainer import PATCH_PRETRAINING, RBMPretrainer
from components.station_config import StationConfig
from components.trainer import training_module
from pipeline.config import RunConfig
from pipeline.home import Home

# Beam's default local runner downloads a binary at its first start; this one is part of Beam's Python package.
# And where no image is named, TFX packs a copy of itself for remote workers before every Beam station (3 s each, left
# in /tmp for good); the workers here are this process.
_BEAM_ARGUMENTS = ["--runner=FnApiRunner", "--sdk_container_image=none"]


def create_pipeline(config: RunConfig) -> tfx.dsl.Pipeline:
    """The pipeline of a run.

    Args:
        config: the whole configuration.
    """
    home = Home(Path(config.home).resolve())
    splits = (features.TRAIN, features.VALIDATION) if config.training.use_validation else (features.TRAIN,)
    station = StationConfig(config.model, config.seed, splits, config.training)
    objective, is_alexnet = config.model.objective, config.model.family == "alexnet"
    measures = MEASURES[objective]
    image = {"image_size": list(config.model.image_size), "channels": config.model.channels}

    example_gen = ImageExampleGen(
        data=config.data,
        data_dir=config.data_dir,
        manual_dir=config.manual_dir,
        wordnet_dir=config.wordnet_dir,
        stored_size=config.stored_size,
        validation_share=config.validation_share,
        test_share=config.test_share,
        seed=config.split_seed,
        fingerprint=fingerprint("components.example_gen"),
        cache_dir=str(home.root / "cache"),
    )
    examples = example_gen.outputs["examples"]

    statistics_gen = tfx.components.StatisticsGen(
        examples=examples,
        stats_options=tfdv.StatsOptions(feature_allowlist=list(features.CHECKED_FEATURES)),
    )

    schema_gen = tfx.components.SchemaGen(
        statistics=statistics_gen.outputs["statistics"],
        infer_feature_shape=True,
        exclude_splits=[features.VALIDATION, features.TEST],
    )
    schema = schema_gen.outputs["schema"]

    example_validator = tfx.components.ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)

    data_gate = DataGate(
        examples=examples,
        anomalies=example_validator.outputs["anomalies"],
        gates=json.dumps({field.name: getattr(config.gates, field.name) for field in fields(DataGates)}),
        fingerprint=fingerprint("components.data_gate"),
    )

    transform = tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=[features.TRAIN]),
        materialize=False,
        disable_analyzer_cache=True,
        custom_config={**image, "fingerprint": fingerprint("components.transform")},
    )
    transform.add_upstream_node(data_gate)
    transform_graph = transform.outputs["transform_graph"]

    rbm_pretrainer = RBMPretrainer(
        examples=examples,
        transform_graph=transform_graph,
        config=station.for_pretraining().to_json(),
        fingerprint=fingerprint("components.rbm_pretrainer", *([PATCH_PRETRAINING] if is_alexnet else [])),
    )

    trainer = tfx.components.Trainer(
        run_fn="components.trainer.run_fn",
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        base_model=rbm_pretrainer.outputs["model"],
        train_args=tfx.proto.TrainArgs(splits=[features.TRAIN]),
        eval_args=tfx.proto.EvalArgs(splits=[features.VALIDATION]),
        custom_config={
            "config": station.to_json(),
            "fingerprint": fingerprint("components.trainer", training_module(config.model)),
            **_initial_weights(config),
        },
    )
    model = trainer.outputs["model"]

    baseline = tfx.dsl.Resolver(
        strategy_class=BaselineStrategy,
        model=_all_of("Trainer", tfx.types.standard_artifacts.Model),
        validation_blessing=_all_of("Evaluator", tfx.types.standard_artifacts.ModelBlessing),
        test_blessing=_all_of("TestEvaluator", tfx.types.standard_artifacts.ModelBlessing),
        candidate=model,
    ).with_id("Baseline")

    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=[features.VALIDATION],
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=validation_config(objective, config.gates.min_gain, getattr(config.gates, measures[0].change)),
    )

    bounds = {measure.name: getattr(config.gates, measure.bound) for measure in measures}
    test_evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=[features.TEST],
        model=model,
        eval_config=test_config(
            objective, config.gates.min_gain, {name: bound for name, bound in bounds.items() if bound is not None}
        ),
    ).with_id("TestEvaluator")
    test_evaluator.add_upstream_node(evaluator)

    # The papers' figure, ten forward passes an image: beside the others, and judging nothing.
    ten_crops = []
    if is_alexnet:
        ten_crops.append(
            tfx.components.Evaluator(
                examples=examples,
                example_splits=[features.TEST],
                model=model,
                eval_config=ten_crop_config(),
            ).with_id("TenCropEvaluator")
        )
        ten_crops[0].add_upstream_node(test_evaluator)

    infra_validator = InfraValidator(
        model=model, fingerprint=fingerprint("components.infra_validator", "serving.replay.__main__")
    )
    infra_validator.add_upstream_node(test_evaluator)

    pusher = Pusher(
        model=model,
        validation_blessing=evaluator.outputs["blessing"],
        test_blessing=test_evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        destination=str(home.serving / config.name),
        fingerprint=fingerprint("components.pusher"),
    )

    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(home.artifacts(config.name)),
        components=[
            example_gen, statistics_gen, schema_gen, example_validator, data_gate, transform, rbm_pretrainer, trainer,
            baseline, evaluator, test_evaluator, *ten_crops, infra_validator, pusher,
        ],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(home.metadata)),
        beam_pipeline_args=_BEAM_ARGUMENTS,
    )  # fmt: skip


def _initial_weights(config: RunConfig) -> dict[str, str]:
    """The content of the weights to start from, for the cache key: another file may lie under the same name."""
    path = getattr(config.model, "initial_weights", None)
    if path is None:
        return {}
    with Path(path).open("rb") as file:
        return {"initial_weights": hashlib.file_digest(file, "sha256").hexdigest()}


def _all_of(producer: str, artifact_type: type) -> tfx.dsl.Channel:
    """All artifacts that a station of this pipeline has ever made."""
    return tfx.dsl.Channel(type=artifact_type, producer_component_id=producer)
