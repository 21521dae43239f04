"""The TFX pipeline: the nodes in the order in which they run, and a function for each phase."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import tensorflow_data_validation as tfdv
from tfx import v1 as tfx

from components import features
from components.baseline import BaselineStrategy
from components.data_gate import DataGate
from components.evaluation.eval_config import ten_crop_config, test_config, validation_config
from components.evaluation.measures import MEASURES
from components.example_gen import ImageExampleGen
from components.fingerprint import fingerprint
from components.infra_validator import InfraValidator
from components.pusher import Pusher
from components.rbm_pretrainer import PATCH_PRETRAINING, RBMPretrainer
from components.station_config import StationConfig
from components.trainer import training_module
from pipeline.config import RunConfig
from pipeline.home import Home

Channel = tfx.types.BaseChannel
Node = tfx.types.BaseNode

# Beam's default local runner downloads a binary when it first starts; FnApiRunner is part of Beam's Python package.
# Without the name of an image, TFX packs a copy of itself for remote workers before every Beam node, which takes 3 s
# each and stays in /tmp; here the only worker is this process.
_BEAM_ARGUMENTS = ["--runner=FnApiRunner", "--sdk_container_image=none"]


def create_pipeline(config: RunConfig) -> tfx.dsl.Pipeline:
    """Returns the pipeline of a run.

    Args:
        config: Configuration of the run.
    """
    home = Home(Path(config.home).resolve())

    example_gen = _example_gen(config, home)
    examples = example_gen.outputs["examples"]
    statistics_gen, schema_gen, example_validator, data_gate = _data_checks(config, examples)
    schema = schema_gen.outputs["schema"]
    transform = _transform(config, examples, schema)
    transform.add_upstream_node(data_gate)
    rbm_pretrainer, trainer = _training(config, examples, schema, transform.outputs["transform_graph"])
    model = trainer.outputs["model"]
    baseline, evaluator, test_evaluator, *ten_crops = _evaluation(config, examples, model)
    infra_validator = _infra_validator(model)
    infra_validator.add_upstream_node(test_evaluator)
    pusher = _pusher(config, home, model, [evaluator, test_evaluator, infra_validator])

    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(home.artifacts(config.name)),
        components=[
            example_gen, statistics_gen, schema_gen, example_validator, data_gate, transform, rbm_pretrainer, trainer,
            baseline, evaluator, test_evaluator, *ten_crops, infra_validator, pusher,
        ],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(home.metadata)),
        beam_pipeline_args=[*_BEAM_ARGUMENTS],
    )  # fmt: skip


def _example_gen(config: RunConfig, home: Home) -> Node:
    return ImageExampleGen(
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


def _data_checks(config: RunConfig, examples: Channel) -> tuple[Node, Node, Node, Node]:
    """Returns StatisticsGen, SchemaGen, ExampleValidator and DataGate."""
    statistics_gen = tfx.components.StatisticsGen(
        examples=examples,
        stats_options=tfdv.StatsOptions(feature_allowlist=list(features.CHECKED_FEATURES)),
    )
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = tfx.components.SchemaGen(
        statistics=statistics,
        infer_feature_shape=True,
        exclude_splits=[features.VALIDATION, features.TEST],
    )
    example_validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema_gen.outputs["schema"])
    data_gate = DataGate(
        examples=examples,
        anomalies=example_validator.outputs["anomalies"],
        gates=config.gates.to_json(),
        fingerprint=fingerprint("components.data_gate"),
    )
    return statistics_gen, schema_gen, example_validator, data_gate


def _transform(config: RunConfig, examples: Channel, schema: Channel) -> Node:
    return tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=[features.TRAIN]),
        materialize=False,
        disable_analyzer_cache=True,
        custom_config={
            "image_size": list(config.model.image_size),
            "channels": config.model.channels,
            "fingerprint": fingerprint("components.transform"),
        },
    )


def _training(config: RunConfig, examples: Channel, schema: Channel, transform_graph: Channel) -> tuple[Node, Node]:
    """Returns RBMPretrainer and Trainer, which starts from the pretrained weights."""
    splits = (features.TRAIN, features.VALIDATION) if config.training.use_validation else (features.TRAIN,)
    station = StationConfig(config.model, config.seed, splits, config.training)
    patches = [PATCH_PRETRAINING] if config.model.family == "alexnet" else []
    rbm_pretrainer = RBMPretrainer(
        examples=examples,
        transform_graph=transform_graph,
        config=station.for_pretraining().to_json(),
        fingerprint=fingerprint("components.rbm_pretrainer", *patches),
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
    return rbm_pretrainer, trainer


def _initial_weights(config: RunConfig) -> dict[str, str]:
    """Returns the hash of the initial weights for the cache key: the same path can hold another file later."""
    path = getattr(config.model, "initial_weights", None)
    if path is None:
        return {}
    with Path(path).open("rb") as file:
        return {"initial_weights": hashlib.file_digest(file, "sha256").hexdigest()}


def _evaluation(config: RunConfig, examples: Channel, model: Channel) -> list[Node]:
    """Returns the baseline and the evaluators in the order in which they run."""
    baseline = tfx.dsl.Resolver(
        strategy_class=BaselineStrategy,
        model=_all_of("Trainer", tfx.types.standard_artifacts.Model),
        validation_blessing=_all_of("Evaluator", tfx.types.standard_artifacts.ModelBlessing),
        test_blessing=_all_of("TestEvaluator", tfx.types.standard_artifacts.ModelBlessing),
        candidate=model,
    ).with_id("Baseline")
    objective, gates = config.model.objective, config.gates
    measures = MEASURES[objective]
    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=[features.VALIDATION],
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=validation_config(objective, gates.min_gain, getattr(gates, measures[0].change)),
    )
    bounds = {measure.name: getattr(gates, measure.bound) for measure in measures}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    test_evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=[features.TEST],
        model=model,
        eval_config=test_config(objective, gates.min_gain, given),
    ).with_id("TestEvaluator")
    test_evaluator.add_upstream_node(evaluator)
    nodes = [baseline, evaluator, test_evaluator]
    if config.model.family == "alexnet":
        # The paper's metric: ten forward passes per image, reported beside the others without a threshold.
        ten_crops = tfx.components.Evaluator(
            examples=examples, example_splits=[features.TEST], model=model, eval_config=ten_crop_config()
        ).with_id("TenCropEvaluator")
        ten_crops.add_upstream_node(test_evaluator)
        nodes.append(ten_crops)
    return nodes


def _all_of(producer: str, artifact_type: type) -> tfx.dsl.Channel:
    """Returns the channel of all artifacts that a node of this pipeline has produced in any run."""
    return tfx.dsl.Channel(type=artifact_type, producer_component_id=producer)


def _infra_validator(model: Channel) -> Node:
    return InfraValidator(model=model, fingerprint=fingerprint("components.infra_validator", "serving.replay.__main__"))


def _pusher(config: RunConfig, home: Home, model: Channel, judges: Sequence[Node]) -> Node:
    evaluator, test_evaluator, infra_validator = judges
    return Pusher(
        model=model,
        validation_blessing=evaluator.outputs["blessing"],
        test_blessing=test_evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        destination=str(home.serving / config.name),
        fingerprint=fingerprint("components.pusher"),
    )
