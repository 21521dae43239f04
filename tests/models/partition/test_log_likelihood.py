"""The log-likelihood in the logs of training."""

import numpy as np
import pytest

from models.partition import ais_log_partition, exact_log_partition
from models.partition.log_likelihood import LogLikelihood
from models.partition.log_partition import log_probability, spaced_betas
from models.rbm import RBM

DATA = (np.random.default_rng(0).random((60, 20)) < 0.3).astype("float32")


def trained(hidden_units, *callbacks, epochs=4):
    rbm = RBM(hidden_units, seed=1)
    rbm.compile()
    return rbm, rbm.fit(DATA, batch_size=20, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks)).history


@pytest.mark.lengthy
def test_small_rbms_are_exact():
    rbm, history = trained(5, LogLikelihood(DATA[:10], DATA))
    log_z = exact_log_partition(rbm)
    assert history["log_z"][-1] == log_z
    np.testing.assert_allclose(history["log_likelihood"][-1], np.mean(log_probability(rbm, DATA[:10], log_z)))
    assert history["log_z_gap"] == [0.0] * 4


@pytest.mark.lengthy
def test_larger_rbms_are_estimated():
    rbm, history = trained(16, LogLikelihood(DATA[:10], DATA, chains=20, temperatures=200, seed=3), epochs=1)
    estimate = ais_log_partition(rbm, DATA, chains=20, betas=spaced_betas(200), seed=3)
    assert history["log_z"] == [estimate.log_z]
    assert history["log_z_gap"] == [estimate.gap]
    assert abs(estimate.log_z - exact_log_partition(rbm)) < 0.5


@pytest.mark.lengthy
def test_looks_every_so_many_epochs():
    _, history = trained(5, LogLikelihood(DATA[:10], DATA, every=2))
    assert len(history["log_likelihood"]) == 2
    assert len(history["reconstruction_error"]) == 4


@pytest.mark.lengthy
def test_watching_does_not_change_the_training():
    watched, _ = trained(16, LogLikelihood(DATA[:10], DATA, chains=20, temperatures=200))
    alone, _ = trained(16)
    for one, other in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_is_checked():
    with pytest.raises(ValueError, match="`every` must be an integer of at least 1"):
        LogLikelihood(DATA, DATA, every=0)
