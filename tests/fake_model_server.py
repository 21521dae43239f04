"""A fake model server: TensorFlow Serving's REST responses over plain HTTP, with faults on demand."""

import base64
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

IMAGE = {"image_bytes": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}, "name": "x:0"}}
LABELS = ["7", "1", "9", "4", "3"]
SCORES = [0.9, 0.05, 0.03, 0.01, 0.01]
_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(:predict|/metadata)?")


def vector(*sizes: int) -> dict:
    return {"dim": [{"size": str(size)} for size in sizes]}


OUTPUTS = {
    "classes": {"dtype": "DT_STRING", "tensor_shape": vector(-1, 5)},
    "scores": {"dtype": "DT_FLOAT", "tensor_shape": vector(-1, 5)},
}


@dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: Any


@dataclass
class FakeModel:
    """A fake model, which answers images that start with PNG with "7" and refuses any other.

    Args:
        versions: Available versions.
        labels: Versions by label.
        inputs: Inputs of serving_default.
        outputs: Outputs of serving_default.
        answer: The "outputs" of every prediction in place of "7", for other inputs too; default, none.
    """

    versions: list[int] = field(default_factory=lambda: [11])
    labels: dict[str, int] = field(default_factory=dict)
    inputs: dict = field(default_factory=lambda: IMAGE)
    outputs: dict = field(default_factory=lambda: OUTPUTS)
    answer: Any = None


class FakeModelServer:
    """A model server on a free port of 127.0.0.1.

    Attributes:
        models: Models by name.
        listed: Whether it lists its models, as `vision-tfx serve` does.
        faults: Responses to the next requests, one each: a status, a (status, body), or a callable on the handler.
        requests: All requests so far.
        token: Bearer token that it requires; None for no token.
        delay: Seconds before each response.
        last_body: Body of the last request.
    """

    def __init__(self) -> None:
        self.models: dict[str, FakeModel] = {}
        self.listed = True
        self.faults: list[Any] = []
        self.requests: list[Request] = []
        self.token: str | None = None
        self.delay = 0.0
        self.last_body: Any = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake._answer(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Logs nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        text = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        body = json.loads(text) if text else None
        self.requests.append(Request(handler.command, handler.path, dict(handler.headers), body))
        time.sleep(self.delay)
        if self.faults and callable(self.faults[0]):
            self.faults.pop(0)(handler)
            return
        status, response = self.respond(handler.path, handler.headers.get("Authorization"), body)
        content = response if isinstance(response, bytes) else json.dumps(response).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def respond(self, path: str, authorization: str | None, body: Any) -> tuple[int, Any]:
        """Returns the status and the JSON or bytes of a response."""
        self.last_body = body
        if self.faults:
            fault = self.faults.pop(0)
            return fault if isinstance(fault, tuple) else (fault, {"error": f"fault {fault}"})
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, {"error": "this server requires a bearer token"}
        if path == "/models.json" and self.listed:
            models = [{"name": name, "versions": model.versions} for name, model in self.models.items()]
            return 200, {"models": models, "mlflow_url": ""}
        if match := _PATH.fullmatch(path):
            return self._serve(*match.groups(), body)
        return 404, b"<html>Not Found</html>"

    def _serve(self, name: str, version: str | None, label: str | None, verb: str | None, body: Any) -> tuple[int, Any]:
        model = self.models.get(name)
        if model is None or (version and int(version) not in model.versions):
            wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
            return 404, {"error": f"Servable not found for request: {wanted}"}
        if label and label not in model.labels:
            return 400, {"error": f"Unrecognized servable version label: {label}"}
        answering = int(version) if version else model.labels[label] if label else max(model.versions)
        if verb is None:
            ok = {"error_code": "OK", "error_message": ""}
            return 200, {
                "model_version_status": [
                    {"version": str(v), "state": "AVAILABLE", "status": ok} for v in model.versions
                ]
            }
        if verb == "/metadata":
            signature = {"inputs": model.inputs, "outputs": model.outputs, "method_name": "tensorflow/serving/predict"}
            spec = {"name": name, "signature_name": "", "version": str(answering)}
            signatures = {"signature_def": {"serving_default": signature}}
            return 200, {"model_spec": spec, "metadata": {"signature_def": signatures}}
        if model.answer is not None:
            return 200, {"outputs": model.answer}
        images = [base64.b64decode(each["b64"]) for each in body["inputs"]["image_bytes"]]
        if not all(image.startswith((b"PNG", b"\x89PNG")) for image in images):
            return 400, {"error": "Unknown image file format. One of JPEG, PNG, GIF, BMP required.\n\t [[{{node x}}]]"}
        return 200, {"outputs": {"classes": [LABELS] * len(images), "scores": [SCORES] * len(images)}}
