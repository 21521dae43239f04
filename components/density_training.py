"""Objective "density": one machine as it was pretrained, and its partition function by annealed importance sampling."""

import logging
import warnings

import keras
import numpy as np

from components import progress, scaling, tracking
from components.configuration import StationConfig
from components.served_density import BASE_RATE, LOG_PROBABILITY, ServedDensity
from components.training_material import TrainingMaterial
from models import factory
from models.log_partition_estimate import LogPartitionEstimate
from models.partition import ais_log_partition, spaced_betas
from models.rbm import RBM


def train(config: StationConfig, material: TrainingMaterial, tracker: tracking.StationTracker) -> ServedDensity:
    """Trains nothing: estimates the log partition function of the pretrained machine.

    Args:
        config: network, annealing and seed.
        material: images and their statistics, pretrained weights; labels are not looked at.
        tracker: receives, in nats, log Z with its bracket and standard error, and the mean log-probability of the
            validation images beside that of independent pixels.
    """
    keras.utils.set_random_seed(config.seed)
    model = config.model
    mean = scaling.visible_mean(model, material.statistics)
    [rbm] = factory.build_dbn(model, config.seed, material.pretrained).rbms
    estimate = _estimate(rbm, mean, config)
    # One image all on and one all off join the data: a pixel that was never on is improbable, not impossible.
    count = material.training.count
    served = ServedDensity(rbm, factory.image_shape(model), estimate, (count * mean + 1) / (count + 2))
    tracker.log_metrics(
        {
            "log_z": estimate.log_z,
            "log_z_lower": estimate.lower,
            "log_z_upper": estimate.upper,
            "log_z_standard_error": estimate.standard_error,
        }
    )
    if estimate.warnings:
        tracker.log_text("\n".join(estimate.warnings) + "\n", "log_z_warnings.txt")
    if material.validation is not None:
        tracker.log_metrics(_means(served, material))
    return served


def _estimate(rbm: RBM, mean: np.ndarray, config: StationConfig) -> LogPartitionEstimate:
    settings = config.model.partition
    progress.say(f"annealing {settings.chains} chains over {settings.temperatures} temperatures")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said by the estimate itself
        estimate = ais_log_partition(
            rbm,
            data=mean[None],
            chains=settings.chains,
            betas=spaced_betas(settings.temperatures),
            seed=config.seed,
        )
    logging.info(
        "log Z %.2f nats (%.2f to %.2f), standard error %.3f",
        *(estimate.log_z, estimate.lower, estimate.upper, estimate.standard_error),
    )
    for sentence in estimate.warnings:
        logging.warning("Estimate of log Z: %s", sentence)
    return estimate


def _means(served: ServedDensity, material: TrainingMaterial) -> dict[str, float]:
    """Means over the validation images, in nats, as Evaluator measures them."""
    batches = material.validation.batches(1000)
    answers = [served.from_pixels(keras.ops.cast(images, "float32")) for images, _ in batches]
    return {
        f"val_{name}": float(np.mean(np.concatenate([answer[name] for answer in answers])))
        for name in (LOG_PROBABILITY, BASE_RATE)
    }
