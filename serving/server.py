"""Model server: wires the parts together, opens the ports once all models are loaded, and drains on SIGTERM."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from serving.admission.admission_control import AdmissionControl
from serving.admission.tls import read_ssl_config
from serving.admission.tokens import read_token
from serving.batching.execution import BatchingExecution
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.execution import DirectExecution, Execution
from serving.inference import Inference
from serving.manager.model_config import ModelConfig, configured_models
from serving.manager.model_manager import ModelManager
from serving.metrics import Metrics
from serving.request_log import RequestLog
from serving.rest.app import HttpApp
from serving.warmup import Warmup

if TYPE_CHECKING:
    from serving.grpc_api.server import GrpcServer

FREE_PORT = -1  # any port that is free
# Longest time that another thread may keep Python's lock from the event loop, which releases it in every call of a
# model and in every wait for the network. While a version loads, mostly in Python, Python's default of 5 ms would be
# added to each request.
_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Addresses:
    """Addresses of a running server; None for a protocol that is not served.

    Args:
        rest: Base URL of REST.
        grpc: Host and port of gRPC, "127.0.0.1:8500".
        grpc_socket: Unix socket of gRPC, "unix:PATH".
    """

    rest: str | None
    grpc: str | None
    grpc_socket: str | None = None


class ModelServer:
    """Model server on one event loop; `run_server` runs it.

    Args:
        config: Settings of the server.
        models: Models to serve; None means the ones that `config` names.

    Attributes:
        config: Settings of the server.

    Raises:
        ServingError: A setting, or a file that it names, is invalid.
    """

    def __init__(self, config: ServerConfig, models: Sequence[ModelConfig] | None = None) -> None:
        self.config = config
        self._tls = read_ssl_config(config.ssl_config_file)
        self._token = read_token(config.bearer_token_file)
        self._metrics = Metrics()
        self._admission = AdmissionControl(self._metrics, config.max_concurrent_requests, config.access_log)
        execution = _execution(config, self._metrics)
        self._models = ModelManager(
            config,
            models=configured_models(config) if models is None else models,
            prepare=Warmup(config, self._metrics, execution.prepare),
            before_close=execution.forget,
            metrics=self._metrics,
        )
        self._log = RequestLog(config.request_log_dir, config.request_log_sampling_rate, self._metrics)
        self._inference = Inference(self._models, execution, config, self._metrics, self._log)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Ends `run` as SIGTERM does; callable from any thread."""
        self._loop.call_soon_threadsafe(self._ending.set)

    async def run(self, ready: Callable[[Addresses], None]) -> None:
        """Serves until SIGTERM or SIGINT, then lets requests in progress finish.

        Args:
            ready: Called once with the addresses when every model is available and the ports are open.

        Raises:
            ServingError: A model did not become available, or a port is taken.
        """
        loop = self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        listener = self._bind()
        starting = loop.run_in_executor(None, self._models.start)
        try:
            await _first(starting, self._ending.wait())
            if self._ending.is_set():
                return
            starting.result()
            await self._serve(listener, ready)
        finally:
            self._models.stop()
            self._log.close()
            self._admission.close()

    async def _serve(self, listener: socket.socket | None, ready: Callable[[Addresses], None]) -> None:
        grpc_server = await self._start_grpc()
        http, serving = None, None
        if listener:
            http = _Http(self._uvicorn_config())
            serving = asyncio.create_task(http.serve([listener]))
            while not http.started and not serving.done():
                await asyncio.sleep(0.01)
        ready(self._addresses(listener, grpc_server))
        await self._ending.wait()
        # Health checks report it first; requests in progress then have the grace period to finish.
        if grpc_server:
            await grpc_server.drain()
        self._admission.draining = True
        stops: list[Awaitable[None]] = []
        if http and serving:
            http.should_exit = True
            stops.append(serving)
        if grpc_server:
            stops.append(grpc_server.stop(self.config.shutdown_grace_seconds))
        await asyncio.gather(*stops)

    async def _start_grpc(self) -> "GrpcServer | None":
        config = self.config
        if not config.port and not config.grpc_socket_path:
            return None
        from serving.grpc_api.server import start_grpc  # a server of REST alone does not import gRPC

        return await start_grpc(self._inference, self._admission, config, self._metrics, self._tls, self._token)

    def _addresses(self, listener: socket.socket | None, grpc_server: "GrpcServer | None") -> Addresses:
        config = self.config
        scheme, host = "https" if self._tls else "http", f"[{config.host}]" if ":" in config.host else config.host
        return Addresses(
            rest=f"{scheme}://{host}:{listener.getsockname()[1]}" if listener else None,
            grpc=f"{host}:{grpc_server.bound_port}" if grpc_server and grpc_server.bound_port else None,
            grpc_socket=f"unix:{config.grpc_socket_path}" if config.grpc_socket_path else None,
        )

    def _bind(self) -> socket.socket | None:
        config = self.config
        if not config.rest_api_port:
            return None
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = 0 if config.rest_api_port == FREE_PORT else config.rest_api_port
        try:
            listener.bind((config.host, port))
        except OSError as error:
            listener.close()
            raise ServingError(
                Code.UNAVAILABLE,
                f"REST cannot listen on {config.host}:{port}: {error.strerror}; choose another --rest-api-port, or end "
                "the process that listens there",
            ) from error
        return listener

    def _uvicorn_config(self) -> uvicorn.Config:
        config = self.config
        tls: dict[str, Any] = self._tls.for_uvicorn() if self._tls else {}
        return uvicorn.Config(
            HttpApp(self._inference, self._admission, config, self._metrics, self._token),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=64 * 1024,
            timeout_graceful_shutdown=max(1, round(config.shutdown_grace_seconds)),
            backlog=2048,
            **tls,
        )


class _Http(uvicorn.Server):
    # uvicorn 0.54 has no option that leaves signals alone, and does not document this method. Should a later version
    # rename it, uvicorn would handle SIGTERM itself: REST would stop before gRPC's health check reports the end.
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the model server, which drains both ports."""
        yield


def _execution(config: ServerConfig, metrics: Metrics) -> Execution:
    if not config.enable_batching:
        for name in ("batching_parameters_file", "enable_per_model_batching_parameters"):
            if getattr(config, name):
                raise invalid(f"{name} is set without setting enable_batching to true")
        return DirectExecution(config.inference_threads)
    return BatchingExecution(config, metrics)


async def _first(*awaitables: Any) -> None:
    """Waits until one of the awaitables is done; the others go on, or are cancelled with the loop."""
    await asyncio.wait([asyncio.ensure_future(each) for each in awaitables], return_when=asyncio.FIRST_COMPLETED)


def run_server(
    config: ServerConfig, ready: Callable[[ModelServer, Addresses], None], models: Sequence[ModelConfig] | None = None
) -> None:
    """Runs a model server until SIGTERM, SIGINT or `ModelServer.end`, in this thread, which must be the main one.

    Args:
        config: Settings of the server.
        ready: Called once, with the server and its addresses, when the ports are open.
        models: Models to serve; None means the ones that `config` names.

    Raises:
        ServingError: As `ModelServer` and `ModelServer.run`.
    """

    async def run() -> None:
        server = ModelServer(config, models)
        await server.run(lambda addresses: ready(server, addresses))

    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # on Windows
        return None
    return uvloop.new_event_loop
