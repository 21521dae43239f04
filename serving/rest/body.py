"""A request's body: read from the connection, unpacked, and never larger than allowed."""

import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from serving.errors import Code, ServingError, invalid

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: with gzip's header
TOO_LARGE = 413


class BodyTooLargeError(ServingError):
    """A body that is longer than allowed: RESOURCE_EXHAUSTED, and 413 over HTTP."""


class Disconnected(Exception):  # noqa: N818  # nobody is there to be told
    """The client went away before its request was complete."""


async def read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, limit: int) -> bytes:
    """Reads a whole body.

    Args:
        headers: ASGI's: names in lower case.
        receive: ASGI's.
        limit: Most bytes, both as sent and unpacked.

    Raises:
        BodyTooLargeError: It is longer as sent; it is not read to its end.
        ServingError: INVALID_ARGUMENT for gzip that is damaged, or longer when unpacked: TensorFlow Serving takes that
            for an empty document, and says that it is empty.
        Disconnected: The connection ended.
    """
    packed = False
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
        if name == b"content-encoding":
            packed = b"gzip" in value.lower()
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
    return _unpacked(body, limit) if packed else body


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        Code.RESOURCE_EXHAUSTED,
        f"the request is larger than {limit} bytes; send less at a time, or raise --max-body-bytes",
    )


def _unpacked(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise _empty(f"the gzip body is damaged: {error}") from error
    if len(plain) > limit:
        raise _empty(f"the gzip body is larger than {limit} bytes when unpacked")
    if not unpacker.eof:
        raise _empty("the gzip body is cut off")
    return plain


def _empty(reason: str) -> ServingError:
    return invalid(f"JSON Parse error: The document is empty; {reason}")
