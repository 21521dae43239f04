"""What goes wrong while serving, under gRPC's canonical codes and TensorFlow Serving's HTTP statuses."""

from enum import Enum

# TensorFlow Serving cuts longer messages so.
_MAX_MESSAGE, _TRUNCATED = 1024, "...TRUNCATED"


class Code(Enum):
    """A canonical code: its name, its number in gRPC, its status over HTTP."""

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
        """Its number in gRPC."""
        return self.value[0]

    @property
    def http(self) -> int:
        """Its status over HTTP."""
        return self.value[1]

    @classmethod
    def of_number(cls, number: int) -> "Code":
        """The code of a number; UNKNOWN for numbers that are none."""
        return next((code for code in cls if code.number == number), cls.UNKNOWN)


class ServingError(Exception):
    """A request, or a model, that cannot be served.

    Args:
        code: Why, as a canonical code.
        message: One sentence. It starts with TensorFlow Serving's phrase where that server has one.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def short_message(self) -> str:
        """The message as gRPC sends it: at most 1,024 bytes of UTF-8, three times that in a header."""
        text = self.message.encode(errors="replace")
        if len(text) > _MAX_MESSAGE:
            text = text[: _MAX_MESSAGE - len(_TRUNCATED)] + _TRUNCATED.encode()
        return text.decode(errors="ignore")


def invalid(message: str) -> ServingError:
    """An INVALID_ARGUMENT, the most frequent of all."""
    return ServingError(Code.INVALID_ARGUMENT, message)
