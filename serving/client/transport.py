"""Interface between a client and the protocol that carries its requests."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from serving.client.errors import ModelClientError
from serving.client.settings import ClientSettings
from serving.model_spec import ModelSpec

_GRPC_PORT = 8500


class Transport(Protocol):
    """Carrier of a `ModelClient`'s requests over one protocol.

    `RestTransport` and `GrpcTransport` implement it for the network. An implementation in memory, given to
    `ModelClient(transport=...)`, tests code that uses a client without a server, as `httpx.MockTransport` does.

    Requests and answers have the form of TensorFlow Serving's REST API. Every method may be called from several threads
    at the same time, and raises `ModelClientError` when there is no answer.

    Attributes:
        address: Name of the server in error messages, normally its URL.

    Example:
        >>> from serving.client import ModelClient
        >>> class HalfPlusTwo:
        ...     address = "memory"
        ...     def predict(self, spec, inputs):
        ...         return {"y": [x / 2 + 2 for x in inputs["x"]]}
        >>> ModelClient(transport=HalfPlusTwo()).predict({"x": [1.0, 2.0]})
        {'y': [2.5, 3.0]}
    """

    address: str

    def predict(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
        """Runs a signature.

        Args:
            spec: Model, version or label, and signature.
            inputs: Nested lists, numbers, strings, bytes or arrays by name of input.

        Returns:
            Nested lists by name of output; a transport may return the value alone where the signature has one output.
            Strings are str, except outputs whose name ends in "_bytes".
        """

    def status(self, spec: ModelSpec) -> Any:
        """Returns the status of a model's versions: the JSON document of `GET /v1/models/NAME`."""

    def metadata(self, spec: ModelSpec) -> Any:
        """Returns the signatures of a version: the JSON document of `GET /v1/models/NAME/metadata`."""

    def models(self) -> Any:
        """Returns the list of models: `{"models": [{"name": "digits", "versions": [1, 2]}]}`."""

    def close(self) -> None:
        """Closes the connections."""


def open_transport(base_url: str, settings: ClientSettings) -> Transport:
    """Opens the transport that a URL names; no connection is made yet.

    Args:
        base_url: "http://", "https://", "grpc://" or "grpcs://" with host and port; without a scheme, HTTP.
        settings: Timeouts, retries, credentials.

    Raises:
        ValueError: The URL has another form.
        ModelClientError: The URL names gRPC, which is not installed.
    """
    url, host, port = _split(base_url)
    if url.scheme.startswith("http"):
        from serving.client.rest_transport import RestTransport  # urllib3 is most of the time that the import takes

        path = url.path.split("/v1")[0].rstrip("/")  # users copy URLs together with the API's path
        return RestTransport(f"{url.scheme}://{host}{f':{port}' if port else ''}{path}", settings)
    try:
        import grpc  # noqa: F401

        from serving.client.grpc_transport import GrpcTransport
    except ImportError as error:
        raise ModelClientError(
            f"{base_url} needs gRPC, which is not installed ({error.name}); install vision-tfx[serving], or use REST: "
            f"http://{host}:8501"
        ) from error
    return GrpcTransport(f"{host}:{port or _GRPC_PORT}", url.scheme == "grpcs", settings)


def _split(base_url: str) -> tuple[SplitResult, str, int | None]:
    form = f"{base_url!r} is not the address of a model server; use a form such as http://HOST:8501 or grpc://HOST:8500"
    try:
        url = urlsplit(base_url if "://" in base_url else f"http://{base_url}")
        host, port = url.hostname, url.port
    except ValueError as error:  # the port is not a number, or a bracket is missing
        raise ValueError(form) from error
    if host is None or url.scheme not in ("http", "https", "grpc", "grpcs") or url.query or url.username:
        raise ValueError(form)
    return url, f"[{host}]" if ":" in host else host, port
