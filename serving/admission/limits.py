"""Limits of the size of a request: rows, and pixels of encoded images."""

from collections.abc import Iterable, Mapping

import numpy as np

from serving.admission.image_size import image_pixels
from serving.errors import invalid


class Limits:
    """Limits of the size of a request.

    Args:
        max_rows: Largest number of rows of one request.
        max_pixels: Largest number of pixels of one encoded image.

    Example:
        >>> from serving.errors import ServingError
        >>> limits = Limits(max_rows=2, max_pixels=100)
        >>> try:
        ...     limits.check({"x": np.zeros((3, 4))})
        ... except ServingError as error:
        ...     print(error.code.name)
        INVALID_ARGUMENT
    """

    def __init__(self, max_rows: int, max_pixels: int) -> None:
        self._max_rows, self._max_pixels = max_rows, max_pixels

    def check(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Checks a request before it is run.

        A PNG of 3 MB may hold 30,000 x 30,000 pixels, which are 2.7 GB once they are decoded. Its header states the
        size and is read within microseconds. Images in the features of serialized `tf.Example`s are checked as well.

        Args:
            inputs: Arrays by alias.

        Raises:
            ServingError: INVALID_ARGUMENT: An input exceeds a limit, which the message states.
        """
        for alias, array in inputs.items():
            if array.ndim and len(array) > self._max_rows:
                raise invalid(
                    f"input {alias} has {len(array)} rows, more than the {self._max_rows} that one request may have; "
                    "send the rows in several requests, or raise --max-batch-rows"
                )
            if array.dtype == object:
                for position, value in enumerate(array.flat):
                    if isinstance(value, bytes):
                        self._check_image(alias, position, value)

    def _check_image(self, alias: str, position: int, value: bytes) -> None:
        try:
            pixels = image_pixels(value) or max(map(image_pixels, _features(value)), default=0)
        except ValueError as error:
            raise invalid(f"value {position} of input {alias} is refused: {error}; encode the image again") from error
        if pixels > self._max_pixels:
            raise invalid(
                f"image {position} of input {alias} has {pixels} pixels, more than the {self._max_pixels} that are "
                "allowed; send a smaller image, or raise --max-image-pixels"
            )


def _features(value: bytes) -> Iterable[bytes]:
    """Returns the bytes in a serialized `tf.Example`; nothing if the value is not one."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        example = example_pb2.Example.FromString(value)
    except DecodeError:
        return ()
    return (each for feature in example.features.feature.values() for each in feature.bytes_list.value)
