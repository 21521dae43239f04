"""Classification of many images: batches, several of them in flight, and one bad image does not affect the others."""

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


@dataclass(frozen=True)
class ImageAnswer:
    """Outcome for one image: a prediction or an error.

    Args:
        image: The image as the caller gave it: encoded bytes, or a path.
        prediction: The model's prediction; None if there is an error.
        error: Reason why there is no prediction; None if there is one.
    """

    image: Image
    prediction: Prediction | None = None
    error: ModelClientError | None = None


@dataclass(frozen=True)
class LoadedImage:
    """An image with the content of its file.

    Args:
        image: The image as the caller gave it.
        content: Encoded bytes; None if the file cannot be read.
        error: Reason why the file cannot be read; None if it can.
    """

    image: Image
    content: bytes | None
    error: ModelClientError | None = None


def batches(images: Iterable[Image], size: int, max_bytes: int) -> Iterator[list[LoadedImage]]:
    """Reads images lazily and groups them into batches.

    Args:
        images: Encoded bytes, or paths.
        size: Largest number of images in a batch.
        max_bytes: Largest number of bytes in a batch; a larger image forms a batch of its own.
    """
    batch: list[LoadedImage] = []
    total = 0
    for image in images:
        loaded = _load(image)
        length = len(loaded.content or b"")
        if batch and (len(batch) == size or total + length > max_bytes):
            yield batch
            batch, total = [], 0
        batch.append(loaded)
        total += length
    if batch:
        yield batch


def _load(image: Image) -> LoadedImage:
    if isinstance(image, bytes):
        return LoadedImage(image, image)
    try:
        return LoadedImage(image, Path(image).read_bytes())
    except OSError as error:
        reason = f"cannot read the image {image}: {error.strerror}; check the path"
        return LoadedImage(image, None, ImageUnreadableError(reason))


def answer_batch(batch: list[LoadedImage], predict: Callable[[list[bytes]], list[Prediction]]) -> list[ImageAnswer]:
    """Returns the answers for one batch, in order.

    Args:
        batch: Images, some of which may be unreadable.
        predict: Runs the model on encoded images; an `InvalidRequestError` may be the fault of any of them.
    """
    outcomes = iter(_outcomes([each.content for each in batch if each.content is not None], predict))
    answers = []
    for each in batch:
        outcome = next(outcomes) if each.content is not None else each.error
        if isinstance(outcome, Prediction):
            answers.append(ImageAnswer(each.image, outcome))
        else:
            answers.append(ImageAnswer(each.image, error=outcome))
    return answers


def _outcomes(
    images: list[bytes], predict: Callable[[list[bytes]], list[Prediction]]
) -> list[Prediction | InvalidRequestError]:
    if not images:
        return []
    try:
        return list(predict(images))
    except InvalidRequestError as error:
        # One bad image fails its whole request; halving the batch isolates it.
        if len(images) == 1:
            return [error]
    middle = len(images) // 2
    return _outcomes(images[:middle], predict) + _outcomes(images[middle:], predict)


def answer_in_order(
    answer: Callable[[list[LoadedImage]], list[ImageAnswer]], given: Iterable[list[LoadedImage]], concurrency: int
) -> Iterator[ImageAnswer]:
    """Answers batches on threads and yields the answers in order.

    Args:
        answer: Answers one batch; called on several threads at the same time.
        given: The batches; each is read only when a thread is about to become free.
        concurrency: Number of batches in flight at the same time.
    """
    with ThreadPoolExecutor(concurrency, "images") as pool:
        waiting: deque[Future[list[ImageAnswer]]] = deque()
        try:
            for batch in given:
                waiting.append(pool.submit(answer, batch))
                if len(waiting) >= concurrency:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def predictions_by_image(outputs: Mapping[str, Any], count: int, server: str) -> list[Prediction]:
    """Splits a model's outputs into one prediction per image.

    Args:
        outputs: Nested lists by name of output; the first axis is the images.
        count: Number of images.
        server: Address of the server, for error messages.

    Raises:
        UnexpectedAnswerError: The number of rows differs, or the outputs are neither labels nor single numbers.

    Example:
        >>> [prediction] = predictions_by_image({"classes": [["7", "1"]], "scores": [[0.9, 0.1]]}, 1, "memory")
        >>> prediction.classes, prediction.scores
        (('7', '1'), (0.9, 0.1))
    """
    if any(not isinstance(values, list) or len(values) != count for values in outputs.values()):
        raise UnexpectedAnswerError(
            f"{server} answered {count} images with another number of rows; name a model that classifies images"
        )
    labelled = "classes" in outputs and "scores" in outputs
    numeric = sorted(name for name, values in outputs.items() if not isinstance(values[0], list | str | bytes))
    if not labelled and not numeric:
        raise UnexpectedAnswerError(
            f"the model at {server} has the outputs {', '.join(outputs)}, but no classes with scores; use "
            "`ModelClient.predict`"
        )
    predictions = []
    for i in range(count):
        numbers = {name: float(outputs[name][i]) for name in numeric}
        if labelled:
            classes = tuple(map(str, outputs["classes"][i]))
            predictions.append(Prediction(classes, tuple(map(float, outputs["scores"][i])), numbers))
        else:
            predictions.append(Prediction(numbers=numbers))
    return predictions
