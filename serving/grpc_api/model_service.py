"""`tensorflow.serving.ModelService`. Its methods take a serialized request and return a serialized response."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from serving.admission.request_record import RequestRecord
from serving.errors import invalid
from serving.grpc_api.handlers import Method
from serving.grpc_api.messages import parse
from serving.inference import Inference
from serving.manager.model_config import reloaded_models
from serving.metrics import Metrics


class ModelService:
    """Service that reports the state of models and replaces the list of served models.

    Args:
        inference: Inference whose models it serves.
        metrics: Metrics whose increase a reload reports on request.
    """

    NAME = "tensorflow.serving.ModelService"

    def __init__(self, inference: Inference, metrics: Metrics) -> None:
        self._models = inference.models
        self._metrics = metrics
        # Reloads run one after another on a thread of their own, because one of them may wait for ever for a model.
        self._reloading = ThreadPoolExecutor(1, thread_name_prefix="reload")

    def methods(self) -> Mapping[str, Method]:
        """Returns all methods, by name."""
        return {"GetModelStatus": self.get_model_status, "HandleReloadConfigRequest": self.reload}

    async def get_model_status(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `GetModelStatusRequest`; ignores a version label, as TensorFlow Serving does."""
        request = parse(get_model_status_pb2.GetModelStatusRequest, body)
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        record.model = spec.name
        version = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._models.statuses(spec.name, version):
            added = response.model_version_status.add(version=status.version, state=status.state.value)
            added.status.error_code = status.code.number
            added.status.error_message = status.message
        return response.SerializeToString()

    async def reload(self, record: RequestRecord, body: bytes) -> bytes:
        """Answers a `ReloadConfigRequest` once the new models are available."""
        request = parse(model_management_pb2.ReloadConfigRequest, body)
        before = {name: self._metrics.value(name) for name in request.metric_names}
        models = reloaded_models(request.config)
        # The reload goes on if the client cancels the call.
        await asyncio.get_running_loop().run_in_executor(self._reloading, self._models.reload, models)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name in request.metric_names:
            increase = round(self._metrics.value(name) - before[name])
            response.metric.add(name=name, int64_value_increase=increase)
        return response.SerializeToString()
