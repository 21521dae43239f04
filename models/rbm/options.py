"""Options of an RBM: the combinations it accepts, and the options that an `RBMConfig` holds."""

from typing import Any

import keras

from models.checks import check_choice, check_count
from models.config import RBMConfig
from models.rbm.units import HIDDEN_TYPES

_IN_CONFIG = (
    "hidden_type", "gibbs_steps", "persistent", "temperatures", "sample_reconstruction", "sample_data", "centering",
    "sparsity_target", "sparsity_cost", "coupling", "learn_variance", "weight_stddev",
)  # fmt: skip
# Options for binary visible units in place of those for Gaussian pixels.
BINARY_VISIBLE = {"coupling": "variance", "learn_variance": False}


def options_from(config: RBMConfig) -> dict[str, Any]:
    """Returns the arguments of `models.rbm.RBM` that a training configuration holds."""
    return {key: getattr(config, key) for key in _IN_CONFIG}


def check_options(rbm: keras.Model) -> None:
    """Checks the options of a `models.rbm.RBM`.

    Raises:
        ValueError: A number is out of its range, a type is unknown, or two options exclude each other.
    """
    check_choice("visible_type", rbm.visible_type, ("bernoulli", "gaussian"))
    check_choice("hidden_type", rbm.hidden_type, tuple(HIDDEN_TYPES))
    check_choice("coupling", rbm.coupling, ("variance", "deviation"))
    check_choice("centering", rbm.centering, (None, "data", "enhanced"))
    for key in ("hidden_units", "gibbs_steps", "num_chains", "temperatures"):
        check_count(key, getattr(rbm, key))
    check_count("label_units", rbm.label_units, least=0)
    binary = rbm.visible_type == rbm.hidden_type == "bernoulli"
    gaussian, target = rbm.visible_type == "gaussian", rbm.sparsity_target
    for refused, sentence in (
        (gaussian and rbm.hidden_type == "gaussian", "Gaussian units on both sides have no bounded energy"),
        (rbm.centering and not binary, "`centering` requires binary units on both sides"),
        (rbm.temperatures > 1 and not binary, "`temperatures` above 1 requires binary units on both sides"),
        (rbm.temperatures > 1 and not rbm.persistent, "`temperatures` above 1 requires persistent=True"),
        (rbm.sample_data and gaussian, "`sample_data` requires binary visible units"),
        (rbm.coupling != "variance" and not gaussian, "`coupling` requires Gaussian visible units"),
        ((target is None) != (not rbm.sparsity_cost), "`sparsity_target` and `sparsity_cost` require each other"),
        (target is not None and rbm.hidden_type == "gaussian", "linear hidden units have no activity to be sparse"),
        (rbm.learn_variance and not gaussian, "`learn_variance` requires Gaussian visible units"),
        (rbm.label_units and gaussian, "`label_units` requires binary visible units beside them"),
        (rbm.label_units == 1, "`label_units` must be at least 2, or 0 for none"),
        (target is not None and not 0 < target < 1, "`sparsity_target` must be above 0 and below 1, or None"),
    ):
        if refused:
            raise ValueError(f"{sentence}; received {rbm.get_config()}")
