"""Many images, many requests: batches, several of them under way, and one bad image that spoils no other."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from serving.client.errors import ImageUnreadableError, InvalidRequestError, ModelClientError, UnexpectedAnswerError
from serving.local import Prediction

Image = bytes | str | PathLike[str]
_BATCH_BYTES = 16 * 2**20  # as base64 21 MiB, a fifth of what a server takes


@dataclass(frozen=True)
class ImageAnswer:
    """What became of one image.

    Args:
        image: As it was given.
        prediction: What the model says of it; none if there is an error.
        error: Why there is no prediction.
    """

    image: Image
    prediction: Prediction | None = None
    error: ModelClientError | None = None


@dataclass(frozen=True)
class _Read:
    image: Image
    content: bytes | None
    error: ModelClientError | None = None


def batches(images: Iterable[Image], size: int) -> Iterator[list[_Read]]:
    """Reads images and groups them: at most `size`, and where there are several at most 16 MiB."""
    batch: list[_Read] = []
    weight = 0
    for image in images:
        read = _read(image)
        length = len(read.content or b"")
        if batch and (len(batch) == size or weight + length > _BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(read)
        weight += length
    if batch:
        yield batch


def _read(image: Image) -> _Read:
    if isinstance(image, bytes):
        return _Read(image, image)
    try:
        return _Read(image, Path(image).read_bytes())
    except OSError as error:
        why = ImageUnreadableError(f"the image {image} cannot be read: {error.strerror}; check its path")
        return _Read(image, None, why)


def answered(batch: list[_Read], ask: Callable[[list[bytes]], list[Prediction]]) -> list[ImageAnswer]:
    """The answers of one batch, in order.

    Args:
        batch: Images, some of them unreadable.
        ask: Answers encoded images; an `InvalidRequestError` may be about any of them.
    """
    outcomes = iter(_outcomes([each.content for each in batch if each.content is not None], ask))
    answers = []
    for each in batch:
        outcome = next(outcomes) if each.content is not None else each.error
        if isinstance(outcome, Prediction):
            answers.append(ImageAnswer(each.image, outcome))
        else:
            answers.append(ImageAnswer(each.image, error=outcome))
    return answers


def _outcomes(
    images: list[bytes], ask: Callable[[list[bytes]], list[Prediction]]
) -> list[Prediction | InvalidRequestError]:
    if not images:
        return []
    try:
        return list(ask(images))
    except InvalidRequestError as error:
        # One bad image fails its whole request; alone, it fails alone.
        if len(images) == 1:
            return [error]
    middle = len(images) // 2
    return _outcomes(images[:middle], ask) + _outcomes(images[middle:], ask)


def in_order(
    work: Callable[[list[_Read]], list[ImageAnswer]], given: Iterable[list[_Read]], concurrency: int
) -> Iterator[ImageAnswer]:
    """Does work on threads and yields its results in order, with no more under way than are allowed."""
    with ThreadPoolExecutor(concurrency, "images") as pool:
        waiting: deque[Future[list[ImageAnswer]]] = deque()
        try:
            for batch in given:
                waiting.append(pool.submit(work, batch))
                if len(waiting) >= concurrency:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def rows(outputs: Mapping[str, Any], count: int, server: str) -> list[Prediction]:
    """A model's outputs, image by image.

    Args:
        outputs: Nested lists by name; the first axis is the images.
        count: Of images.
        server: Its address, for errors.

    Raises:
        UnexpectedAnswerError: They have another number of rows, or neither labels nor figures.
    """
    if any(not isinstance(values, list) or len(values) != count for values in outputs.values()):
        raise UnexpectedAnswerError(f"{server} answers {count} images with another number of rows; name another model")
    labelled = "classes" in outputs and "scores" in outputs
    figures = sorted(name for name, values in outputs.items() if not isinstance(values[0], list | str | bytes))
    if not labelled and not figures:
        raise UnexpectedAnswerError(
            f"the model at {server} answers {', '.join(outputs)}, and no classes with scores; use `ModelClient.predict`"
        )
    predictions = []
    for i in range(count):
        numbers = {name: float(outputs[name][i]) for name in figures}
        if labelled:
            classes = tuple(map(str, outputs["classes"][i]))
            predictions.append(Prediction(classes, tuple(map(float, outputs["scores"][i])), numbers))
        else:
            predictions.append(Prediction(numbers=numbers))
    return predictions
