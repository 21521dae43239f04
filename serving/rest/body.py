"""Reading of a request's body from the connection, with decompression and a limit of its size."""

import zlib
from collections.abc import Iterable

from starlette.types import Receive

from serving.errors import Code, ServingError, invalid

_GZIP = 16 + zlib.MAX_WBITS  # makes zlib expect gzip's header
TOO_LARGE = 413


class BodyTooLargeError(ServingError):
    """A body larger than the limit: RESOURCE_EXHAUSTED, and 413 over HTTP."""


class Disconnected(Exception):  # noqa: N818  # not an error of the server, and there is no client to report it to
    """The client disconnected before its request was complete."""


async def read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, limit: int) -> bytes:
    """Reads a whole body.

    Args:
        headers: Headers of the ASGI scope, with names in lower case.
        receive: Function of the ASGI server that returns the next message.
        limit: Most bytes of the body, both before and after decompression.

    Raises:
        BodyTooLargeError: The body as sent exceeds the limit; the rest of it is not read.
        ServingError: INVALID_ARGUMENT if gzip data is damaged or exceeds the limit when decompressed; the message is
            that of an empty document, because TensorFlow Serving treats such a body as empty.
        Disconnected: The connection ended.
    """
    compressed = False
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
        if name == b"content-encoding":
            compressed = b"gzip" in value.lower()
    message = await receive()
    body = message.get("body", b"")
    if message.get("more_body"):
        chunks, length = [body], len(body)
        while message.get("more_body"):
            if length > limit:
                raise _too_large(limit)
            message = await receive()
            chunks.append(message.get("body", b""))
            length += len(chunks[-1])
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise Disconnected
    if len(body) > limit:
        raise _too_large(limit)
    return _decompressed(body, limit) if compressed else body


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        Code.RESOURCE_EXHAUSTED,
        f"the request is larger than {limit} bytes; split it, or increase --max-body-bytes",
    )


def _decompressed(body: bytes, limit: int) -> bytes:
    decompressor = zlib.decompressobj(_GZIP)
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error as error:
        raise _empty(f"the gzip body is damaged: {error}") from error
    if len(plain) > limit:
        raise _empty(f"the gzip body is larger than {limit} bytes when decompressed")
    if not decompressor.eof:
        raise _empty("the gzip body is truncated")
    return plain


def _empty(reason: str) -> ServingError:
    return invalid(f"JSON Parse error: The document is empty; {reason}")
