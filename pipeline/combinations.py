"""Settings that do not go together: refused before anything runs, each with its cure."""

from collections.abc import Iterator

from components.errors import UsageError
from components.measures import ALL, MEASURES, option
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
    model, cd, objective = config.model, config.model.pretraining, config.model.objective
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
    for name in ("input_dropout", "hidden_dropout", "max_norm", "top_layer_epochs"):
        yield (
            objective != "classification" and bool(getattr(config.training, name)),
            (f"training.{name} is of classifiers trained by back-propagation, but {kind}; leave it out"),
        )
    mine = MEASURES[objective]
    for measure in ALL:
        value = getattr(config.gates, measure.bound)
        yield (
            measure not in mine and value is not None,
            (
                f"{kind}, which has no {measure.words} for gates.{measure.bound} to bound; set it to none with "
                f"{option(measure.bound)} none"
            ),
        )
