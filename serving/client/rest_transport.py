"""A client's REST side: TensorFlow Serving's JSON over HTTP, with retries."""

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
    CERTIFICATE_HINT,
    ModelClientError,
    ServerTimeoutError,
    ServerUnreachableError,
    UnexpectedAnswerError,
    refusal,
)
from serving.client.settings import ClientSettings
from serving.errors import Code
from serving.model_spec import ModelSpec

MODELS_PATH = "/models.json"
# Worth another try: overloaded, shutting down, a proxy whose server is being replaced, out of time.
_RETRIED = (429, 502, 503, 504)
_FIRST_PAUSE_SECONDS, _JITTER_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 0.25, 5.0
_CODES = {code.http: code for code in reversed(Code)}  # of several with one status, the first
_CODES |= {400: Code.INVALID_ARGUMENT, 409: Code.ABORTED, 413: Code.INVALID_ARGUMENT}
_CODES |= {500: Code.INTERNAL, 502: Code.UNAVAILABLE}


class RestTransport:
    """Asks a server over HTTP or HTTPS. Thread-safe.

    Args:
        address: Such as "http://localhost:8501", without a path.
        settings: Timeouts, retries, token, certificates.
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
            # Inference changes nothing, so a POST is as safe to repeat as a GET.
            retries=urllib3.Retry(
                total=settings.retries,
                redirect=False,
                status_forcelist=_RETRIED,
                allowed_methods=None,
                backoff_factor=_FIRST_PAUSE_SECONDS,
                backoff_jitter=_JITTER_SECONDS,
                backoff_max=_LONGEST_PAUSE_SECONDS,
                raise_on_status=False,
                respect_retry_after_header=False,  # it may ask for hours
            ),
            **{name: value for name, value in tls.items() if value},  # type: ignore[arg-type]
        )

    def predict(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
        """Runs a signature in column format.

        Args:
            spec: Which model.
            inputs: Nested lists, numbers, texts, bytes or arrays by name.

        Returns:
            Values by name, or the value alone where the signature has one output.
        """
        body = {"signature_name": spec.signature_name, "inputs": inputs}
        if not spec.signature_name:
            del body["signature_name"]
        said = self._ask("POST", f"{_path(spec)}:predict", json.dumps(body, default=_plain).encode())
        try:
            return _with_bytes(said["outputs"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected('its answer has no "outputs"') from error

    def status(self, spec: ModelSpec) -> Any:
        """The status of a model's versions, as JSON."""
        return self._ask("GET", _path(spec))

    def metadata(self, spec: ModelSpec) -> Any:
        """The signatures of a model, as JSON."""
        return self._ask("GET", f"{_path(spec)}/metadata")

    def models(self) -> Any:
        """The models of a `vision-tfx serve`, as JSON; TensorFlow Serving cannot say."""
        return self._ask("GET", MODELS_PATH)

    def close(self) -> None:
        """Closes all connections."""
        self._pools.clear()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            answer = self._pools.request(method, self.address + path, body=body, redirect=False)
        except HTTPError as error:
            raise self._no_answer(error) from error
        try:
            said = json.loads(answer.data) if answer.data else {}
        except ValueError as error:
            raise self._unexpected(f"it answers {answer.status} without JSON") from error
        if answer.status == 200:
            return said
        if answer.status not in _CODES:
            raise self._unexpected(f"it answers with status {answer.status}")
        reason = said.get("error") if isinstance(said, dict) else None
        raise refusal(self.address, _CODES[answer.status], str(reason or f"status {answer.status} without a reason"))

    def _no_answer(self, error: HTTPError) -> ModelClientError:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(reason, ReadTimeoutError):
            return ServerTimeoutError(
                f"{self.address} did not answer in time; send smaller batches, or allow it a longer timeout"
            )
        if isinstance(reason, SSLError):
            return ServerUnreachableError(
                f"no secure connection to {self.address}: {reason.args[0]}; check https against http, and the file of "
                "its certificate authority"
            )
        why = "no connection in time" if isinstance(reason, ConnectTimeoutError) else str(reason)
        cause = reason.__cause__
        if isinstance(reason, NewConnectionError) and isinstance(cause, OSError) and cause.strerror:
            why = cause.strerror
        elif isinstance(reason.args[-1:], tuple) and reason.args and isinstance(reason.args[-1], OSError):
            why = reason.args[-1].strerror or str(reason.args[-1])
        return ServerUnreachableError(
            f"no model server answers at {self.address}: {why.rstrip('.')}; start one (`vision-tfx serve`), or give "
            f"another address{CERTIFICATE_HINT if self.address.startswith('https') else ''}"
        )

    def _unexpected(self, what: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"{self.address} is no model server with TensorFlow Serving's REST API: {what}; give a base URL such as "
            "http://HOST:8501"
        )


def _path(spec: ModelSpec) -> str:
    path = f"/v1/models/{quote(spec.name, safe='')}"
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    return path if spec.version_label is None else f"{path}/labels/{quote(spec.version_label, safe='')}"


def _plain(value: Any) -> Any:
    """What `json` asks for the values that it does not know: bytes, and arrays of any library."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"an input cannot be of {type(value).__name__}; use numbers, texts, bytes, lists or arrays")


def _with_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"b64"} and isinstance(value["b64"], str):
            return base64.b64decode(value["b64"])
        return {name: _with_bytes(each) for name, each in value.items()}
    # Only strings can hide bytes, and a list of numbers is long.
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return [_with_bytes(each) for each in value]
    return value
