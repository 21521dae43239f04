"""Client transport over REST: TensorFlow Serving's JSON over HTTP, with retries."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from serving.client.errors import (
    ModelClientError,
    ServerTimeoutError,
    ServerUnreachableError,
    UnexpectedAnswerError,
    refusal,
    unreachable,
)
from serving.client.settings import MAX_BACKOFF_SECONDS, ClientSettings
from serving.errors import Code
from serving.model_spec import ModelSpec

_MODELS_PATH = "/models.json"  # of `vision-tfx serve`
# Overloaded, shutting down, a proxy whose server is being replaced, timed out: the next try may succeed.
_RETRIED = (429, 502, 503, 504)
_JITTER = 2.5  # longest random lengthening of a pause, as a multiple of the first one
_CODES = {code.http: code for code in reversed(Code)}  # the first code of each status wins
_CODES |= {400: Code.INVALID_ARGUMENT, 409: Code.ABORTED, 413: Code.INVALID_ARGUMENT}
_CODES |= {500: Code.INTERNAL, 502: Code.UNAVAILABLE}


class RestTransport:
    """`Transport` over HTTP or HTTPS. Thread-safe.

    Args:
        address: URL of the server, such as "http://localhost:8501", without the API's path.
        settings: Timeouts, retries, credentials.

    Example:
        >>> from serving.client.settings import ClientSettings
        >>> RestTransport("http://localhost:8501", ClientSettings(retries=0)).address
        'http://localhost:8501'
    """

    def __init__(self, address: str, settings: ClientSettings) -> None:
        self.address = address
        token = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        certificate, key = settings.client_certificate or (None, None)
        tls = {"ca_certs": settings.ca_file, "cert_file": certificate, "key_file": key}
        self._pools = urllib3.PoolManager(
            maxsize=settings.concurrency,
            headers={"Content-Type": "application/json", "Accept-Encoding": "gzip", **token},
            timeout=urllib3.Timeout(connect=settings.connect_timeout, read=settings.timeout),
            retries=urllib3.Retry(
                total=settings.retries,
                redirect=False,
                status_forcelist=_RETRIED,
                allowed_methods=None,  # inference changes nothing, so a POST may be repeated like a GET
                backoff_factor=settings.backoff,
                backoff_jitter=_JITTER * settings.backoff,
                backoff_max=MAX_BACKOFF_SECONDS,
                raise_on_status=False,
                respect_retry_after_header=False,  # a server could demand a pause of hours
            ),
            **{name: value for name, value in tls.items() if value},  # type: ignore[arg-type]
        )

    def predict(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
        """Runs a signature in TensorFlow Serving's column format; see `Transport.predict`."""
        body = {"signature_name": spec.signature_name, "inputs": inputs}
        if not spec.signature_name:
            del body["signature_name"]
        document = self._request("POST", f"{_path(spec)}:predict", json.dumps(body, default=_plain).encode())
        try:
            return _with_bytes(document["outputs"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected('the answer has no "outputs"') from error

    def status(self, spec: ModelSpec) -> Any:
        """Returns the status of a model's versions; see `Transport.status`."""
        return self._request("GET", _path(spec))

    def metadata(self, spec: ModelSpec) -> Any:
        """Returns the signatures of a version; see `Transport.metadata`."""
        return self._request("GET", f"{_path(spec)}/metadata")

    def models(self) -> Any:
        """Returns the models of a `vision-tfx serve`; TensorFlow Serving has no such list."""
        return self._request("GET", _MODELS_PATH)

    def close(self) -> None:
        """Closes all connections."""
        self._pools.clear()

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            answer = self._pools.request(method, self.address + path, body=body, redirect=False)
        except HTTPError as error:
            raise self._connection_error(error) from error
        try:
            document = json.loads(answer.data) if answer.data else {}
        except ValueError as error:
            raise self._unexpected(f"status {answer.status} without JSON") from error
        if answer.status == 200:
            return document
        if answer.status not in _CODES:
            raise self._unexpected(f"status {answer.status}")
        reason = document.get("error") if isinstance(document, dict) else None
        raise refusal(self.address, _CODES[answer.status], str(reason or f"status {answer.status} without a reason"))

    def _connection_error(self, error: HTTPError) -> ModelClientError:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(reason, ReadTimeoutError):
            return ServerTimeoutError(
                f"{self.address} did not answer in time; send smaller batches, or allow a longer timeout"
            )
        if isinstance(reason, SSLError):
            return ServerUnreachableError(
                f"no secure connection to {self.address}: {reason.args[0]}; check https against http, and the file of "
                "the certificate authority"
            )
        return unreachable(self.address, _cause(reason), secure=self.address.startswith("https"))

    def _unexpected(self, answer: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"{self.address} is not a model server with TensorFlow Serving's REST API: {answer}; give a base URL such "
            "as http://HOST:8501"
        )


def _cause(error: Exception) -> str:
    """Shortens urllib3's message, which repeats the host and the Python object, to the operating system's words."""
    # A refused connection carries the OSError as its cause, a lost one as its last argument.
    for inner in (error.__cause__ if isinstance(error, NewConnectionError) else None, *error.args[-1:]):
        if isinstance(inner, OSError):
            return inner.strerror or str(inner)
    return "no connection in time" if isinstance(error, ConnectTimeoutError) else str(error)


def _path(spec: ModelSpec) -> str:
    path = f"/v1/models/{quote(spec.name, safe='')}"
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    return path if spec.version_label is None else f"{path}/labels/{quote(spec.version_label, safe='')}"


def _plain(value: Any) -> Any:
    """Converts values that `json` cannot write: bytes, and arrays of any library."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"an input cannot be of type {type(value).__name__}; use numbers, strings, bytes, lists or arrays")


def _with_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"b64"} and isinstance(value["b64"], str):
            return base64.b64decode(value["b64"])
        return {name: _with_bytes(each) for name, each in value.items()}
    # Only nested values can contain bytes; a list of numbers may be long.
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return [_with_bytes(each) for each in value]
    return value
