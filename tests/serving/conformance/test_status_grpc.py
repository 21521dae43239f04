"""GetModelStatus, GetModelMetadata, errors of HandleReloadConfigRequest, health and reflection over gRPC."""

import os

import pytest

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow")
get_model_status_pb2 = pytest.importorskip("tensorflow_serving.apis.get_model_status_pb2")

from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

pytestmark = pytest.mark.lengthy

_TIMEOUT = 30
ours = pytest.mark.skipif("VISION_TFX_SERVING_REST" in os.environ, reason="TensorFlow Serving has it off by default")


@pytest.fixture(scope="module")
def models_stub(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def refused(call, made) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(made, timeout=_TIMEOUT)
    return caught.value.code().name, caught.value.details()


def status_request(name: str, version: int | None = None, label: str = ""):
    made = get_model_status_pb2.GetModelStatusRequest()
    made.model_spec.name = name
    if version is not None:
        made.model_spec.version.value = version
    if label:
        made.model_spec.version_label = label
    return made


@pytest.mark.parametrize("choice", [{}, {"version": 123}, {"label": "ignored"}])
def test_status(models_stub, choice):
    response = models_stub.GetModelStatus(status_request("half_plus_two", **choice), timeout=_TIMEOUT)
    (status,) = response.model_version_status
    assert status.version == 123
    assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert (status.status.error_code, status.status.error_message) == (0, "")


def test_status_errors(models_stub):
    call = models_stub.GetModelStatus
    code, details = refused(call, get_model_status_pb2.GetModelStatusRequest())
    assert (code, details) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    code, details = refused(call, status_request("nobody"))
    assert code == "NOT_FOUND"
    assert details.startswith("Could not find any versions of model nobody")
    code, details = refused(call, status_request("half_plus_two", 9))
    assert code == "NOT_FOUND"
    assert details.startswith("Could not find version 9 of model half_plus_two")
    code, _ = refused(call, status_request(""))
    assert code == "NOT_FOUND"


def metadata_request(*fields: str, name: str = "half_plus_two"):
    made = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    made.model_spec.name = name
    return made


def test_metadata(stub):
    response = stub.GetModelMetadata(metadata_request("signature_def"), timeout=_TIMEOUT)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    assert default.inputs["x"].dtype == 1
    assert [dim.size for dim in default.inputs["x"].tensor_shape.dim] == [-1]
    assert set(signatures.signature_def) >= {"serving_default", "regress_x_to_y", "classify_x_to_y"}


def test_metadata_errors(stub):
    call = stub.GetModelMetadata
    code, details = refused(call, get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]))
    assert (code, details) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    code, details = refused(call, metadata_request())
    assert (code, details) == (
        "INVALID_ARGUMENT",
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    code, details = refused(call, metadata_request("signature_def", "weights"))
    assert code == "INVALID_ARGUMENT"
    assert "is not supported" in details
    code, details = refused(call, metadata_request("signature_def", name="nobody"))
    assert (code, details[:46]) == ("NOT_FOUND", "Servable not found for request: Latest(nobody)")


def test_reload_takes_lists_only(models_stub):
    made = model_management_pb2.ReloadConfigRequest()
    code, details = refused(models_stub.HandleReloadConfigRequest, made)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith(
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )
    made.config.custom_model_config.SetInParent()
    code, _ = refused(models_stub.HandleReloadConfigRequest, made)
    assert code == "INVALID_ARGUMENT"


@ours
@pytest.mark.parametrize(
    "service",
    [
        "",
        "ModelService",
        "PredictionService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ],
)
def test_health(channel, service):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    assert stub.Check(request, timeout=_TIMEOUT).status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(request, timeout=_TIMEOUT)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


@ours
def test_health_of_an_unknown_service(channel):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub = health_pb2_grpc.HealthStub(channel)
    code, _ = refused(stub.Check, health_pb2.HealthCheckRequest(service="nobody"))
    assert code == "NOT_FOUND"
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"), timeout=_TIMEOUT)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


@ours
@pytest.mark.parametrize("version", ["v1alpha", "v1"])
def test_reflection(channel, version):
    """The requests of grpcurl: the services, then the file of one service."""
    from google.protobuf import descriptor_pb2
    from grpc_reflection.v1alpha import reflection_pb2

    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.PredictionService"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="nothing.Nobody"),
    ]
    services, prediction, health, nothing = call(iter(requests), timeout=_TIMEOUT)
    names = {service.name for service in services.list_services_response.service}
    assert names >= {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
    }
    files = map(
        descriptor_pb2.FileDescriptorProto.FromString, prediction.file_descriptor_response.file_descriptor_proto
    )
    methods = {method.name for file in files for service in file.service for method in service.method}
    assert methods == {"Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"}
    assert health.file_descriptor_response.file_descriptor_proto
    assert nothing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
