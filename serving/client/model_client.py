"""A client of model servers that speak TensorFlow Serving's protocol. Importing it takes a tenth of a second.

from serving.client import ModelClient

with ModelClient("http://localhost:8501", model="digits-dbn") as client:
    print(client.classify_image("seven.png").classes[0])
"""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from serving.client.errors import InvalidRequestError, ModelClientError, UnexpectedAnswerError
from serving.client.images import Image, ImageAnswer, answered, batches, in_order, rows
from serving.client.metadata import ModelMetadata, SignatureInfo, VersionState
from serving.client.settings import ClientSettings
from serving.local import Prediction
from serving.model_spec import ModelSpec
from serving.saved_model_files import DEFAULT_SIGNATURE

_GRPC_PORT = 8500


class Transport(Protocol):
    """Carries requests; REST and gRPC answer alike."""

    address: str

    def predict(self, spec: ModelSpec, inputs: Mapping[str, Any]) -> Any:
        """Values by name; REST gives the value alone where the signature has one output."""

    def status(self, spec: ModelSpec) -> Any:
        """The status as JSON."""

    def metadata(self, spec: ModelSpec) -> Any:
        """The metadata as JSON."""

    def models(self) -> Any:
        """The list of models as JSON, where the server has one."""

    def close(self) -> None:
        """Closes the connections."""


class ModelClient:
    """Asks a model server, `vision-tfx serve` or TensorFlow Serving. Thread-safe.

    Args:
        base_url: "http://HOST:PORT" or "https://..." for REST, which needs no TensorFlow; "grpc://HOST:PORT" or
            "grpcs://..." for gRPC, which needs the extra `serving`.
        model: Name of the model, where a call does not say another.
        version: Its version; none, with no label either, means the newest.
        label: A version's label, such as "canary"; not together with a version.
        timeout: Seconds that one try may take.
        connect_timeout: Seconds to connect in.
        retries: Further tries after a lost connection, a timeout or an answer that says overloaded (429, 502, 503,
            504), with growing pauses and jitter.
        token: Bearer token.
        ca_file: PEM file of the certificate authority to trust; none means the system's.
        client_certificate: PEM files of certificate and key, for servers that want one.
        concurrency: Batches of images under way at the same time.

    Raises:
        ValueError: An address of another form, a setting out of range, a version and a label.
        ModelClientError: gRPC is asked for, and not installed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str = "default",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        retries: int = 3,
        token: str | None = None,
        ca_file: str | None = None,
        client_certificate: tuple[str, str] | None = None,
        concurrency: int = 4,
    ) -> None:
        self._spec = _spec(model, version, label)
        self._settings = ClientSettings(
            timeout, connect_timeout, retries, token, ca_file, client_certificate, concurrency
        )
        self._transport = _transport(base_url, self._settings)
        self._known: dict[ModelSpec, ModelMetadata] = {}

    def predict(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = "",
    ) -> dict[str, Any]:
        """Runs a signature, of any model.

        Args:
            inputs: Values by name of input, each with the batch as its first axis where the model wants one: nested
                lists, numbers, texts, bytes, arrays. A value alone where the signature has one input.
            model: Name; none means the client's.
            version: Version; none means the client's.
            label: Label; none means the client's.
            signature_name: Which signature; empty means "serving_default".

        Returns:
            Nested lists by name of output; texts as str, and as bytes where the name ends in "_bytes".

        Raises:
            ModelClientError: There is no answer; its subclass says why.
        """
        spec = self._asked(model, version, label, signature_name)
        try:
            if not isinstance(inputs, Mapping):
                inputs = {self._only(spec, "input"): inputs}
            outputs = self._transport.predict(spec, inputs)
        except InvalidRequestError:
            self._known.pop(spec, None)  # a new version may have another signature
            raise
        return outputs if isinstance(outputs, dict) else {self._only(spec, "output"): outputs}

    def classify_image(self, image: Image, **asked: Any) -> Prediction:
        """What the model says of one image.

        Args:
            image: An encoded file, as bytes or as its path: JPEG, PNG, GIF or BMP, as the model allows.
            **asked: `model`, `version`, `label` or `signature_name`, as in `predict`.

        Returns:
            The best labels with their scores, or the figures of other models.

        Raises:
            ModelClientError: There is no answer; `InvalidRequestError` if the model cannot decode the image.
        """
        [answer] = self.classify_images([image], **asked)
        if answer.error is not None:
            raise answer.error
        return answer.prediction or Prediction()

    def classify_images(self, images: Iterable[Image], *, batch_size: int = 32, **asked: Any) -> Iterator[ImageAnswer]:
        """What the model says of many images: in batches, several of them under way, answers in order.

        Args:
            images: Encoded files, as bytes or as their paths; read when their turn comes.
            batch_size: Images per request, at least 1; a request ends at 16 MiB too.
            **asked: `model`, `version`, `label` or `signature_name`, as in `predict`.

        Yields:
            One answer per image. An image that cannot be read or decoded has an error, and spoils no other.

        Raises:
            ModelClientError: The server cannot be asked, or the model takes no images.
            ValueError: A batch size below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        spec = self._asked(**asked)
        name = self._image_input(spec)

        def ask(batch: list[bytes]) -> list[Prediction]:
            return rows(self.predict({name: batch}, **_words(spec)), len(batch), self._transport.address)

        yield from in_order(lambda batch: answered(batch, ask), batches(images, batch_size), self._settings.concurrency)

    def status(
        self, *, model: str | None = None, version: int | None = None, label: str | None = None
    ) -> list[VersionState]:
        """What the server does with a model's versions, newest first.

        Raises:
            ModelClientError: There is no answer; `NotFoundError` if it has no such model.
        """
        said = self._transport.status(self._asked(model, version, label))
        try:
            states = [VersionState.from_json(each) for each in said["model_version_status"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._strange("status") from error
        return sorted(states, key=lambda each: -each.version)

    def metadata(
        self, *, model: str | None = None, version: int | None = None, label: str | None = None
    ) -> ModelMetadata:
        """The version that answers, and its signatures.

        Raises:
            ModelClientError: There is no answer; `NotFoundError` if no such version is available.
        """
        said = self._transport.metadata(self._asked(model, version, label))
        try:
            return ModelMetadata.from_json(said)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._strange("metadata") from error

    def models(self) -> dict[str, list[int]]:
        """The available versions of every model that the server has, newest first.

        Raises:
            ModelClientError: There is no answer. TensorFlow Serving gives none, nor does gRPC.
        """
        said = self._transport.models()
        try:
            return {each["name"]: sorted(map(int, each["versions"]), reverse=True) for each in said["models"]}
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange("list of models") from error

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _asked(
        self,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = "",
    ) -> ModelSpec:
        own = self._spec
        if model is None and version is None and label is None:
            version, label = own.version, own.version_label
        return _spec(model or own.name, version, label, signature_name)

    def _signature(self, spec: ModelSpec) -> SignatureInfo:
        known = self._known.get(spec) or self.metadata(model=spec.name, version=spec.version, label=spec.version_label)
        self._known[spec] = known
        wanted = spec.signature_name or DEFAULT_SIGNATURE
        if wanted not in known.signatures:
            raise UnexpectedAnswerError(
                f"model {spec.name} at {self._transport.address} has no signature {wanted}, only "
                f"{', '.join(sorted(known.signatures))}; name one of these"
            )
        return known.signatures[wanted]

    def _only(self, spec: ModelSpec, kind: str) -> str:
        signature = self._signature(spec)
        names = list(signature.inputs if kind == "input" else signature.outputs)
        if len(names) != 1:
            raise UnexpectedAnswerError(
                f"model {spec.name} at {self._transport.address} has the {kind}s {', '.join(names)}; name them"
            )
        return names[0]

    def _image_input(self, spec: ModelSpec) -> str:
        signature = self._signature(spec)
        if signature.image_input is None:
            wanted = ", ".join(f"{name} ({info.dtype})" for name, info in signature.inputs.items())
            raise UnexpectedAnswerError(
                f"model {spec.name} at {self._transport.address} takes {wanted}, not encoded images; name another "
                "model or signature, or use `ModelClient.predict`"
            )
        return signature.image_input

    def _strange(self, what: str) -> ModelClientError:
        return UnexpectedAnswerError(
            f"{self._transport.address} sends a {what} that is not TensorFlow Serving's; check the address"
        )


def _spec(model: str, version: int | None, label: str | None, signature_name: str = "") -> ModelSpec:
    if version is not None and label is not None:
        raise ValueError(f"a version ({version}) and a label ({label}) cannot be asked for together; give one of them")
    return ModelSpec(model, version, label, signature_name)


def _words(spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": spec.name,
        "version": spec.version,
        "label": spec.version_label,
        "signature_name": spec.signature_name,
    }


def _transport(base_url: str, settings: ClientSettings) -> Transport:
    text = base_url if "://" in base_url else f"http://{base_url}"
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if host is None or url.scheme not in ("http", "https", "grpc", "grpcs") or url.query or url.username:
        raise ValueError(f"{base_url!r} is no address of a model server; one is http://HOST:8501 or grpc://HOST:8500")
    if ":" in host:
        host = f"[{host}]"
    if url.scheme.startswith("http"):
        from serving.client.rest_transport import RestTransport  # urllib3 is most of what importing a client costs

        # People copy the address with its path.
        path = url.path.split("/v1")[0].rstrip("/")
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
