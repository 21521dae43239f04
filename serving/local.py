"""Predictions of a SavedModel on disk, made in this process. Needs no more of it than its default signature."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.saved_model_files import DEFAULT_SIGNATURE

BATCH = 64  # images per call: bounds memory, and 1,000 small images already take less time than loading the model


@dataclass(frozen=True)
class Prediction:
    """A model's outputs for one image.

    >>> best = Prediction(classes=("7", "1"), scores=(0.9, 0.1))
    >>> best.classes[0], best.scores[0]
    ('7', 0.9)

    Args:
        classes: Class names of a classifier, best first, min(5, classes) of them; empty for other models.
        scores: Their probabilities, 0 to 1, in the same order.
        numbers: All other outputs that are a single number, by name, such as a squared error or a log-probability.
    """

    classes: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


class LocalModel:
    """A SavedModel in memory.

    Args:
        folder: The folder of one version, which contains `saved_model.pb`.

    Raises:
        OSError: The folder does not exist or is not a complete SavedModel.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf  # takes 5 to 12 s

        self._tf = tf
        self._loaded = tf.saved_model.load(str(folder))  # kept, because its variables live only as long as it does
        self._serve = self._loaded.signatures[DEFAULT_SIGNATURE]

    def predict(self, images: Sequence[bytes]) -> list[Prediction | None]:
        """Runs the model on encoded images.

        Args:
            images: Contents of JPEG, PNG, GIF or BMP files.

        Returns:
            One prediction per image; None where the model cannot decode the image.
        """
        predictions: list[Prediction | None] = []
        for start in range(0, len(images), BATCH):
            predictions.extend(self._predict(images[start : start + BATCH]))
        return predictions

    def _predict(self, images: Sequence[bytes]) -> list[Prediction | None]:
        try:
            outputs = self._serve(image_bytes=self._tf.constant(list(images), dtype=self._tf.string))
        except self._tf.errors.InvalidArgumentError:
            # One bad image fails its whole batch, so each image gets a batch of its own.
            return [found for image in images for found in self._predict([image])] if len(images) > 1 else [None]
        return list(_predictions(outputs))


def _predictions(outputs: Any) -> Iterator[Prediction]:
    values = {name: output.numpy() for name, output in outputs.items()}
    single = {name: value for name, value in sorted(values.items()) if value.ndim == 1}
    for i in range(len(next(iter(values.values())))):
        numbers = {name: float(value[i]) for name, value in single.items()}
        if "classes" in values:
            classes, scores = values["classes"][i], values["scores"][i]
            yield Prediction(tuple(name.decode() for name in classes), tuple(map(float, scores)), numbers)
        else:
            yield Prediction(numbers=numbers)
