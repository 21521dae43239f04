"""Fakes for tests of the REST API: inference that echoes its inputs, and a client without a network."""

import asyncio
import contextlib
import gzip
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from serving.admission.admission_control import AdmissionControl
from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.inference import Classification
from serving.manager.version_status import State, VersionStatus
from serving.metrics import Metrics
from serving.rest.api import RestApi
from serving.signature import Signature, TensorSpec

ECHOED = ("float", "double", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool", "string", "half")
DTYPES = {"float": "float32", "double": "float64", "string": "object", "half": "float16"}


def spec(alias, type_name):
    return TensorSpec(alias, f"{alias}:0", np.dtype(DTYPES.get(type_name, type_name)), 0, type_name, None)


def signature(name, inputs, outputs):
    """A signature of aliases and names of types."""
    return Signature(
        name,
        "tensorflow/serving/predict",
        {alias: spec(alias, kind) for alias, kind in inputs.items()},
        {alias: spec(alias, kind) for alias, kind in outputs.items()},
    )


SIGNATURES = [
    signature("serving_default", {"x": "float"}, {"y": "float"}),
    signature("two", {"a": "float", "b": "string"}, {"a": "float", "b": "string"}),
    signature("bytes", {"x": "string"}, {"x_bytes": "string"}),
    *(signature(kind, {"x": kind}, {"x_out": kind}) for kind in ECHOED),
]


@dataclass
class Servable:
    signatures: dict = field(default_factory=lambda: {each.name: each for each in SIGNATURES})

    def signature(self, name):
        return self.signatures.get(name)


@dataclass
class Handle:
    name: str
    version: int
    servable: Servable = field(default_factory=Servable)


class Models:
    """The model "m" in version 3, and "a/b c"; version 2 failed to load."""

    def acquire(self, asked):
        return self._held(asked)

    @contextlib.contextmanager
    def _held(self, asked):
        if asked.version_label not in (None, "stable"):
            raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {asked.version_label}")
        if asked.name not in ("m", "a/b c") or asked.version not in (None, 3):
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")
        yield Handle(asked.name, 3)

    def statuses(self, name, version=None):
        if name != "m":
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        rows = [VersionStatus(3, State.AVAILABLE), VersionStatus(2, State.END, Code.NOT_FOUND, "gone")]
        found = [row for row in rows if version in (None, row.version)]
        if not found:
            raise ServingError(Code.NOT_FOUND, f"Could not find version {version} of model {name}")
        return found


class Inference:
    """Inference that returns the inputs of every request.

    Args:
        before: Function awaited before every response.
    """

    def __init__(self, before: Callable | None = None):
        self.models = Models()
        self.before = before
        self.received = []

    def acquire(self, asked):
        return self.models.acquire(asked)

    async def predict(self, held, signature, inputs):
        if self.before is not None:
            await self.before()
        self.received.append((signature.name, inputs))
        return dict(zip(signature.outputs, inputs.values(), strict=True))

    async def classify(self, held, signature, examples):
        self.received.append((signature.name, examples))
        return Classification(None, np.arange(len(examples), dtype=np.float32)[:, None])

    async def regress(self, held, signature, examples):
        self.received.append((signature.name, examples))
        return np.arange(len(examples), dtype=np.float32)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        assert self.status != 200, self.body
        assert list(self.json) == ["error"]
        return self.json["error"]


class Client:
    """Client of a `RestApi` in this process.

    Args:
        before: Function awaited before every response to `predict`.
        max_concurrent: Most requests in progress.
        settings: Fields of `ServerConfig`.
    """

    def __init__(self, before: Callable | None = None, max_concurrent: int = 1000, **settings: object):
        self.inference, self.metrics = Inference(before), Metrics()
        self.admission = AdmissionControl(self.metrics, max_concurrent)
        self.api = RestApi(self.inference, self.admission, ServerConfig(**settings), self.metrics)

    async def send(self, method, target, body=b"", headers=(), chunk=None):
        """Sends a request as an ASGI server does, in chunks of a size; returns None if there is no response."""
        path, _, query = target.encode("latin-1").partition(b"?")
        size = chunk or max(len(body), 1)
        chunks = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
        messages = [
            {"type": "http.request", "body": part, "more_body": i < len(chunks) - 1} for i, part in enumerate(chunks)
        ]
        sent = []

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def answer(message):
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path.decode("utf-8", "replace"), "raw_path": path}
        scope |= {"query_string": query, "headers": [(name.encode(), value.encode()) for name, value in headers]}
        await self.api(scope, receive, answer)
        if not sent:
            return None
        start, end = sent
        assert end["body"] == b"" or start["status"] != 204
        fields = {name.decode(): value.decode() for name, value in start["headers"]}
        assert fields["content-length"] == str(len(end["body"]))
        return Reply(start["status"], fields, end["body"])

    def ask(self, method, target, body=b"", headers=(), chunk=None):
        return asyncio.run(self.send(method, target, body, headers, chunk))

    def post(self, document, target="/v1/models/m:predict", **more):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", target, body, **more)

    def get(self, target):
        return self.ask("GET", target)


def zipped(document):
    return gzip.compress(json.dumps(document).encode())


def same_number(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))
