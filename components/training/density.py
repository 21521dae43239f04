"""Objective "density": a single pretrained RBM, and its partition function by annealed importance sampling."""

import logging
import warnings
from functools import partial

import keras
import numpy as np

from components.export import layout
from components.export.density import ExportedDensity, estimate_summary, partition_metrics
from components.figures.density_report import log_estimates
from components.input_pipeline import scaling
from components.input_pipeline.image_data import ImageData
from components.reporting import progress
from components.reporting.station_tracker import StationTracker
from components.station_config import StationConfig
from components.training.inputs import TrainingInputs
from models import factory
from models.partition import ais_log_partition
from models.partition.estimate import LogPartitionEstimate
from models.partition.log_partition import spaced_betas
from models.rbm import RBM

_VALIDATION_BATCH = 1000


def train(config: StationConfig, inputs: TrainingInputs, tracker: StationTracker) -> ExportedDensity:
    """Estimates the log partition function of the pretrained RBM; the weights stay as they are.

    Args:
        config: Network, annealing and seed.
        inputs: Images and their statistics, pretrained weights; labels are not used.
        tracker: Receives, in nats, the forward and the reverse estimate of log Z with bracket and standard error, and
            the mean log-probability of the validation images by both estimates and under independent pixels; then
            `log_z.png`.
    """
    keras.utils.set_random_seed(config.seed)
    model, temperatures = config.dbn, config.dbn.partition.temperatures
    mean = scaling.visible_mean(model, inputs.statistics)
    [rbm] = factory.build_dbn(model, config.seed, inputs.pretrained).rbms
    anneal = partial(_anneal, rbm, mean, model.partition.chains, config.seed)
    progress.say(f"annealing {model.partition.chains} chains over {temperatures} temperatures")
    estimate = anneal(temperatures)
    _log_estimate(estimate, tracker)
    log_estimates(anneal, temperatures, estimate, tracker)
    # One image of all ones and one of all zeros join the data: a pixel that was never on is improbable, not impossible.
    count = inputs.training.count
    density = ExportedDensity(rbm, factory.image_shape(model), estimate, (count * mean + 1) / (count + 2))
    if inputs.validation is not None:
        _log_means(density, inputs.validation, tracker)
    return density


def _anneal(rbm: RBM, mean: np.ndarray, chains: int, seed: int, temperatures: int) -> LogPartitionEstimate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the estimate carries them in `warnings`
        return ais_log_partition(rbm, data=mean[None], chains=chains, betas=spaced_betas(temperatures), seed=seed)


def _log_estimate(estimate: LogPartitionEstimate, tracker: StationTracker) -> None:
    both = f"log Z {estimate.log_z:.2f} nats forward, {estimate.reverse_log_z:.2f} in reverse, gap {estimate.gap:.2f}"
    progress.say(both)
    logging.info(
        "%s; bracket %.2f to %.2f, standard error %.3f, effective chains %.1f and %.1f",
        *(both, estimate.lower, estimate.upper, estimate.standard_error),
        *(estimate.effective_chains, estimate.reverse_effective_chains),
    )
    for sentence in estimate.warnings:
        logging.warning("estimate of log Z: %s", sentence)
    tracker.log_metrics(partition_metrics(estimate_summary(estimate)))
    if estimate.warnings:
        tracker.log_text("\n".join(estimate.warnings) + "\n", "log_z_warnings.txt")


def _log_means(density: ExportedDensity, validation: ImageData, tracker: StationTracker) -> None:
    """Logs means over the validation images, in nats: the one that Evaluator measures, and by the reverse estimate."""
    names = (layout.LOG_PROBABILITY, layout.BASE_RATE_LOG_PROBABILITY)
    batches = validation.batches(_VALIDATION_BATCH)
    outputs = [density.from_pixels(keras.ops.cast(images, "float32")) for images, _ in batches]
    forward, base_rate = (float(np.mean(np.concatenate([output[name] for output in outputs]))) for name in names)
    reverse = forward - density.estimate.gap
    logging.info(
        "log-probability of a validation image: %.2f nats forward, %.2f in reverse; independent pixels %.2f",
        *(forward, reverse, base_rate),
    )
    tracker.log_metrics(
        {
            f"val_{layout.LOG_PROBABILITY}": forward,
            f"val_{layout.LOG_PROBABILITY}_reverse": reverse,
            f"val_{layout.BASE_RATE_LOG_PROBABILITY}": base_rate,
        }
    )
