"""The gRPC server: PredictionService, ModelService, health and reflection on one port."""

import asyncio
import time
from typing import Any

import grpc
import grpc.aio

from serving.admission.admission_control import AdmissionControl
from serving.admission.tls import Tls
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.grpc_api import reflection
from serving.grpc_api.handlers import request_handlers
from serving.grpc_api.health import Health
from serving.grpc_api.model_service import ModelService
from serving.grpc_api.prediction_service import PredictionService
from serving.inference import Inference
from serving.metrics import Metrics

# Most calls besides requests to models, such as those that watch the health.
_OTHER_CALLS = 100
_LAST_CALLS_SECONDS = 0.5  # calls that a client made before it learned of the shutdown still arrive within this time
_LAST_RESPONSES_SECONDS = 1


class GrpcServer:
    """A running gRPC server; `start_grpc` starts one.

    Attributes:
        bound_port: Port on which it listens; 0 if it listens on a Unix socket only.
    """

    def __init__(self, server: grpc.aio.Server, health: Health, admission: AdmissionControl, bound_port: int) -> None:
        self._server, self._health, self._admission = server, health, admission
        self.bound_port = bound_port

    async def drain(self) -> None:
        """Reports to health checks that the server is about to stop. Requests are still answered."""
        await self._health.drain()

    async def stop(self, grace: float) -> None:
        """Refuses new calls and stops when the calls in progress have ended.

        Args:
            grace: Seconds after which the calls still in progress are cancelled.
        """
        end = time.monotonic() + grace
        await self._health.drain()
        while self._admission.in_progress and time.monotonic() < end:
            await asyncio.sleep(0.02)
        # Calls that arrive now are refused as UNAVAILABLE, so that their clients try another server. Once gRPC stops,
        # it ends them as CANCELLED, on which clients do not retry.
        await asyncio.sleep(min(max(end - time.monotonic(), 0), _LAST_CALLS_SECONDS))
        # The last responses may still be in transit; all other open calls watch the health or use the reflection.
        await self._server.stop(min(max(end - time.monotonic(), 0), _LAST_RESPONSES_SECONDS))


async def start_grpc(
    inference: Inference,
    admission: AdmissionControl,
    config: ServerConfig,
    metrics: Metrics,
    tls: Tls | None = None,
    token: str | None = None,
) -> GrpcServer:
    """Opens the port and the Unix socket on the running event loop.

    Args:
        inference: Inference that answers the requests.
        admission: Admission control, which counts, limits and refuses requests.
        config: All settings.
        metrics: Metrics whose increase a reload reports on request.
        tls: Certificates that secure the port; None leaves it unencrypted.
        token: Bearer token that requests need, health and reflection excepted; None accepts all requests.

    Raises:
        ServingError: The port is in use, the socket cannot be created, or a channel argument is wrong.
    """
    health, reflection_handlers = Health(), reflection.handlers()
    await health.serve()
    server = grpc.aio.server(
        options=_options(config), maximum_concurrent_rpcs=config.max_concurrent_requests + _OTHER_CALLS
    )
    services: tuple[PredictionService | ModelService, ...] = (
        PredictionService(inference, config.max_body_bytes, config.max_batch_rows),
        ModelService(inference, metrics),
    )
    server.add_generic_rpc_handlers(
        [
            *(
                grpc.method_handlers_generic_handler(each.NAME, request_handlers(each.methods(), admission, token))
                for each in services
            ),
            grpc.method_handlers_generic_handler(Health.NAME, health.handlers()),
            *(grpc.method_handlers_generic_handler(name, reflection_handlers) for name in reflection.NAMES),
        ]
    )
    if config.grpc_socket_path:
        hint = "choose a shorter --grpc-socket-path, in an existing folder that is writable"
        _listen(server, f"unix:{config.grpc_socket_path}", tls, hint)
    port = _bind(server, config, tls) if config.port else 0
    await server.start()
    return GrpcServer(server, health, admission, port)


def _bind(server: grpc.aio.Server, config: ServerConfig, tls: Tls | None) -> int:
    host = f"[{config.host}]" if ":" in config.host else config.host
    hint = "choose another --port, or stop the process that listens there"
    return _listen(server, f"{host}:{max(config.port, 0)}", tls, hint)


def _listen(server: grpc.aio.Server, address: str, tls: Tls | None, hint: str) -> int:
    refusal = ServingError(Code.UNAVAILABLE, f"gRPC cannot listen on {address}; {hint}")
    try:
        port = server.add_secure_port(address, tls.for_grpc()) if tls else server.add_insecure_port(address)
    except RuntimeError as error:
        raise refusal from error
    if not port:
        raise refusal
    return port


def _options(config: ServerConfig) -> list[tuple[str, Any]]:
    options: dict[str, Any] = {
        "grpc.max_receive_message_length": config.max_body_bytes,
        "grpc.max_send_message_length": -1,
        "grpc.so_reuseport": 0,  # a port in use is an error instead of being shared
        "grpc.server_handshake_timeout_ms": 20_000,
    }
    for pair in filter(None, config.grpc_channel_arguments.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise invalid(f'--grpc-channel-arguments: "{pair}" is not key=value; write "key=value,key=value"')
        options[name.strip()] = _number_or_text(value.strip())
    return list(options.items())


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value
