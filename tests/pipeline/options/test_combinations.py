"""Settings that do not go together: each refusal names them and its cure."""

from dataclasses import asdict
from typing import Any

import pytest

from components.errors import UsageError
from models.config import (
    AlexNetConfig,
    DBNConfig,
    PartitionConfig,
    PatchConfig,
    RBMConfig,
    TrainingConfig,
    UpDownConfig,
)
from pipeline.config import GatesConfig, RunConfig
from pipeline.options.combinations import check_combinations
from pipeline.options.keys import flatten

LAYERS = {"classification": (9,), "joint": (9, 9), "reconstruction": (9, 9), "density": (9,)}


def run(objective: str = "classification", training: Any = None, gates: Any = None, **model: Any) -> RunConfig:
    net = {"objective": objective, "hidden_units": LAYERS[objective]} | model
    return RunConfig("x", model=DBNConfig(**net), training=training or TrainingConfig(), gates=gates or GatesConfig())


def alexnet(training: Any = None, **model: Any) -> RunConfig:
    return RunConfig("x", model=AlexNetConfig(**model), training=training or TrainingConfig())


@pytest.mark.parametrize("objective", LAYERS)
def test_plain_configurations_of_every_objective_pass(objective: str):
    check_combinations(run(objective))


def check_as_given(config: RunConfig) -> None:
    """Checks a configuration of which a user has given every value that is not the default."""
    values, defaults = flatten(asdict(config)), flatten(asdict(type(config)("x", model=type(config.model)())))
    check_combinations(config, [key for key in values if values[key] != defaults[key]])


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
        run("joint", up_down=UpDownConfig(epochs=(1,), gibbs_steps=(1,), learning_rate=0.1)),
        run("density", partition=PartitionConfig(chains=10)),
        run(pretraining=RBMConfig(sparsity_target=0.1, sparsity_cost=0.1)),
        run("reconstruction", pretraining=RBMConfig(gaussian_learning_rate=0.01, centering="data")),
        run("reconstruction", pretraining=RBMConfig(sparsity_target=0.1, sparsity_cost=0.1)),
        run(visible_type="gaussian", pretraining=RBMConfig(gaussian_learning_rate=0.01)),
        run(hidden_units=(9, 9), visible_type="gaussian", pretraining=RBMConfig(centering="data", learning_rate=0.2)),
        run("reconstruction", training=TrainingConfig(averaging=0.99, accumulation=2, warmup_epochs=1)),
        alexnet(TrainingConfig(schedule="plateau", label_smoothing=0.1)),
        alexnet(TrainingConfig(averaging=0.999, warmup_epochs=2), pretraining=PatchConfig(patches=100)),
    ],
)
def test_settings_that_go_together_pass(config: RunConfig):
    check_as_given(config)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (run("density", hidden_units=(9, 9)), "one RBM, but model.hidden_units has 2 layers.*--model.hidden-units"),
        (run("joint", hidden_units=(9,)), "model.objective is joint, which requires at least two layers"),
        (run("reconstruction", hidden_units=(9,)), "requires at least two layers"),
        (run("joint", visible_type="gaussian"), r"pixels in \[0, 1\]; leave out --model.visible-type"),
        (run("density", pretraining=RBMConfig(hidden_type="nrelu")), "hidden-type bernoulli"),
        (run(hidden_units=(9, 9), pretraining=RBMConfig(hidden_type="nrelu")), "the single layer of a classifier"),
        (run("joint", up_down=UpDownConfig(epochs=(1, 1))), "has 2 stages, but model.up_down.gibbs_steps has 3"),
        (run(pretraining=RBMConfig(temperatures=5)), "--model.pretraining.persistent true"),
        (run(pretraining=RBMConfig(learn_variance=True)), "--model.visible-type gaussian"),
        (
            run(visible_type="gaussian", pretraining=RBMConfig(sample_data=True)),
            "leave out --model.visible-type gaussian",
        ),
        (run("joint", training=TrainingConfig(label_share=0.1)), "label_share is read only by classifiers"),
        (
            run("joint", training=TrainingConfig(hidden_dropout=0.5)),
            "hidden_dropout is read only by classifiers",
        ),
        (
            run("reconstruction", training=TrainingConfig(max_norm=3.0)),
            "is reconstruction; leave out --training.max-norm",
        ),
        (run("density", gates=GatesConfig(max_top1_error=2.0)), "has no top-1 error; leave out --gates.max-top1-error"),
        (
            run(up_down=UpDownConfig(epochs=(1,))),
            "by the objective joint.*leave out --model.up-down.epochs",
        ),
        (run("joint", partition=PartitionConfig(chains=9)), "chains is read only by the objective density"),
        (run(pretraining=RBMConfig(sparsity_target=0.1)), "raise the cost, .* --model.pretraining.sparsity-cost 0.1"),
        (run(pretraining=RBMConfig(sparsity_cost=0.1)), "add one, .* --model.pretraining.sparsity-target 0.1"),
        (
            run(visible_type="gaussian", pretraining=RBMConfig(centering="data")),
            "centering is read only by binary layers, but the only layer has other units; leave out",
        ),
        (
            run(pretraining=RBMConfig(hidden_type="nrelu", persistent=True, temperatures=5)),
            "temperatures is read only by binary layers, .* --model.pretraining.temperatures",
        ),
        (
            run(pretraining=RBMConfig(persistent=True, sample_reconstruction=True)),
            "but model.pretraining.persistent is true.* --model.pretraining.sample-reconstruction",
        ),
        (
            run(visible_type="gaussian", pretraining=RBMConfig(coupling="deviation")),
            "coupling is read only by learned variances, but model.pretraining.learn_variance is false",
        ),
        (run(pretraining=RBMConfig(gaussian_learning_rate=0.01)), "no layer is Gaussian: .*pretraining.learning_rate;"),
        (
            run(visible_type="gaussian", pretraining=RBMConfig(learning_rate=0.01)),
            "the only layer is Gaussian: it reads model.pretraining.gaussian_learning_rate;",
        ),
        (
            alexnet(TrainingConfig(plateau_epochs=3)),
            "is read only by the plateau schedule, but .* cosine",
        ),
        (
            run("density", gates=GatesConfig(max_error_increase=1.0)),
            "which has no top-1 error; .*--gates.max-error-increase",
        ),
        (
            run(training=TrainingConfig(label_smoothing=0.1)),
            "is read only by AlexNet, but model.family is dbn",
        ),
        (
            run("joint", training=TrainingConfig(averaging=0.9)),
            "is read only by back-propagation, but .* joint",
        ),
        (
            run("density", training=TrainingConfig(accumulation=2)),
            "is read only by back-propagation, but .* density",
        ),
        (run(training=TrainingConfig(schedule="plateau", use_validation=True)), "--training.schedule cosine"),
        (alexnet(TrainingConfig(schedule="constant", warmup_epochs=1)), "add --training.schedule cosine"),
        (alexnet(TrainingConfig(epochs=2, warmup_epochs=2)), "warmup_epochs is 2 of 2 epochs in all"),
        (alexnet(TrainingConfig(averaging=0.9, patience=3)), "leave out one of them"),
        (alexnet(TrainingConfig(hidden_dropout=0.5)), "hidden_dropout is read only by deep belief nets"),
        (
            alexnet(crop_size=(227, 227), image_size=(64, 64)),
            r"crop_size \[227, 227\] does not fit",
        ),
        (alexnet(initial_weights="w.npz", pretraining=PatchConfig(patches=9)), "both set the initial weights"),
        (run(gates=GatesConfig(max_squared_error=0.0)), "has no squared error; .*--gates.max-squared-error"),
    ],
)
def test_settings_that_do_not_are_refused_in_one_sentence(config: RunConfig, words: str):
    with pytest.raises(UsageError, match=words) as error:
        check_as_given(config)
    assert "\n" not in str(error.value)
