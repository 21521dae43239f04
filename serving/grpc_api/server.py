"""The gRPC door: PredictionService, ModelService, health and reflection on one port."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio

from serving.admission.gate import Gate, RequestRecord
from serving.admission.tls import Tls
from serving.admission.tokens import check_token
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.grpc_api import reflection
from serving.grpc_api.health import Health
from serving.grpc_api.model_service import ModelService
from serving.grpc_api.prediction_service import PredictionService
from serving.inference import Core
from serving.metrics import Metrics

Method = Callable[[RequestRecord, bytes], Awaitable[bytes]]
_STATUS = {code: getattr(grpc.StatusCode, code.name) for code in Code}
# Calls that are no requests to models, such as those that watch the health.
_OTHER_CALLS = 100
_TOO_LATE = "the request's deadline has passed"
_LOG = logging.getLogger(__name__)

_LAST_CALLS = 0.5  # seconds in which calls that were made before their client heard of the end still arrive


class GrpcServer:
    """A gRPC server, started.

    Attributes:
        bound_port: Where it listens; 0 for a Unix socket alone.
    """

    def __init__(self, server: grpc.aio.Server, health: Health, gate: Gate, bound_port: int) -> None:
        self._server, self._health, self._gate = server, health, gate
        self.bound_port = bound_port

    async def drain(self) -> None:
        """Tells who asks for its health that it is about to end. Requests are still answered."""
        self._health.drain()

    async def stop(self, grace: float) -> None:
        """Takes no new calls, and ends when those in progress have ended.

        Args:
            grace: Seconds that they have; the rest is cancelled.
        """
        end = time.monotonic() + grace
        self._health.drain()
        while self._gate.in_progress and time.monotonic() < end:
            await asyncio.sleep(0.02)
        # Calls on their way are still refused by name: once gRPC stops, it breaks them off as CANCELLED, which tells no
        # client to ask elsewhere.
        await asyncio.sleep(min(max(end - time.monotonic(), 0), _LAST_CALLS))
        # Answers are on their way; what else is open are clients that look at the health or the reflection.
        await self._server.stop(min(max(end - time.monotonic(), 0), 1))


async def start_grpc(
    core: Core, gate: Gate, config: ServerConfig, metrics: Metrics, tls: Tls | None = None, token: str | None = None
) -> GrpcServer:
    """Opens the port, and the Unix socket, on the running event loop.

    Args:
        core: Answers.
        gate: Counts, limits and drains.
        config: All settings.
        metrics: Whose counters a reload may report.
        tls: Secures the port; none means that it is open text.
        token: Bearer token that calls need; health and reflection do not.

    Raises:
        ServingError: The port is taken, the socket cannot be made, or a channel argument is wrong.
    """
    health, reflection_handlers = Health(), reflection.handlers()
    server = grpc.aio.server(
        options=_options(config), maximum_concurrent_rpcs=config.max_concurrent_requests + _OTHER_CALLS
    )
    services: tuple[PredictionService | ModelService, ...] = (
        PredictionService(core, config.max_body_bytes, config.max_batch_rows),
        ModelService(core, metrics),
    )
    server.add_generic_rpc_handlers(
        [
            *(
                grpc.method_handlers_generic_handler(each.NAME, _handlers(each.methods(), gate, token))
                for each in services
            ),
            grpc.method_handlers_generic_handler(Health.NAME, health.handlers()),
            *(grpc.method_handlers_generic_handler(name, reflection_handlers) for name in reflection.NAMES),
        ]
    )
    if config.grpc_socket_path:
        hint = "choose a shorter --grpc-socket-path, in a folder that is there and may be written to"
        _listen(server, f"unix:{config.grpc_socket_path}", tls, hint)
    port = _bind(server, config, tls) if config.port else 0
    await server.start()
    return GrpcServer(server, health, gate, port)


def _bind(server: grpc.aio.Server, config: ServerConfig, tls: Tls | None) -> int:
    host = f"[{config.host}]" if ":" in config.host else config.host
    hint = "choose another --port, or end what listens there"
    return _listen(server, f"{host}:{max(config.port, 0)}", tls, hint)


def _listen(server: grpc.aio.Server, address: str, tls: Tls | None, hint: str) -> int:
    refused = ServingError(Code.UNAVAILABLE, f"gRPC cannot listen on {address}; {hint}")
    try:
        port = server.add_secure_port(address, tls.for_grpc()) if tls else server.add_insecure_port(address)
    except RuntimeError as error:
        raise refused from error
    if not port:
        raise refused
    return port


def _options(config: ServerConfig) -> list[tuple[str, Any]]:
    options: dict[str, Any] = {
        "grpc.max_receive_message_length": config.max_body_bytes,
        "grpc.max_send_message_length": -1,
        "grpc.so_reuseport": 0,  # a port that is taken is an error, not shared
        "grpc.server_handshake_timeout_ms": 20_000,
    }
    for pair in filter(None, config.grpc_channel_arguments.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise invalid(f'--grpc-channel-arguments: "{pair}" is no key=value; write "key=value,key=value"')
        options[name.strip()] = _number_or_text(value.strip())
    return list(options.items())


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value


def _handlers(methods: Mapping[str, Method], gate: Gate, token: str | None) -> dict[str, grpc.RpcMethodHandler]:
    """Handlers that take bytes and return bytes, so that what is no message has an error of ours."""
    return {
        name: grpc.unary_unary_rpc_method_handler(_handler(name, method, gate, token))
        for name, method in methods.items()
    }


def _handler(name: str, method: Method, gate: Gate, token: str | None) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def handle(body: bytes, context: Any) -> bytes:
        try:
            with gate.request(name, "GRPC") as record:
                if token is not None:
                    check_token(_authorization(context), token)
                try:
                    return await method(record, body)
                except asyncio.CancelledError:
                    remaining = context.time_remaining()
                    if remaining is None or remaining > 0:
                        raise  # the client has hung up
                    raise ServingError(Code.DEADLINE_EXCEEDED, _TOO_LATE) from None
        except ServingError as error:
            await context.abort(_STATUS[error.code], error.short_message)
        except TimeoutError as error:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, str(error) or _TOO_LATE)
        except Exception:
            _LOG.exception("%s failed", name)
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed; its log says how")
        raise AssertionError("abort has raised")

    return handle


def _authorization(context: Any) -> str:
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""
