"""gRPC's server reflection, by which tools such as grpcurl read the services from the server itself."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from serving.grpc_api.handlers import parsed

# Newer clients use the second name; the messages of both are the same.
NAMES = (reflection.SERVICE_NAME, "grpc.reflection.v1.ServerReflection")
_FILES = (prediction_service_pb2, model_service_pb2, health_pb2, reflection_pb2)


def handlers() -> Mapping[str, grpc.RpcMethodHandler]:
    """Returns the handlers of all methods, by name; they are the same under either name of the service."""
    services = [service.full_name for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
    servicer = reflection.aio.ReflectionServicer(services)

    async def info(bodies: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[Any]:
            async for body in bodies:
                yield await parsed(reflection_pb2.ServerReflectionRequest, body, context)

        async for response in servicer.ServerReflectionInfo(requests(), context):
            yield response

    serialize = reflection_pb2.ServerReflectionResponse.SerializeToString
    return {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(info, response_serializer=serialize)}
