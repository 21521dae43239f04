"""Adapters between gRPC and methods that take the raw bytes of a request.

gRPC's own deserialization reports a malformed message as INTERNAL; here it is INVALID_ARGUMENT, and is counted and
logged as every request is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeVar

import grpc

from serving.admission.admission_control import AdmissionControl
from serving.admission.request_record import RequestRecord
from serving.admission.tokens import check_token
from serving.errors import Code, ServingError
from serving.grpc_api.messages import parse

Message = TypeVar("Message")
# A method of a service: takes the record of a request and its bytes, and returns the bytes of the response.
Method = Callable[[RequestRecord, bytes], Awaitable[bytes]]

_DEADLINE_PASSED = "the request's deadline has passed"
logger = logging.getLogger(__name__)


def request_handlers(
    methods: Mapping[str, Method], admission: AdmissionControl, token: str | None
) -> dict[str, grpc.RpcMethodHandler]:
    """Returns gRPC's handlers of the methods of a service.

    Args:
        methods: Methods by name.
        admission: Admission control, which counts, limits and refuses requests.
        token: Bearer token that every call needs; None accepts all calls.
    """
    return {
        name: grpc.unary_unary_rpc_method_handler(_handler(name, method, admission, token))
        for name, method in methods.items()
    }


async def parsed(kind: type[Message], body: bytes, context: Any) -> Message:
    """Parses a request of a service that gRPC's own packages implement; a malformed one ends the call."""
    try:
        return parse(kind, body)
    except ServingError as error:
        await abort(context, error)


async def abort(context: Any, error: ServingError) -> NoReturn:
    """Ends a call with an error."""
    await context.abort(getattr(grpc.StatusCode, error.code.name), error.short_message)
    raise RuntimeError("context.abort returned")  # it always raises


def _handler(
    name: str, method: Method, admission: AdmissionControl, token: str | None
) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def handle(body: bytes, context: Any) -> bytes:
        try:
            with admission.request(name, "GRPC") as record:
                if token is not None:
                    check_token(_authorization(context), token)
                try:
                    return await method(record, body)
                except asyncio.CancelledError:
                    remaining = context.time_remaining()
                    if remaining is None or remaining > 0:
                        raise  # the client has cancelled the call
                    raise ServingError(Code.DEADLINE_EXCEEDED, _DEADLINE_PASSED) from None
        except ServingError as error:
            failure = error
        except TimeoutError as error:
            failure = ServingError(Code.DEADLINE_EXCEEDED, str(error) or _DEADLINE_PASSED)
        except Exception:
            logger.exception("%s failed", name)
            failure = ServingError(Code.INTERNAL, "internal error; the server's log has the details")
        return await abort(context, failure)

    return handle


def _authorization(context: Any) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""
