"""Settings that do not go together: each refusal names them and its cure."""

from typing import Any

import pytest

from components.errors import UsageError
from models.config import AlexNetConfig, DBNConfig, PatchConfig, RBMConfig, TrainingConfig, UpDownConfig
from pipeline.combinations import check_combinations
from pipeline.config import GatesConfig, RunConfig

LAYERS = {"classification": (9,), "joint": (9, 9), "reconstruction": (9, 9), "density": (9,)}


def run(objective: str = "classification", training: Any = None, gates: Any = None, **model: Any) -> RunConfig:
    net = {"objective": objective, "hidden_units": LAYERS[objective]} | model
    return RunConfig("x", model=DBNConfig(**net), training=training or TrainingConfig(), gates=gates or GatesConfig())


def alexnet(training: Any = None, **model: Any) -> RunConfig:
    return RunConfig("x", model=AlexNetConfig(**model), training=training or TrainingConfig())


@pytest.mark.parametrize("objective", LAYERS)
def test_plain_configurations_of_every_objective_pass(objective: str):
    check_combinations(run(objective))


@pytest.mark.parametrize(
    "config",
    [
        run(training=TrainingConfig(input_dropout=0.2, hidden_dropout=0.5, max_norm=3.0, top_layer_epochs=1)),
        run(gates=GatesConfig(max_top1_error=1.0, max_top5_error=1.0)),
        run(visible_type="gaussian", pretraining=RBMConfig(learn_variance=True, hidden_type="nrelu")),
        run("joint", gates=GatesConfig(max_top1_error=1.0)),
        run("reconstruction", gates=GatesConfig(max_squared_error=3.0)),
        run("density", gates=GatesConfig(min_log_probability=-90.0)),
        run("density", pretraining=RBMConfig(temperatures=5, persistent=True)),
        run("reconstruction", training=TrainingConfig(averaging=0.99, accumulation=2, warmup_epochs=1)),
        alexnet(TrainingConfig(schedule="plateau", label_smoothing=0.1)),
        alexnet(TrainingConfig(averaging=0.999, warmup_epochs=2), pretraining=PatchConfig(patches=100)),
    ],
)
def test_what_belongs_together_passes(config: RunConfig):
    check_combinations(config)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (run("density", hidden_units=(9, 9)), "one machine, but model.hidden_units has 2 layers.*--model.hidden-units"),
        (run("joint", hidden_units=(9,)), "model.objective is joint, which needs two layers"),
        (run("reconstruction", hidden_units=(9,)), "needs two layers"),
        (run("joint", visible_type="gaussian"), r"pixels in \[0, 1\]; leave out --model.visible-type"),
        (run("density", pretraining=RBMConfig(hidden_type="nrelu")), "hidden-type bernoulli"),
        (run(hidden_units=(9, 9), pretraining=RBMConfig(hidden_type="nrelu")), "the one layer of a classifier"),
        (run("joint", up_down=UpDownConfig(epochs=(1, 1))), "has 2 stages and model.up_down.gibbs_steps 3"),
        (run(pretraining=RBMConfig(temperatures=5)), "--model.pretraining.persistent true"),
        (run(pretraining=RBMConfig(learn_variance=True)), "--model.visible-type gaussian"),
        (
            run(visible_type="gaussian", pretraining=RBMConfig(sample_data=True)),
            "leave out --model.visible-type gaussian",
        ),
        (run("joint", training=TrainingConfig(label_share=0.1)), "training.label_share is of classifiers"),
        (run("joint", training=TrainingConfig(hidden_dropout=0.5)), "training.hidden_dropout is of classifiers"),
        (run("reconstruction", training=TrainingConfig(max_norm=3.0)), "model.objective is reconstruction; leave it"),
        (run("density", gates=GatesConfig(max_top1_error=2.0)), "has no top-1 error .*--gates.max-top1-error none"),
        (run(training=TrainingConfig(label_smoothing=0.1)), "label_smoothing is of AlexNet, but model.family is dbn"),
        (run("joint", training=TrainingConfig(averaging=0.9)), "averaging is of back-propagation, but .* joint"),
        (
            run("density", training=TrainingConfig(accumulation=2)),
            "is of back-propagation, but .* density",
        ),
        (run(training=TrainingConfig(schedule="plateau", use_validation=True)), "--training.schedule cosine"),
        (alexnet(TrainingConfig(schedule="constant", warmup_epochs=1)), "add --training.schedule cosine"),
        (alexnet(TrainingConfig(epochs=2, warmup_epochs=2)), "warmup_epochs is 2 of 2 epochs in all"),
        (alexnet(TrainingConfig(averaging=0.9, patience=3)), "leave out one of them"),
        (alexnet(TrainingConfig(hidden_dropout=0.5)), "hidden_dropout is of deep belief nets"),
        (
            alexnet(crop_size=(227, 227), image_size=(64, 64)),
            r"crop_size \[227, 227\] does not fit",
        ),
        (alexnet(initial_weights="w.npz", pretraining=PatchConfig(patches=9)), "both decide the first weights"),
        (run(gates=GatesConfig(max_squared_error=0.0)), "has no squared error .*--gates.max-squared-error none"),
    ],
)
def test_what_does_not_is_refused_in_one_sentence(config: RunConfig, words: str):
    with pytest.raises(UsageError, match=words) as error:
        check_combinations(config)
    assert "\n" not in str(error.value)
