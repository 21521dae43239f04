"""Errors of a client; each message is one line that states the server, the cause and the cure.

ModelClientError
    ServerUnreachableError   no connection
    ServerTimeoutError       no answer in time
    UnexpectedAnswerError    the answer is not TensorFlow Serving's, or the model does not fit the request
    ImageUnreadableError     an image file cannot be read
    RefusedError             the server answered with an error
        InvalidRequestError  400: the request, or an image in it, is invalid
        NotFoundError        404: no such model, version or label
        NotAllowedError      401, 403: token or certificate missing or wrong
        OverloadedError      429, 503: the server is overloaded or shuts down
        ServerFailureError   any other status: the server failed
"""

from serving.errors import Code


class ModelClientError(Exception):
    """Base class of all errors that `ModelClient` raises for a request without an answer."""


class ServerUnreachableError(ModelClientError):
    """No connection: no process listens on the port, the host is unknown, or TLS cannot be agreed on."""


class ServerTimeoutError(ModelClientError):
    """The server was reached but did not answer in time."""


class UnexpectedAnswerError(ModelClientError):
    """The server is not a model server, or its model does not fit the request."""


class ImageUnreadableError(ModelClientError):
    """An image file cannot be read."""


class RefusedError(ModelClientError):
    """The server answered with an error.

    Args:
        message: Whole message for users.
        code: Canonical code. REST maps several codes to one HTTP status; this is then the most frequent of them.
        reason: First line of the server's own message.
    """

    def __init__(self, message: str, code: Code, reason: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class InvalidRequestError(RefusedError):
    """The request is invalid, or cannot be decoded as an image; the same request would be refused again."""


class NotFoundError(RefusedError):
    """The server has no such model, version or label."""


class NotAllowedError(RefusedError):
    """The token or the certificate is missing or wrong."""


class OverloadedError(RefusedError):
    """The server is overloaded or shuts down; all allowed retries are used up."""


class ServerFailureError(RefusedError):
    """The server failed."""


_KINDS: dict[Code, tuple[type[RefusedError], str]] = {
    Code.INVALID_ARGUMENT: (InvalidRequestError, ""),
    Code.FAILED_PRECONDITION: (InvalidRequestError, ""),
    Code.OUT_OF_RANGE: (InvalidRequestError, ""),
    Code.UNIMPLEMENTED: (InvalidRequestError, ""),
    Code.NOT_FOUND: (NotFoundError, "; name a model and a version that the server has"),
    Code.UNAUTHENTICATED: (NotAllowedError, "; send the token that the server requires"),
    Code.PERMISSION_DENIED: (NotAllowedError, "; use a token or a certificate with this permission"),
    Code.RESOURCE_EXHAUSTED: (OverloadedError, "; try again later, or with smaller batches"),
    Code.UNAVAILABLE: (OverloadedError, "; try again later"),
    Code.DEADLINE_EXCEEDED: (OverloadedError, "; try again later, with smaller batches or a longer timeout"),
}


def refusal(server: str, code: Code, message: str) -> RefusedError:
    """Returns the error for a server's error message.

    Args:
        server: Address of the server.
        code: Canonical code.
        message: The server's message; only its first line is meant for users.
    """
    # TensorFlow appends the graph's nodes, after a line break or a tab.
    reason = (message.strip().splitlines() or [code.name])[0].split("\t")[0].strip()
    kind, cure = _KINDS.get(code, (ServerFailureError, "; see the server's log"))
    return kind(f"{server} answered: {reason.rstrip('.')}{cure}", code, reason)


def unreachable(server: str, reason: str, *, secure: bool) -> ServerUnreachableError:
    """Returns the error for a connection that could not be made.

    Args:
        server: Address of the server.
        reason: Cause, as the library reports it.
        secure: Whether the connection uses TLS.
    """
    # With TLS 1.3 a server that requires a client certificate just closes the connection.
    hint = ", or pass a client certificate if the server requires one" if secure else ""
    return ServerUnreachableError(
        f"no model server answers at {server}: {reason.rstrip('.')}; start one with `vision-tfx serve`, or correct "
        f"the address{hint}"
    )
