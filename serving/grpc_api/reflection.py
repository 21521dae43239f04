"""gRPC's server reflection: tools such as grpcurl learn the services from the server itself."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.errors import ServingError
from serving.grpc_api.messages import parse

# The second name is that of newer clients; the messages of both are the same.
NAMES = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
_PACKAGE = "tensorflow.serving"
# The modules of tensorflow-serving-api that describe these cannot be imported: protobuf 3 has made them.
_SERVICES: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "PredictionService": {
        "Classify": (classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse),
        "Regress": (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
        "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
        "MultiInference": (inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse),
        "GetModelMetadata": (
            get_model_metadata_pb2.GetModelMetadataRequest,
            get_model_metadata_pb2.GetModelMetadataResponse,
        ),
    },
    "ModelService": {
        "GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse),
        "HandleReloadConfigRequest": (
            model_management_pb2.ReloadConfigRequest,
            model_management_pb2.ReloadConfigResponse,
        ),
    },
}


def handlers() -> Mapping[str, grpc.RpcMethodHandler]:
    """All methods of the service of either name."""
    names = [f"{_PACKAGE}.{name}" for name in _SERVICES]
    others = [name for file in (health_pb2, reflection_pb2) for name in _service_names(file.DESCRIPTOR)]
    servicer = ReflectionServicer([*names, *others], _pool())

    async def info(bodies: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async def requests() -> AsyncIterator[Any]:
            async for body in bodies:
                yield parse(reflection_pb2.ServerReflectionRequest, body)

        try:
            async for answer in servicer.ServerReflectionInfo(requests(), context):
                yield answer.SerializeToString()
        except ServingError as error:
            await context.abort(getattr(grpc.StatusCode, error.code.name), error.short_message)

    return {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(info)}


def _service_names(file: Any) -> list[str]:
    return [service.full_name for service in file.services_by_name.values()]


def _pool() -> descriptor_pool.DescriptorPool:
    """A pool of our own: what is added to the default one would clash with modules that describe the same."""
    pool, added = descriptor_pool.DescriptorPool(), set[str]()

    def add(file: Any) -> None:
        if file.name not in added:
            added.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            pool.AddSerializedFile(file.serialized_pb)

    add(health_pb2.DESCRIPTOR)
    add(reflection_pb2.DESCRIPTOR)
    for name, methods in _SERVICES.items():
        file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=_PACKAGE, syntax="proto3")
        service = file.service.add(name=name)
        for method, messages in methods.items():
            request, response = (message.DESCRIPTOR for message in messages)
            service.method.add(name=method, input_type=f".{request.full_name}", output_type=f".{response.full_name}")
            for message in (request, response):
                add(message.file)
                if message.file.name not in file.dependency:
                    file.dependency.append(message.file.name)
        pool.AddSerializedFile(file.SerializeToString())
    return pool
