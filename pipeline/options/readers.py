"""Settings that a run would ignore, because it lacks the part that reads them."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from components.evaluation.measures import ALL, MEASURES
from models.config import DBNConfig
from models.settings import Reader
from pipeline.config import RUN_TYPES, RunConfig
from pipeline.options.keys import as_option, flatten, keys_of


def ignored(config: RunConfig, given: Iterable[str]) -> Iterator[str]:
    """Finds the settings that a user gave and the run would ignore.

    A setting whose default is none, false or 0 is switched off by that value. The run does what such a value asks for,
    so it is not ignored.

    Args:
        config: The configuration.
        given: Keys that a user set.

    Yields:
        One message for each, with its cure.

    Example:
        >>> from models.config import DBNConfig, TrainingConfig
        >>> config = RunConfig("x", model=DBNConfig(objective="joint"), training=TrainingConfig(epochs=7))
        >>> next(ignored(config, ["training.epochs"]))
        'training.epochs is read only by back-propagation, but model.objective is joint; leave out --training.epochs'
    """
    keys, missing, values = keys_of(RUN_TYPES[config.model.family]), _missing_readers(config), flatten(asdict(config))
    unmeasured = _unmeasured_gates(config)
    for key in (key for key in keys if key in set(given)):
        default = keys[key].default
        if not default and values[key] == default:
            continue
        for reader in keys[key].readers:
            if reader in missing:
                yield f"{key} is read only by {reader.value}, but {missing[reader]}; leave out {as_option(key)}"
        if key in unmeasured:
            yield f"{key} bounds {unmeasured[key]}; leave out {as_option(key)}"


def _missing_readers(config: RunConfig) -> dict[Reader, str]:
    """The readers that a run lacks, each with the setting that is the reason."""
    model, schedule = config.model, config.training.schedule
    dbn = isinstance(model, DBNConfig)
    family, objective = f"model.family is {model.family}", f"model.objective is {model.objective}"
    there = {
        Reader.DBN: (dbn, family),
        Reader.ALEXNET: (not dbn, family),
        Reader.CLASSIFIER: (model.objective == "classification", objective),
        Reader.BACK_PROPAGATION: (model.objective in ("classification", "reconstruction"), objective),
        Reader.UP_DOWN: (model.objective == "joint", objective),
        Reader.DENSITY: (model.objective == "density", objective),
        Reader.PLATEAU: (schedule == "plateau", f"training.schedule is {schedule}"),
        **(_readers_in_layers(model) if isinstance(model, DBNConfig) else {}),
    }
    return {reader: reason for reader, (found, reason) in there.items() if not found}


def _readers_in_layers(model: DBNConfig) -> dict[Reader, tuple[bool, str]]:
    """Whether any layer has a use for a setting; below a linear code and above Gaussian pixels layers are binary."""
    rbm, single = model.pretraining, len(model.hidden_units) == 1
    gaussian, linear_code = model.visible_type == "gaussian", model.objective == "reconstruction"
    binary = not (single and (gaussian or rbm.hidden_type == "nrelu"))
    return {
        Reader.GAUSSIAN_LAYER: (
            gaussian or linear_code,
            "no layer is Gaussian: all read model.pretraining.learning_rate",
        ),
        Reader.OTHER_LAYER: (
            not (gaussian and single),
            "the only layer is Gaussian: it reads model.pretraining.gaussian_learning_rate",
        ),
        Reader.BINARY_LAYER: (binary, "the only layer has other units"),
        Reader.LEARNED_VARIANCES: (rbm.learn_variance, "model.pretraining.learn_variance is false"),
        Reader.CHAINS_FROM_DATA: (
            not rbm.persistent,
            "model.pretraining.persistent is true: such chains are always sampled",
        ),
    }


def _unmeasured_gates(config: RunConfig) -> dict[str, str]:
    """The gates on measures that the objective lacks, each with the reason."""
    objective = config.model.objective
    return {
        f"gates.{name}": f"the {measure.words}, but model.objective is {objective}, which has no {measure.words}"
        for measure in ALL
        for name in (measure.bound, measure.change)
        if name and measure not in MEASURES[objective]
    }
