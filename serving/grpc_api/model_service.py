"""`tensorflow.serving.ModelService`: each method takes the bytes of a request and returns those of the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from serving.admission.gate import RequestRecord
from serving.errors import invalid
from serving.grpc_api.messages import parse
from serving.inference import Core
from serving.manager.model_config import reloaded_models
from serving.metrics import Metrics

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
        # One after the other, and on a thread of their own: a model that never comes must hold up nothing else.
        self._reloading = ThreadPoolExecutor(1, thread_name_prefix="reload")

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
        models = reloaded_models(request.config)
        # It goes on when the client has hung up.
        await asyncio.get_running_loop().run_in_executor(self._reloading, self._models.reload, models)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name in request.metric_names:
            increase = round(self._metrics.value(name) - before[name])
            response.metric.add(name=name, int64_value_increase=increase)
        return response.SerializeToString()
