"""TensorFlow Serving's REST API: `/v1/...` and the metrics."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from serving.admission.admission_control import AdmissionControl
from serving.admission.request_record import RequestRecord
from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.inference import Inference
from serving.manager.handle import Handle
from serving.metrics import Metrics
from serving.model_spec import ModelSpec
from serving.rest.body import TOO_LARGE, BodyTooLargeError, Disconnected, read_body
from serving.rest.json_examples import read_examples
from serving.rest.json_responses import write_classification, write_columns, write_error, write_regressions, write_rows
from serving.rest.json_tensors import read_tensors
from serving.rest.json_text import request_object
from serving.rest.metrics_path import metrics_path
from serving.rest.routes import CLASSIFY, METADATA, PREDICT, REGRESS, STATUS, Route, find_route
from serving.saved_model_files import DEFAULT_SIGNATURE
from serving.signature import Signature

Response = tuple[int, bytes]  # status, body
OnExamples = Callable[[Handle, Signature, Sequence[bytes]], Awaitable[Any]]
T = TypeVar("T")

_JSON, _TEXT = (b"content-type", b"application/json"), (b"content-type", b"text/plain; charset=utf-8")
_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]
# From this many bytes on, JSON is read and written on a thread, so that it does not hold up other requests. A hop to a
# thread and back costs 0.1 ms; 64 KB take 0.4 ms in orjson, and up to 60 ms in the tolerant reader.
_LARGE = 64 * 1024
logger = logging.getLogger(__name__)


class RestApi:
    """ASGI application of the REST API.

    Args:
        inference: Inference that answers the requests.
        admission: Admission control, which counts, limits and refuses requests.
        config: All settings.
        metrics: Metrics of the server.

    Raises:
        ServingError: `config.monitoring_config_file` is wrong.
    """

    def __init__(
        self, inference: Inference, admission: AdmissionControl, config: ServerConfig, metrics: Metrics
    ) -> None:
        self._inference, self._admission, self._metrics = inference, admission, metrics
        self._metrics_path = metrics_path(config.monitoring_config_file)
        self._max_body_bytes = config.max_body_bytes
        milliseconds = config.rest_api_timeout_in_ms
        self._seconds = milliseconds / 1000 if milliseconds > 0 else None
        self._cors = _CORS if config.rest_api_enable_cors_support else []
        self._apis: dict[str, Callable[[ModelSpec, dict, int, RequestRecord], Awaitable[bytes]]] = {
            PREDICT: self._predict,
            CLASSIFY: partial(self._on_examples, inference.classify, write_classification),
            REGRESS: partial(self._on_examples, inference.regress, write_regressions),
        }

    def handles(self, path: str) -> bool:
        """Whether a path belongs to this API."""
        return path[:4].lower() == "/v1/" or path == self._metrics_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        try:
            if scope["path"] == self._metrics_path:
                status, body = self._show_metrics(scope)
                await _reply(send, status, body, [_TEXT])
                return
            status, body = _preflight(scope) if scope["method"] == "OPTIONS" else await self._answer(scope, receive)
        except Disconnected:
            return
        await _reply(send, status, body, [_JSON, *self._cors])

    def _show_metrics(self, scope: Scope) -> Response:
        if query := scope["query_string"]:
            target = f"{scope['path']}?{query.decode('latin-1')}"
            return 400, f"Unexpected path: {target}. Should be {self._metrics_path}".encode()
        return 200, self._metrics.text().encode()

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            route = find_route(scope)
        except ServingError as error:
            return self._refuse(error)
        try:
            with self._admission.request(route.api, "REST") as record:
                record.model = route.spec.name
                return 200, await self._respond(route, scope, receive, record)
        except ServingError as error:
            status = TOO_LARGE if isinstance(error, BodyTooLargeError) else error.code.http
            return status, write_error(error.message)
        except TimeoutError:
            cause = f"the request took longer than {self._seconds:g} s (--rest-api-timeout-in-ms)"
            return Code.DEADLINE_EXCEEDED.http, write_error(f"Timed out waiting for notification; {cause}")
        except Disconnected:
            raise
        except Exception:
            logger.exception("%s %s", scope["method"], scope["path"])
            return Code.INTERNAL.http, write_error("internal error; the server's log has the details")

    def _refuse(self, error: ServingError) -> Response:
        """Refuses a request whose path is not a route; it is counted and logged as every request is."""
        try:
            with self._admission.request("", "REST"):
                raise error
        except ServingError as refusal:  # the given error, or that of the admission control
            return refusal.code.http, write_error(refusal.message)

    async def _respond(self, route: Route, scope: Scope, receive: Receive, record: RequestRecord) -> bytes:
        if route.api == STATUS:
            return self._status(route.spec)
        if route.api == METADATA:
            return self._metadata(route.spec, record)
        async with asyncio.timeout(self._seconds):
            body = await read_body(scope["headers"], receive, self._max_body_bytes)
            document = await _run(len(body), request_object, body)
            record.signature = document.get("signature_name") or DEFAULT_SIGNATURE
            return await self._apis[route.api](route.spec, document, len(body), record)

    async def _predict(self, spec: ModelSpec, document: dict, size: int, record: RequestRecord) -> bytes:
        with self._inference.acquire(spec) as held:
            record.version = held.version
            signature = held.servable.signature(record.signature)
            if signature is None:
                raise invalid(
                    f'Serving signature name: "{record.signature}" not found in signature def; {_signatures(held)}'
                )
            tensors = await _run(size, read_tensors, document, signature.inputs)
            record.rows = tensors.rows
            outputs = await self._inference.predict(held, signature, tensors.arrays)
        size = sum(array.size for array in outputs.values())  # writing a number takes 20 ns, reading a byte 6 ns
        return await _run(size, write_rows if tensors.by_row else write_columns, outputs, signature.outputs)

    async def _on_examples(
        self,
        call: OnExamples,
        write: Callable[[Any], bytes],
        spec: ModelSpec,
        document: dict,
        size: int,
        record: RequestRecord,
    ) -> bytes:
        examples = await _run(size, read_examples, document)
        with self._inference.acquire(spec) as held:
            record.version, record.rows = held.version, len(examples)
            signature = held.servable.signature(record.signature)
            if signature is None:
                raise invalid(f"No signature was found with the name: {record.signature}; {_signatures(held)}")
            output = await call(held, signature, examples)
        return await _run(size, write, output)

    def _status(self, spec: ModelSpec) -> bytes:
        """Writes the status of one version or of all; ignores a version label, as TensorFlow Serving does."""
        versions = [
            {
                "version": str(each.version),
                "state": each.state.name,
                "status": {"error_code": each.code.name, "error_message": each.message},
            }
            for each in self._inference.models.statuses(spec.name, spec.version)
        ]
        return _pretty({"model_version_status": versions})

    def _metadata(self, spec: ModelSpec, record: RequestRecord) -> bytes:
        from google.protobuf.json_format import MessageToDict

        with self._inference.acquire(spec) as held:
            record.version = held.version
            signatures = {
                name: MessageToDict(
                    signature.proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
                )
                for name, signature in held.servable.signatures.items()
            }
        model_spec = {"name": spec.name, "signature_name": "", "version": str(held.version)}
        return _pretty({"model_spec": model_spec, "metadata": {"signature_def": {"signature_def": signatures}}})


async def _run(size: int, call: Callable[..., T], *args: Any) -> T:
    """Calls a function whose time depends on a size: directly if it is small, else on a thread."""
    if size < _LARGE:
        return call(*args)
    return await asyncio.to_thread(call, *args)


def _signatures(held: Handle) -> str:
    return f"this model has {', '.join(sorted(held.servable.signatures))}"


def _pretty(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _preflight(scope: Scope) -> Response:
    origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
    if b"http://" in origin or b"https://" in origin:
        return 200, b""
    return Code.FAILED_PRECONDITION.http, write_error("Origin header is missing in CORS preflight")


async def _reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
