"""The DAG as TFX compiles it: its nodes, their order, and their cache keys."""

import dataclasses
import json

import pytest

from models.config import AlexNetConfig, TrainingConfig
from pipeline.presets import PRESETS

CONFIG = PRESETS["digits-dbn"].config


def compiled(config):
    """Every node with its parameters, by name, in the order in which they run."""
    from tfx.dsl.compiler import compiler

    from pipeline.pipeline import create_pipeline

    nodes = [node.pipeline_node for node in compiler.Compiler().compile(create_pipeline(config)).nodes]
    return {node.node_info.id: (node, parameters(node)) for node in nodes}


def parameters(node):
    return {name: str(value) for name, value in node.parameters.parameters.items()}


@pytest.fixture(scope="module")
def nodes():
    return compiled(CONFIG)


def test_nodes_run_in_the_order_of_the_picture(nodes):
    assert list(nodes) == [
        "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", "Transform", "RBMPretrainer",
        "Trainer", "Baseline", "Evaluator", "TestEvaluator", "InfraValidator", "Pusher",
    ]  # fmt: skip


def test_nothing_is_trained_before_the_data_was_judged(nodes):
    def upstream(name):
        direct = set(nodes[name][0].upstream_nodes)
        return direct.union(*(upstream(other) for other in direct))

    for name in list(nodes)[5:]:
        assert "DataGate" in upstream(name)


def changed(config):
    before, after = compiled(CONFIG), compiled(config)
    return [name for name in before if before[name][1] != after[name][1]]


def test_training_does_not_enter_the_cache_key_of_pretraining():
    assert changed(dataclasses.replace(CONFIG, training=TrainingConfig(epochs=7))) == ["Trainer"]


def test_an_alexnet_is_measured_in_ten_crops_too_and_its_first_weights_enter_the_cache_key(tmp_path):
    weights = tmp_path / "w.npz"
    weights.write_bytes(b"one")
    config = dataclasses.replace(CONFIG, model=AlexNetConfig(initial_weights=str(weights)))
    before = compiled(config)
    assert list(before)[-4:] == ["TestEvaluator", "InfraValidator", "TenCropEvaluator", "Pusher"]
    weights.write_bytes(b"another")
    after = compiled(config)
    assert [name for name in before if before[name][1] != after[name][1]] == ["Trainer"]


def test_bounds_enter_the_cache_keys_of_their_judges_only():
    for gates, judges in (
        ({"max_top1_error": 1.0}, ["TestEvaluator"]),
        ({"max_error_increase": 1.0}, ["Evaluator"]),
        ({"min_gain": 0.5}, ["Evaluator", "TestEvaluator"]),
        ({"max_broken_percent": 1.0}, ["DataGate"]),
    ):
        assert changed(dataclasses.replace(CONFIG, gates=dataclasses.replace(CONFIG.gates, **gates))) == judges


def test_a_seed_changes_the_training_and_leaves_the_images_of_each_split():
    assert changed(dataclasses.replace(CONFIG, seed=1)) == ["RBMPretrainer", "Trainer"]
    assert changed(dataclasses.replace(CONFIG, split_seed=1)) == ["ImageExampleGen"]


def test_final_fit_trains_on_validation_too():
    config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, use_validation=True))
    [text] = [
        value.field_value.string_value
        for name, value in compiled(config)["RBMPretrainer"][0].parameters.parameters.items()
        if name == "config"
    ]
    assert json.loads(text)["splits"] == ["train", "validation"]


def test_every_own_node_carries_a_fingerprint(nodes):
    for name in ("ImageExampleGen", "DataGate", "RBMPretrainer", "InfraValidator", "Pusher"):
        assert "fingerprint" in nodes[name][1]
    for name in ("Transform", "Trainer"):
        assert "fingerprint" in nodes[name][1]["custom_config"]
    for name in ("Evaluator", "TestEvaluator"):
        assert "source" in nodes[name][1]["eval_config"]
