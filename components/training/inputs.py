"""What every kind of training gets to work with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.input_pipeline.image_data import ImageData
from components.training.checkpoints import Checkpoint
from components.transform import ImageStatistics


@dataclass(frozen=True)
class TrainingInputs:
    """The images, and what is known of them.

    Args:
        training: images to train on.
        validation: images that choose the best epoch; none where all are trained on.
        statistics: of the training images.
        labels: class names in index order.
        pretrained: folder of pretrained weights, or none to start from random ones.
        checkpoint: where an interrupted training goes on from.
        keep: folder for what is worth keeping beside the served model, or none to keep nothing.
    """

    training: ImageData
    validation: ImageData | None
    statistics: ImageStatistics
    labels: Sequence[str]
    pretrained: Path | None
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    keep: Path | None = None
