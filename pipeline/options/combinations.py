"""Settings that do not go together: refused before anything runs, each with its cure."""

from collections.abc import Iterable, Iterator

from components.errors import UsageError
from models.config import AlexNetConfig, DBNConfig, TrainingConfig
from pipeline.config import RunConfig
from pipeline.options.readers import ignored

_Checks = Iterator[tuple[bool, str]]


def check_combinations(config: RunConfig, given: Iterable[str] = ()) -> None:
    """Refuses settings that the run would ignore, and settings that exclude each other.

    Args:
        config: The configuration.
        given: Keys that a user set. Only these are refused for being ignored: a preset may have values for other
            objectives.

    Raises:
        UsageError: The first such setting, with its cure.

    Example:
        >>> from models.config import TrainingConfig
        >>> config = RunConfig("x", training=TrainingConfig(epochs=2, warmup_epochs=3))
        >>> check_combinations(config)
        Traceback (most recent call last):
        components.errors.UsageError: training.warmup_epochs is 3 of 2 epochs in all; lower it with ...
    """
    for message in ignored(config, given):
        raise UsageError(message)
    for wrong, message in _exclusions(config):
        if wrong:
            raise UsageError(message)


def _exclusions(config: RunConfig) -> _Checks:
    model = config.model
    yield from _of_alexnet(model) if isinstance(model, AlexNetConfig) else _of_dbn(model)
    yield from _of_training(config.training)


def _of_training(training: TrainingConfig) -> _Checks:
    yield (
        training.schedule == "plateau" and training.use_validation,
        "training.schedule is plateau, which monitors the validation error, but training.use_validation leaves no "
        "validation images; use --training.schedule cosine",
    )
    yield (
        training.averaging > 0 and training.patience > 0,
        "training.patience keeps the weights of the best epoch, but training.averaging keeps a mean of all; leave out "
        "one of them",
    )
    yield (
        training.warmup_epochs > 0 and training.schedule != "cosine",
        "training.warmup_epochs belongs to the cosine schedule; add --training.schedule cosine",
    )
    yield (
        training.warmup_epochs >= training.epochs,
        f"training.warmup_epochs is {training.warmup_epochs} of {training.epochs} epochs in all; lower it with "
        "--training.warmup-epochs",
    )


def _of_alexnet(model: AlexNetConfig) -> _Checks:
    yield (
        any(crop > side for crop, side in zip(model.crop_size, model.image_size, strict=True)),
        f"model.crop_size {list(model.crop_size)} does not fit into model.image_size {list(model.image_size)}; "
        "lower it with --model.crop-size or raise --model.image-size",
    )
    yield (
        model.initial_weights is not None and model.pretraining.patches > 0,
        "model.initial_weights and model.pretraining.patches both set the initial weights; leave out one of them",
    )


def _of_dbn(model: DBNConfig) -> _Checks:
    objective, layers, gaussian = model.objective, len(model.hidden_units), model.visible_type == "gaussian"
    kind = f"model.objective is {objective}"
    yield (
        gaussian and objective != "classification",
        f"{kind}, which requires pixels in [0, 1]; leave out --model.visible-type gaussian",
    )
    yield (
        objective == "density" and layers > 1,
        f"{kind}, which is one RBM, but model.hidden_units has {layers} layers; give one, such as "
        "--model.hidden-units 500",
    )
    yield (
        objective in ("joint", "reconstruction") and layers < 2,
        f"{kind}, which requires at least two layers; give them, such as --model.hidden-units 500,500",
    )
    yield (
        model.pretraining.hidden_type == "nrelu" and (objective != "classification" or layers > 1),
        "model.pretraining.hidden_type is nrelu, which only the single layer of a classifier can be; use "
        "--model.pretraining.hidden-type bernoulli",
    )
    yield (
        len(model.up_down.epochs) != len(model.up_down.gibbs_steps),
        f"model.up_down.epochs has {len(model.up_down.epochs)} stages, but model.up_down.gibbs_steps has "
        f"{len(model.up_down.gibbs_steps)}; give both the same number of stages",
    )
    yield from _of_rbms(model)


def _of_rbms(model: DBNConfig) -> _Checks:
    rbm, gaussian = model.pretraining, model.visible_type == "gaussian"
    yield (
        rbm.temperatures > 1 and not rbm.persistent,
        "model.pretraining.temperatures above 1 requires persistent chains; add --model.pretraining.persistent true",
    )
    yield (
        rbm.learn_variance and not gaussian,
        "model.pretraining.learn_variance requires Gaussian visible units; add --model.visible-type gaussian",
    )
    yield (
        rbm.sample_data and gaussian,
        "model.pretraining.sample_data requires binary visible units; leave out --model.visible-type gaussian",
    )
    yield (
        rbm.sparsity_target is not None and rbm.sparsity_cost == 0,
        "model.pretraining.sparsity_target has no effect while model.pretraining.sparsity_cost is 0; raise the cost, "
        "such as --model.pretraining.sparsity-cost 0.1",
    )
    yield (
        rbm.sparsity_target is None and rbm.sparsity_cost > 0,
        "model.pretraining.sparsity_cost has no effect without a target; add one, such as "
        "--model.pretraining.sparsity-target 0.1",
    )
