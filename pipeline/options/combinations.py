"""Settings that do not go together: refused before anything runs, each with its cure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from components.errors import UsageError
from components.evaluation.measures import ALL, MEASURES
from models.config import AlexNetConfig, DBNConfig
from pipeline.config import RunConfig
from pipeline.options.fields import flatten
from pipeline.presets import PRESETS

_DEFAULTS = flatten(asdict(RunConfig("")))
_ALL_BASES = (_DEFAULTS, *(flatten(asdict(preset.config)) for preset in PRESETS.values()))
_OF_NETS = "input_dropout hidden_dropout max_norm top_layer_epochs"


class _Owned(NamedTuple):
    """Fields of something that a run may lack.

    Args:
        section: where the fields are, such as "model.pretraining".
        names: of the fields, with blanks between them.
        owner: what reads them.
        there: whether the run has it.
        instead: what the run has instead.
    """

    section: str
    names: str
    owner: str
    there: bool
    instead: str


def check_combinations(config: RunConfig) -> None:
    """Refuses settings that exclude each other, or that the run would silently pass over.

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
    gates = (
        _Owned("gates", name, f"the {one.words}", one in mine, f"{kind}, which has no {one.words} to bound")
        for one in ALL
        for name in (one.bound, one.change)
        if name
    )
    yield from _passed_over(config, gates)


def _passed_over(
    config: RunConfig, rows: Iterable[_Owned], bases: Sequence[Mapping[str, Any]] = (_DEFAULTS,)
) -> Iterator[tuple[bool, str]]:
    """Fields that are set although the run lacks what reads them.

    Args:
        config: of the run.
        rows: what reads which fields.
        bases: configurations that this one may have started from; set is what differs from the nearest of them.
    """
    values = flatten(asdict(config))
    for row in rows:
        keys = [f"{row.section}.{name}" for name in row.names.split()]
        base = min(bases, key=lambda base: sum(values[key] != base.get(key) for key in keys))
        for key in keys:
            yield (
                not row.there and values[key] != base[key],
                (
                    f"{key} is of {row.owner}, but {row.instead}; leave it out, or set it back with "
                    f"--{key.replace('_', '-')} {_text(base[key])}"
                ),
            )


def _text(value: Any) -> str:
    """A value as it is written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


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
    plateau, kind = training.schedule == "plateau", f"training.schedule is {training.schedule}"
    yield from _passed_over(config, [_Owned("training", "plateau_epochs", "the plateau schedule", plateau, kind)])


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
    yield from _passed_over(
        config, [_Owned("training", _OF_NETS, "deep belief nets", False, "model.family is alexnet")]
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
    yield from _passed_over_by_dbn(config, model)
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
        cd.sparsity_target is not None and cd.sparsity_cost == 0,
        (
            "model.pretraining.sparsity_target draws nothing to it while model.pretraining.sparsity_cost is 0; raise "
            "that, such as --model.pretraining.sparsity-cost 0.1"
        ),
    )
    yield (
        cd.sparsity_target is None and cd.sparsity_cost > 0,
        (
            "model.pretraining.sparsity_cost has no mean activity to draw to; add one, such as "
            "--model.pretraining.sparsity-target 0.1"
        ),
    )


def _passed_over_by_dbn(config: RunConfig, model: DBNConfig) -> Iterator[tuple[bool, str]]:
    """What neither pretraining nor the training to the objective reads.

    Options of layers are refused where no layer has a use for them: above a Gaussian one, others are centred; below a
    linear code, others are sparse. Numbers that every training has may be left of a preset for another objective, as
    `epochs` is in `run digits-dbn --model.objective joint`: then nobody has set them.
    """
    objective, one_layer = model.objective, len(model.hidden_units) == 1
    kind = f"model.objective is {objective}"
    classifier, linear = objective == "classification", objective == "reconstruction"
    gaussian, rectified = model.visible_type == "gaussian", model.pretraining.hidden_type == "nrelu"
    binary, drawn = not (one_layer and (gaussian or rectified)), not model.pretraining.persistent
    learned = model.pretraining.learn_variance
    cd, fit, by_fit = "model.pretraining", "training", "back-propagation"
    switches = [
        _Owned(fit, "label_smoothing", "AlexNet", False, "model.family is dbn"),
        _Owned(fit, f"label_share {_OF_NETS}", "classifiers trained by back-propagation", classifier, kind),
        _Owned(fit, "averaging accumulation warmup_epochs", by_fit, classifier or linear, kind),
        _Owned(
            cd, "gaussian_learning_rate", "Gaussian layers", gaussian or linear,
            "no layer is Gaussian: all take model.pretraining.learning_rate",
        ),
        _Owned(
            cd, "learning_rate", "layers that are not Gaussian", not (gaussian and one_layer),
            "the only one is: it takes model.pretraining.gaussian_learning_rate",
        ),
        _Owned(cd, "centering temperatures", "binary layers", binary, "the only layer has other units"),
        _Owned(cd, "coupling", "learned variances", learned, "model.pretraining.learn_variance is false"),
        _Owned(
            cd, "sample_reconstruction", "chains that start at the data", drawn,
            "model.pretraining.persistent is true: such chains are always sampled",
        ),
    ]  # fmt: skip
    numbers = [
        _Owned(
            fit, "epochs batch_size learning_rate momentum weight_cost schedule plateau_epochs patience", by_fit,
            classifier or linear, kind,
        ),
        _Owned(
            "model.up_down", "epochs gibbs_steps batch_size learning_rate momentum weight_cost schedule",
            "the objective joint", objective == "joint", kind,
        ),
        _Owned("model.partition", "chains temperatures", "the objective density", objective == "density", kind),
    ]  # fmt: skip
    yield from _passed_over(config, switches)
    yield from _passed_over(config, numbers, _ALL_BASES)
