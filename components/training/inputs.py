"""Inputs of every kind of training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.input_pipeline.image_data import ImageData
from components.input_pipeline.image_statistics import ImageStatistics
from components.training.checkpoints import Checkpoint


@dataclass(frozen=True)
class TrainingInputs:
    """The images, their statistics and labels, and the folders that a training reads and writes.

    Args:
        training: Images to train on.
        validation: Images that choose the best epoch; None when validation images are trained on too.
        statistics: Statistics of the training images.
        labels: Class names in index order.
        pretrained: Folder of pretrained weights; None starts from random weights.
        checkpoint: State to resume an interrupted training from; by default nothing is saved or resumed.
        model_run: Folder of Trainer's artifact `model_run`, for files beside the exported model; None writes none.
    """

    training: ImageData
    validation: ImageData | None
    statistics: ImageStatistics
    labels: Sequence[str]
    pretrained: Path | None
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    model_run: Path | None = None
