"""`grpc.health.v1.Health`: what load balancers and Kubernetes ask a gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from serving.errors import Code, ServingError
from serving.grpc_api.messages import parse
from serving.grpc_api.model_service import ModelService
from serving.grpc_api.prediction_service import PredictionService

_SERVING, _NOT_SERVING, _UNKNOWN = (
    health_pb2.HealthCheckResponse.ServingStatus.Value(name) for name in ("SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
)
# TensorFlow Serving knows the short ones only; clients that follow gRPC's convention ask for the full ones.
_NAMES = frozenset({"", "ModelService", "PredictionService", ModelService.NAME, PredictionService.NAME})


class Health:
    """Says that the server serves, until it drains."""

    NAME = "grpc.health.v1.Health"

    def __init__(self) -> None:
        self._draining = asyncio.Event()

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """All methods, by name."""
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }

    def drain(self) -> None:
        """From now on the answer is NOT_SERVING, and who watches is told so once more."""
        self._draining.set()

    def _status(self, body: bytes) -> int:
        if parse(health_pb2.HealthCheckRequest, body).service not in _NAMES:
            return _UNKNOWN
        return _NOT_SERVING if self._draining.is_set() else _SERVING

    async def _check(self, body: bytes, context: Any) -> bytes:
        try:
            status = self._status(body)
            if status == _UNKNOWN:
                raise ServingError(Code.NOT_FOUND, "unknown service")
        except ServingError as error:
            await context.abort(getattr(grpc.StatusCode, error.code.name), error.short_message)
        return _answer(status)

    async def _watch(self, body: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            status = self._status(body)
        except ServingError as error:
            await context.abort(getattr(grpc.StatusCode, error.code.name), error.short_message)
        yield _answer(status)
        await self._draining.wait()
        if status == _SERVING:
            yield _answer(_NOT_SERVING)


def _answer(status: int) -> bytes:
    return health_pb2.HealthCheckResponse(status=status).SerializeToString()
