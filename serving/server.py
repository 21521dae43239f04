"""The model server: builds the rooms, opens the doors when the models are ready, and drains on SIGTERM."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn

from serving.admission.admission_control import AdmissionControl
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.execution import DirectExecution, Execution
from serving.inference import Inference
from serving.manager.model_config import ModelConfig, configured_models
from serving.manager.model_manager import ModelManager
from serving.metrics import Metrics
from serving.rest.app import HttpApp

FREE_PORT = -1  # any port that is free
# How long another thread may keep Python's lock from the event loop, which lets go of it in every call of a model and
# in every wait for the network. While a version loads, mostly in Python, Python's own 5 ms are added to each request.
_SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Addresses:
    """Where a server listens; none where it does not.

    Args:
        rest: Base URL.
        grpc: "host:port".
        grpc_socket: "unix:PATH".
    """

    rest: str | None
    grpc: str | None
    grpc_socket: str | None = None


class ModelServer:
    """A model server on one event loop.

    Args:
        config: All settings.
        models: What to serve; none means what `config` names.

    Raises:
        ServingError: A setting, or a file that it names, is wrong.
    """

    def __init__(self, config: ServerConfig, models: Sequence[ModelConfig] | None = None) -> None:
        from serving.admission.tls import read_ssl_config
        from serving.admission.tokens import read_token
        from serving.request_log import RequestLog
        from serving.warmup import Warmup

        self.config = config
        self.tls = read_ssl_config(config.ssl_config_file)
        self.token = read_token(config.bearer_token_file)
        self.metrics = Metrics()
        self.gate = AdmissionControl(self.metrics, config.max_concurrent_requests, config.access_log)
        self._execution = _execution(config, self.metrics)
        self.models = ModelManager(
            config,
            models=configured_models(config) if models is None else models,
            prepare=Warmup(config, self.metrics, self._execution.prepare),
            before_close=self._execution.forget,
            metrics=self.metrics,
        )
        self._log = RequestLog(config.request_log_dir, config.request_log_sampling_rate, self.metrics)
        self.inference = Inference(self.models, self._execution, config, self.metrics, self._log)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Ends `run` as SIGTERM does; from any thread."""
        self._loop.call_soon_threadsafe(self._ending.set)

    async def run(self, ready: Callable[[Addresses], None]) -> None:
        """Serves until SIGTERM or SIGINT, then lets requests in progress finish.

        Args:
            ready: Called once with the addresses when every model is available and both doors are open.

        Raises:
            ServingError: A model did not become available, or a port is taken.
        """
        loop = self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        sockets = self._bind()
        starting = loop.run_in_executor(None, self.models.start)
        try:
            await _first(starting, self._ending.wait())
            if self._ending.is_set():
                return
            starting.result()
            await self._open(sockets, ready)
        finally:
            self.models.stop()
            self._log.close()
            self.gate.close()

    async def _open(self, sockets: list[socket.socket], ready: Callable[[Addresses], None]) -> None:
        from serving.grpc_api.server import start_grpc

        config = self.config
        grpc_server = None
        if config.port or config.grpc_socket_path:
            grpc_server = await start_grpc(self.inference, self.gate, config, self.metrics, self.tls, self.token)
        http = None
        if sockets:
            http = _Http(self._uvicorn_config())
            serving = asyncio.create_task(http.serve(sockets))
            while not http.started and not serving.done():
                await asyncio.sleep(0.01)
        scheme, host = "https" if self.tls else "http", f"[{config.host}]" if ":" in config.host else config.host
        ready(
            Addresses(
                rest=f"{scheme}://{host}:{sockets[0].getsockname()[1]}" if sockets else None,
                grpc=f"{host}:{grpc_server.bound_port}" if grpc_server and grpc_server.bound_port else None,
                grpc_socket=f"unix:{config.grpc_socket_path}" if config.grpc_socket_path else None,
            )
        )
        await self._ending.wait()
        # Probes see it first; what is inside has the grace to finish.
        if grpc_server:
            await grpc_server.drain()
        self.gate.draining = True
        stops: list[Awaitable[None]] = []
        if http:
            http.should_exit = True
            stops.append(serving)
        if grpc_server:
            stops.append(grpc_server.stop(config.shutdown_grace_seconds))
        await asyncio.gather(*stops)

    def _bind(self) -> list[socket.socket]:
        config = self.config
        if not config.rest_api_port:
            return []
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
                "what listens there",
            ) from error
        return [listener]

    def _uvicorn_config(self) -> uvicorn.Config:
        config = self.config
        tls: dict[str, Any] = self.tls.for_uvicorn() if self.tls else {}
        return uvicorn.Config(
            HttpApp(self.inference, self.gate, config, self.metrics, self.token),
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
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the model server, which has two doors to close."""
        yield


def _execution(config: ServerConfig, metrics: Metrics) -> Execution:
    if not config.enable_batching:
        for name in ("batching_parameters_file", "enable_per_model_batching_parameters"):
            if getattr(config, name):
                raise invalid(f"{name} is set without setting enable_batching to true")
        return DirectExecution(config.inference_threads)
    from serving.batching.execution import BatchingExecution

    return BatchingExecution(config, metrics)


async def _first(*awaitables: Any) -> None:
    """Waits until one of them is done; the others go on or are cancelled with the loop."""
    await asyncio.wait([asyncio.ensure_future(each) for each in awaitables], return_when=asyncio.FIRST_COMPLETED)


def run_server(
    config: ServerConfig, ready: Callable[[ModelServer, Addresses], None], models: Sequence[ModelConfig] | None = None
) -> None:
    """Runs a model server in this thread, which must be the main one, until SIGTERM, SIGINT or `ModelServer.end`.

    Args:
        config: All settings.
        ready: Called once, with the server and its addresses.
        models: What to serve; none means what `config` names.

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
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop
