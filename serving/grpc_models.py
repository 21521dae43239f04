"""`tensorflow.serving.ModelService`: each method takes the bytes of a request and returns those of the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from serving.core import Core
from serving.errors import invalid
from serving.gate import RequestRecord
from serving.grpc_messages import parse
from serving.metrics import Metrics
from serving.model_config import reloaded_models

Method = Callable[[RequestRecord, bytes], Awaitable[bytes]]


class ModelService:
    """The state of models, and which ones are served.

    Args:
        core: Holds the models.
        metrics: Whose counters a reload may report.
    """

    NAME = "tensorflow.serving.ModelService"

    def __init__(self, core: Core, metrics: Metrics) -> None:
        self._models = core.models
        self._metrics = metrics

    def methods(self) -> Mapping[str, Method]:
        """All methods, by name."""
        return {"GetModelStatus": self.get_model_status, "HandleReloadConfigRequest": self.reload}

    async def get_model_status(self, record: RequestRecord, body: bytes) -> bytes:
        """`GetModelStatusRequest` to `GetModelStatusResponse`. A label is ignored, as TensorFlow Serving ignores it."""
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
        """`ReloadConfigRequest` to `ReloadConfigResponse`, once the new models are available."""
        request = parse(model_management_pb2.ReloadConfigRequest, body)
        before = {name: self._metrics.value(name) for name in request.metric_names}
        # On a thread of its own: loading may take minutes, and goes on when the client has hung up.
        await asyncio.to_thread(self._models.reload, reloaded_models(request.config))
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name in request.metric_names:
            increase = round(self._metrics.value(name) - before[name])
            response.metric.add(name=name, int64_value_increase=increase)
        return response.SerializeToString()
