"""Errors of serving, with gRPC's canonical codes and TensorFlow Serving's HTTP statuses."""

from enum import Enum

# TensorFlow Serving truncates longer messages in the same way.
_MAX_MESSAGE, _TRUNCATED = 1024, "...TRUNCATED"


class Code(Enum):
    """Canonical codes; each value is the number in gRPC and the HTTP status.

    Example:
        >>> Code.NOT_FOUND.number, Code.NOT_FOUND.http
        (5, 404)
    """

    OK = (0, 200)
    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    ABORTED = (10, 409)
    OUT_OF_RANGE = (11, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    DATA_LOSS = (15, 500)
    UNAUTHENTICATED = (16, 401)

    @property
    def number(self) -> int:
        """Number in gRPC."""
        return self.value[0]

    @property
    def http(self) -> int:
        """HTTP status."""
        return self.value[1]

    @classmethod
    def of_number(cls, number: int) -> "Code":
        """Returns the code with a number; UNKNOWN for other numbers."""
        return next((code for code in cls if code.number == number), cls.UNKNOWN)


class ServingError(Exception):
    """Error of a request or of a model that cannot be served.

    Args:
        code: Canonical code.
        message: Message for users. It starts with TensorFlow Serving's own phrase if that server has one, so that
            clients that compare messages work with both.

    Example:
        >>> ServingError(Code.UNAVAILABLE, "x" * 2000).short_message[-15:]
        'xxx...TRUNCATED'
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def short_message(self) -> str:
        """Message as gRPC sends it: at most 1,024 bytes of UTF-8, which are up to three times as many in a header."""
        text = self.message.encode(errors="replace")
        if len(text) > _MAX_MESSAGE:
            text = text[: _MAX_MESSAGE - len(_TRUNCATED)] + _TRUNCATED.encode()
        return text.decode(errors="ignore")


def invalid(message: str) -> ServingError:
    """Returns an error with the most frequent code, INVALID_ARGUMENT."""
    return ServingError(Code.INVALID_ARGUMENT, message)
