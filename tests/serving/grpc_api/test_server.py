"""The gRPC server in this process: what it cannot listen on, health, reflection, and malformed messages."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import pytest

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving.apis.predict_pb2")

from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

from serving.admission.admission_control import AdmissionControl  # noqa: E402
from serving.config import ServerConfig  # noqa: E402
from serving.errors import ServingError  # noqa: E402
from serving.grpc_api.server import start_grpc  # noqa: E402
from serving.metrics import Metrics  # noqa: E402

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
MALFORMED = b"\x0a\xff"  # a string that is longer than the message
TIMEOUT = 20


def start(**settings):
    """Starts a server without models."""
    inference, metrics = SimpleNamespace(models=None), Metrics()
    return start_grpc(inference, AdmissionControl(metrics), ServerConfig(**settings), metrics)


def refusal(**settings) -> str:
    with pytest.raises(ServingError) as caught:
        asyncio.run(start(**settings))
    return caught.value.message


def with_channel(use):
    """Runs an asynchronous function on a new server and a channel to it."""

    async def run():
        server = await start(port=-1)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.bound_port}") as channel:
            await use(server, channel)
        await server.stop(0)

    asyncio.run(run())


def test_a_port_in_use():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        assert refusal(port=port).startswith(f"gRPC cannot listen on 127.0.0.1:{port}; choose another --port")


def test_a_socket_that_cannot_be_created(tmp_path):
    message = refusal(port=0, grpc_socket_path=str(tmp_path / "none" / "s"))
    assert message.startswith("gRPC cannot listen on unix:")
    assert "choose a shorter --grpc-socket-path" in message


def test_channel_arguments_are_pairs():
    message = refusal(port=-1, grpc_channel_arguments="grpc.max_connection_age_ms")
    assert '--grpc-channel-arguments: "grpc.max_connection_age_ms" is not key=value' in message


def test_watch_reports_the_drain():
    async def use(server, channel):
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="tensorflow.serving.PredictionService")
        watch = stub.Watch(request, timeout=TIMEOUT)
        assert (await watch.read()).status == SERVING
        assert (await stub.Check(request, timeout=TIMEOUT)).status == SERVING
        await server.drain()
        assert (await watch.read()).status == NOT_SERVING
        assert (await stub.Check(request, timeout=TIMEOUT)).status == NOT_SERVING

    with_channel(use)


async def status(call) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name


def test_malformed_messages_are_invalid_arguments():
    async def use(_, channel):
        unary = ("tensorflow.serving.PredictionService/Predict", "tensorflow.serving.ModelService/GetModelStatus")
        for method in (*unary, "grpc.health.v1.Health/Check"):
            assert await status(channel.unary_unary(f"/{method}")(MALFORMED, timeout=TIMEOUT)) == "INVALID_ARGUMENT"
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(MALFORMED, timeout=TIMEOUT)
        assert await status(watch.read()) == "INVALID_ARGUMENT"
        for version in ("v1", "v1alpha"):
            info = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
            assert await status(info([MALFORMED], timeout=TIMEOUT).read()) == "INVALID_ARGUMENT"

    with_channel(use)
