"""Which options of a restricted Boltzmann machine go together."""

from models.fitting.closed_form import check_choice, check_count


def check_options(rbm):
    """Refuses, with a ValueError, a number out of its range, an unknown type, or a combination that does not exist."""
    check_choice("visible_type", rbm.visible_type, ("bernoulli", "gaussian"))
    check_choice("hidden_type", rbm.hidden_type, ("bernoulli", "gaussian", "nrelu"))
    check_choice("coupling", rbm.coupling, ("variance", "deviation"))
    check_choice("centering", rbm.centering, (None, "data", "enhanced"))
    for key in ("hidden_units", "gibbs_steps", "num_chains", "temperatures"):
        check_count(key, getattr(rbm, key))
    check_count("label_units", rbm.label_units, least=0)
    binary = rbm.visible_type == rbm.hidden_type == "bernoulli"
    gaussian, target = rbm.visible_type == "gaussian", rbm.sparsity_target
    for refused, sentence in (
        (gaussian and rbm.hidden_type == "gaussian", "Gaussian units on both sides have no bounded energy"),
        (rbm.centering and not binary, "`centering` is defined here for binary units on both sides"),
        (rbm.temperatures > 1 and not binary, "`temperatures` above 1 need binary units on both sides"),
        (rbm.temperatures > 1 and not rbm.persistent, "`temperatures` above 1 need persistent=True"),
        (rbm.sample_data and gaussian, "`sample_data` needs binary visible units"),
        (rbm.coupling != "variance" and not gaussian, "`coupling` is of Gaussian visible units"),
        ((target is None) != (not rbm.sparsity_cost), "`sparsity_target` and `sparsity_cost` need each other"),
        (target is not None and rbm.hidden_type == "gaussian", "linear units have no activity to be sparse"),
        (rbm.learn_variance and not gaussian, "`learn_variance` needs Gaussian visible units"),
        (rbm.label_units and gaussian, "`label_units` need binary visible units beside them"),
        (rbm.label_units == 1, "`label_units` must be at least 2, or 0 for none"),
        (target is not None and not 0 < target < 1, "`sparsity_target` must be above 0 and below 1, or None"),
    ):
        if refused:
            raise ValueError(f"{sentence}. Received: {rbm.get_config()}")
