"""Answers images from a SavedModel on disk, in this process. Its whole contract is the signature `serving_default`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BATCH = 64  # images per call: bounds memory, and 1,000 small images already cost less than the model's loading


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Args:
        classes: A classifier's labels, best first, min(5, classes) of them; empty for other models.
        scores: Their probabilities, in the same order.
        figures: All other single numbers, by the name of their output, such as a squared error or a log-probability.
    """

    classes: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


class LocalModel:
    """A SavedModel in memory.

    Args:
        folder: The folder of one version, with `saved_model.pb` in it.

    Raises:
        OSError: It is not there or not whole.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf  # 5 to 12 s

        self._tf = tf
        self._loaded = tf.saved_model.load(str(folder))  # kept: its variables live as long as it does
        self._serve = self._loaded.signatures["serving_default"]

    def predict(self, images: Sequence[bytes]) -> list[Prediction | None]:
        """What the model says of encoded images.

        Args:
            images: JPEG, PNG, GIF or BMP files.

        Returns:
            One answer per image; none where the model cannot decode the image.
        """
        answers: list[Prediction | None] = []
        for start in range(0, len(images), BATCH):
            answers.extend(self._answer(images[start : start + BATCH]))
        return answers

    def _answer(self, images: Sequence[bytes]) -> list[Prediction | None]:
        try:
            outputs = self._serve(image_bytes=self._tf.constant(list(images), dtype=self._tf.string))
        except self._tf.errors.InvalidArgumentError:
            # One bad image fails its whole batch; alone, it fails alone.
            return [answer for image in images for answer in self._answer([image])] if len(images) > 1 else [None]
        return list(_predictions(outputs))


def _predictions(outputs: Any) -> Iterator[Prediction]:
    values = {name: output.numpy() for name, output in outputs.items()}
    figures = {name: value for name, value in sorted(values.items()) if value.ndim == 1}
    for i in range(len(next(iter(values.values())))):
        numbers = {name: float(value[i]) for name, value in figures.items()}
        if "classes" in values:
            classes, scores = values["classes"][i], values["scores"][i]
            yield Prediction(tuple(label.decode() for label in classes), tuple(map(float, scores)), numbers)
        else:
            yield Prediction(figures=numbers)
