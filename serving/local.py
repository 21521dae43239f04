"""Answers images from a SavedModel on disk, in this process. Its whole contract is the signature `serving_default`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH = 64  # images per call: bounds memory, and 1,000 small images already cost less than the model's loading


@dataclass(frozen=True)
class Prediction:
    """The best labels of one image, best first.

    Args:
        classes: Labels, min(5, classes) of them.
        scores: Their probabilities, in the same order.
    """

    classes: tuple[str, ...]
    scores: tuple[float, ...]


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

    def classify(self, images: Sequence[bytes]) -> list[Prediction | None]:
        """The best labels of encoded images.

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
    for classes, scores in zip(outputs["classes"].numpy(), outputs["scores"].numpy(), strict=True):
        yield Prediction(tuple(label.decode() for label in classes), tuple(float(score) for score in scores))
