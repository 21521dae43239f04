"""Settings that do not go together: refused before anything runs, each with its cure."""

from collections.abc import Iterator

from components.errors import UsageError
from components.measures import ALL, MEASURES, option
from models.config import AlexNetConfig, DBNConfig
from pipeline.config import RunConfig


def check_combinations(config: RunConfig) -> None:
    """Refuses settings that exclude each other, or that the model's objective would silently pass over.

    Raises:
        UsageError: The first such combination, with its cure.
    """
    for found, sentence in _combinations(config):
        if found:
            raise UsageError(sentence)


def _combinations(config: RunConfig) -> Iterator[tuple[bool, str]]:
    model = config.model
    yield from _of_alexnet(config, model) if isinstance(model, AlexNetConfig) else _of_dbn(config, model)
    yield from _of_training(config)
    kind, mine = f"model.objective is {model.objective}", MEASURES[model.objective]
    for measure in ALL:
        value = getattr(config.gates, measure.bound)
        yield (
            measure not in mine and value is not None,
            (
                f"{kind}, which has no {measure.words} for gates.{measure.bound} to bound; set it to none with "
                f"{option(measure.bound)} none"
            ),
        )


def _of_training(config: RunConfig) -> Iterator[tuple[bool, str]]:
    training = config.training
    yield (
        training.schedule == "plateau" and training.use_validation,
        (
            "training.schedule is plateau, which watches the validation error, but training.use_validation leaves no "
            "validation images; use --training.schedule cosine"
        ),
    )
    yield (
        training.averaging > 0 and training.patience > 0,
        (
            "training.patience keeps the weights of the best epoch and training.averaging a mean of all; leave out one "
            "of them"
        ),
    )
    yield (
        training.warmup_epochs > 0 and training.schedule != "cosine",
        ("training.warmup_epochs is of the cosine schedule; add --training.schedule cosine"),
    )
    yield (
        training.warmup_epochs >= training.epochs,
        (
            f"training.warmup_epochs is {training.warmup_epochs} of {training.epochs} epochs in all; lower it with "
            "--training.warmup-epochs"
        ),
    )


def _of_alexnet(config: RunConfig, model: AlexNetConfig) -> Iterator[tuple[bool, str]]:
    yield (
        any(crop > side for crop, side in zip(model.crop_size, model.image_size, strict=True)),
        (
            f"model.crop_size {list(model.crop_size)} does not fit into model.image_size {list(model.image_size)}; "
            f"lower it with --model.crop-size or raise --model.image-size"
        ),
    )
    yield (
        model.initial_weights is not None and model.pretraining.patches > 0,
        ("model.initial_weights and model.pretraining.patches both decide the first weights; leave out one of them"),
    )
    for name in ("input_dropout", "hidden_dropout", "max_norm", "top_layer_epochs"):
        yield (
            bool(getattr(config.training, name)),
            (f"training.{name} is of deep belief nets, but model.family is alexnet; leave it out"),
        )


def _of_dbn(config: RunConfig, model: DBNConfig) -> Iterator[tuple[bool, str]]:
    cd, objective = model.pretraining, model.objective
    layers, kind = len(model.hidden_units), f"model.objective is {objective}"
    gaussian, rectified = model.visible_type == "gaussian", cd.hidden_type == "nrelu"
    yield (
        gaussian and objective != "classification",
        (f"{kind}, which takes pixels in [0, 1]; leave out --model.visible-type gaussian"),
    )
    yield (
        objective == "density" and layers > 1,
        (
            f"{kind}, which is one machine, but model.hidden_units has {layers} layers; give one, such as "
            "--model.hidden-units 500"
        ),
    )
    yield (
        objective in ("joint", "reconstruction") and layers < 2,
        (f"{kind}, which needs two layers or more; give them, such as --model.hidden-units 500,500"),
    )
    yield (
        rectified and (objective != "classification" or layers > 1),
        (
            "model.pretraining.hidden_type is nrelu, which can only be the one layer of a classifier; use "
            "--model.pretraining.hidden-type bernoulli"
        ),
    )
    yield (
        len(model.up_down.epochs) != len(model.up_down.gibbs_steps),
        (
            f"model.up_down.epochs has {len(model.up_down.epochs)} stages and model.up_down.gibbs_steps "
            f"{len(model.up_down.gibbs_steps)}; give as many of one as of the other"
        ),
    )
    yield (
        cd.temperatures > 1 and not cd.persistent,
        ("model.pretraining.temperatures above 1 needs persistent chains; add --model.pretraining.persistent true"),
    )
    yield (
        cd.learn_variance and not gaussian,
        ("model.pretraining.learn_variance needs Gaussian visible units; add --model.visible-type gaussian"),
    )
    yield (
        cd.sample_data and gaussian,
        ("model.pretraining.sample_data needs binary visible units; leave out --model.visible-type gaussian"),
    )
    yield (
        config.training.label_smoothing > 0,
        ("training.label_smoothing is of AlexNet, but model.family is dbn; leave it out"),
    )
    yield (
        config.training.label_share < 1 and objective != "classification",
        (f"training.label_share is of classifiers trained by back-propagation, but {kind}; leave it out"),
    )
    propagated = objective in ("classification", "reconstruction")
    for name, off in (("averaging", 0), ("accumulation", 1), ("warmup_epochs", 0)):
        yield (
            not propagated and getattr(config.training, name) != off,
            (f"training.{name} is of back-propagation, but {kind}; leave it out"),
        )
    for name in ("input_dropout", "hidden_dropout", "max_norm", "top_layer_epochs"):
        yield (
            objective != "classification" and bool(getattr(config.training, name)),
            (f"training.{name} is of classifiers trained by back-propagation, but {kind}; leave it out"),
        )
