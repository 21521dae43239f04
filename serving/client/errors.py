"""What can go wrong between a client and a model server: one sentence each on what, where and the cure.

ModelClientError
    ServerUnreachableError   nobody answers there
    ServerTimeoutError       no answer in time
    UnexpectedAnswerError    somebody answers, but no model server
    ImageUnreadableError     a file cannot be read
    RefusedError             the server says no
        InvalidRequestError  400: the request, or the image, is wrong
        NotFoundError        404: no such model, version or label
        NotAllowedError      401, 403: token or certificate
        OverloadedError      429, 503: too much to do, or shutting down
        ServerFailureError   all else: the server failed
"""

from serving.errors import Code

# With TLS 1.3 a server that wants a certificate just hangs up.
CERTIFICATE_HINT = ", or the client's certificate, if it wants one"


class ModelClientError(Exception):
    """A `ModelClient` has no answer to give."""


class ServerUnreachableError(ModelClientError):
    """No connection: nobody listens, no such host, or TLS does not agree."""


class ServerTimeoutError(ModelClientError):
    """The server was reached and did not answer in time."""


class UnexpectedAnswerError(ModelClientError):
    """What answers is no model server, or its model is not what was asked for."""


class ImageUnreadableError(ModelClientError):
    """A file cannot be read."""


class RefusedError(ModelClientError):
    """The server answered with an error.

    Args:
        sentence: The whole error.
        code: Its code; over REST, where several share a status, the most frequent of them.
        reason: What the server said, its first line.
    """

    def __init__(self, sentence: str, code: Code, reason: str) -> None:
        super().__init__(sentence)
        self.code, self.reason = code, reason


class InvalidRequestError(RefusedError):
    """The request is wrong, or an image is none; the same request would be refused again."""


class NotFoundError(RefusedError):
    """No such model, version or label is served."""


class NotAllowedError(RefusedError):
    """The token or the certificate is missing or wrong."""


class OverloadedError(RefusedError):
    """The server has too much to do, or is about to end; tried as often as allowed."""


class ServerFailureError(RefusedError):
    """The server failed."""


_KINDS: dict[Code, tuple[type[RefusedError], str]] = {
    Code.INVALID_ARGUMENT: (InvalidRequestError, ""),
    Code.FAILED_PRECONDITION: (InvalidRequestError, ""),
    Code.OUT_OF_RANGE: (InvalidRequestError, ""),
    Code.UNIMPLEMENTED: (InvalidRequestError, ""),
    Code.NOT_FOUND: (NotFoundError, "; name a model, and a version, that it serves"),
    Code.UNAUTHENTICATED: (NotAllowedError, "; give the token that it wants"),
    Code.PERMISSION_DENIED: (NotAllowedError, "; use a token or certificate that may do this"),
    Code.RESOURCE_EXHAUSTED: (OverloadedError, "; try again later, or with smaller batches"),
    Code.UNAVAILABLE: (OverloadedError, "; try again later"),
    Code.DEADLINE_EXCEEDED: (OverloadedError, "; try again later, with smaller batches or a longer timeout"),
}


def refusal(server: str, code: Code, message: str) -> RefusedError:
    """The error for what a server said.

    Args:
        server: Its address.
        code: Its code.
        message: Its words; only the first line is for people.
    """
    # TensorFlow appends the nodes of the graph, behind a line break or a tab.
    reason = (message.strip().splitlines() or [code.name])[0].split("\t")[0].strip()
    kind, cure = _KINDS.get(code, (ServerFailureError, "; its log says more"))
    return kind(f"{server} says: {reason.rstrip('.')}{cure}", code, reason)
