"""Objective "density": one machine as it was pretrained, and its partition function by annealed importance sampling."""

import logging
import warnings
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
from matplotlib.figure import Figure

from components.export import layout
from components.export.density import ExportedDensity, estimate_summary, partition_metrics
from components.figures import rbm_figures
from components.input_pipeline import scaling
from components.reporting import progress, station_tracker
from components.station_config import StationConfig
from components.training.inputs import TrainingInputs
from models import factory
from models.partition import ais_log_partition
from models.partition.estimate import LogPartitionEstimate
from models.partition.log_partition import spaced_betas
from models.rbm import RBM

# Parts of the temperatures that are drawn beside all of them: a twentieth more work, 3 s beside 55 s for 784 x 500.
_DRAWN_PARTS = (100, 30)


def train(config: StationConfig, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> ExportedDensity:
    """Trains nothing: estimates the log partition function of the pretrained machine.

    Args:
        config: network, annealing and seed.
        inputs: images and their statistics, pretrained weights; labels are not looked at.
        tracker: receives, in nats, log Z forward and in reverse with its bracket and standard error, and the mean
            log-probability of the validation images by both beside that of independent pixels; then `log_z.png`.
    """
    keras.utils.set_random_seed(config.seed)
    model, temperatures = config.model, config.model.partition.temperatures
    mean = scaling.visible_mean(model, inputs.statistics)
    [rbm] = factory.build_dbn(model, config.seed, inputs.pretrained).rbms
    anneal = partial(_anneal, rbm, mean, model.partition.chains, config.seed)
    progress.say(f"annealing {model.partition.chains} chains over {temperatures} temperatures")
    estimate = anneal(temperatures)
    _log_estimate(estimate, tracker)
    tracker.log_figure(lambda: _bracket(anneal, temperatures, estimate), "log_z.png")
    # One image all on and one all off join the data: a pixel that was never on is improbable, not impossible.
    count = inputs.training.count
    served = ExportedDensity(rbm, factory.image_shape(model), estimate, (count * mean + 1) / (count + 2))
    if inputs.validation is not None:
        _log_means(served, inputs, tracker)
    return served


def _anneal(rbm: RBM, mean: np.ndarray, chains: int, seed: int, temperatures: int) -> LogPartitionEstimate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said by the estimate itself
        return ais_log_partition(rbm, data=mean[None], chains=chains, betas=spaced_betas(temperatures), seed=seed)


def _log_estimate(estimate: LogPartitionEstimate, tracker: station_tracker.StationTracker) -> None:
    both = f"log Z {estimate.log_z:.2f} nats forward, {estimate.reverse_log_z:.2f} in reverse, gap {estimate.gap:.2f}"
    progress.say(both)
    logging.info(
        "%s; bracket %.2f to %.2f, standard error %.3f, effective chains %.1f and %.1f",
        *(both, estimate.lower, estimate.upper, estimate.standard_error),
        *(estimate.effective_chains, estimate.reverse_effective_chains),
    )
    for sentence in estimate.warnings:
        logging.warning("Estimate of log Z: %s", sentence)
    tracker.log_metrics(partition_metrics(estimate_summary(estimate)))
    if estimate.warnings:
        tracker.log_text("\n".join(estimate.warnings) + "\n", "log_z_warnings.txt")


def _bracket(
    anneal: Callable[[int], LogPartitionEstimate], temperatures: int, estimate: LogPartitionEstimate
) -> Figure:
    """The estimate beside those by fewer temperatures, at least 3."""
    fewer = {max(3, temperatures // part) for part in _DRAWN_PARTS}
    found = {number: anneal(number) for number in sorted(fewer) if number < temperatures} | {temperatures: estimate}
    return rbm_figures.annealing_bracket(
        list(found),
        [one.log_z for one in found.values()],
        [one.reverse_log_z for one in found.values()],
        quantity="log Z, nats",
        along="temperatures",
        logarithmic=True,
        title="Annealed importance sampling of log Z",
    )


def _log_means(served: ExportedDensity, inputs: TrainingInputs, tracker: station_tracker.StationTracker) -> None:
    """Logs means over the validation images, in nats, as Evaluator measures them, and by the reverse estimate."""
    batches = inputs.validation.batches(1000)
    outputs = (layout.LOG_PROBABILITY, layout.BASE_RATE_LOG_PROBABILITY)
    answers = [served.from_pixels(keras.ops.cast(images, "float32")) for images, _ in batches]
    forward, base_rate = (float(np.mean(np.concatenate([answer[name] for answer in answers]))) for name in outputs)
    reverse = forward - served.estimate.gap
    logging.info(
        "Log-probability of a validation image %.2f nats forward, %.2f in reverse; independent pixels %.2f",
        *(forward, reverse, base_rate),
    )
    tracker.log_metrics(
        {
            f"val_{layout.LOG_PROBABILITY}": forward,
            f"val_{layout.LOG_PROBABILITY}_reverse": reverse,
            f"val_{layout.BASE_RATE_LOG_PROBABILITY}": base_rate,
        }
    )
