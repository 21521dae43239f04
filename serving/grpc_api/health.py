"""`grpc.health.v1.Health`, the service that load balancers and Kubernetes query."""

from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from serving.grpc_api.handlers import parsed
from serving.grpc_api.model_service import ModelService
from serving.grpc_api.prediction_service import PredictionService

# TensorFlow Serving knows only the short names; clients that follow gRPC's convention use the full ones.
_NAMES = ("", "ModelService", "PredictionService", ModelService.NAME, PredictionService.NAME)


class Health:
    """Health service that reports SERVING until the server drains, then NOT_SERVING."""

    NAME = health.SERVICE_NAME

    def __init__(self) -> None:
        self._servicer = health.aio.HealthServicer()

    async def serve(self) -> None:
        """Reports SERVING for every service from now on."""
        for name in _NAMES:
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """Reports NOT_SERVING from now on and notifies every open Watch stream."""
        await self._servicer.enter_graceful_shutdown()

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """Returns the handlers of all methods, by name."""

        async def check(body: bytes, context: Any) -> Any:
            request = await parsed(health_pb2.HealthCheckRequest, body, context)
            return await self._servicer.Check(request, context)

        async def watch(body: bytes, context: Any) -> None:
            request = await parsed(health_pb2.HealthCheckRequest, body, context)
            await self._servicer.Watch(request, context)

        serialize = health_pb2.HealthCheckResponse.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(check, response_serializer=serialize),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, response_serializer=serialize),
        }
