"""Client of model servers that speak TensorFlow Serving's protocol; importing it takes a tenth of a second."""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from serving.client.errors import InvalidRequestError, ModelClientError, UnexpectedAnswerError
from serving.client.images import Image, ImageAnswer, answer_batch, answer_in_order, batches, predictions_by_image
from serving.client.metadata import ModelMetadata, SignatureInfo, VersionState
from serving.client.settings import ClientSettings
from serving.client.transport import Transport, open_transport
from serving.local import Prediction
from serving.model_spec import ModelSpec
from serving.saved_model_files import DEFAULT_SIGNATURE


class ModelClient:
    """Client of a model server: `vision-tfx serve` or TensorFlow Serving. Thread-safe.

    Args:
        base_url: "http://HOST:PORT" or "https://..." for REST, which needs no TensorFlow; "grpc://HOST:PORT" or
            "grpcs://..." for gRPC, which needs the extra `serving`. Ignored if there is a `transport`.
        model: Name of the model for calls that name no other.
        version: Version of that model; None, without a label, means the newest available one.
        label: Version label, such as "canary"; None for no label. Not together with a version.
        timeout: Seconds after which one try is given up.
        connect_timeout: Seconds after which one attempt to connect is given up.
        retries: Number of further tries after a lost connection, a timeout or an overloaded server (429, 502, 503,
            504), with growing, random pauses.
        backoff: Seconds of the first pause between tries.
        token: Bearer token; None sends none.
        ca_file: PEM file of the certificate authority to trust; None means the system's authorities.
        client_certificate: PEM files of certificate and private key, for servers that require a client certificate.
        concurrency: Number of batches of images in flight at the same time.
        batch_bytes: Bytes of encoded images after which a batch ends.
        transport: Carrier of the requests; None opens the REST or gRPC transport that `base_url` names.

    Raises:
        ValueError: The URL has another form, a setting is out of range, or version and label are both given.
        ModelClientError: The URL names gRPC, which is not installed.

    Example:
        A server answers over the network; a transport of one's own answers here::

            with ModelClient("http://localhost:8501", model="digits-dbn") as client:
                print(client.classify_image("seven.png").classes[0])

        >>> class Sevens:
        ...     address = "memory"
        ...     def metadata(self, spec):
        ...         images = {"image_bytes": {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}}
        ...         signatures = {"signature_def": {"serving_default": {"inputs": images}}}
        ...         return {"model_spec": {"version": "3"}, "metadata": {"signature_def": signatures}}
        ...     def predict(self, spec, inputs):
        ...         rows = len(inputs["image_bytes"])
        ...         return {"classes": [["7", "1"]] * rows, "scores": [[0.9, 0.1]] * rows}
        >>> ModelClient(transport=Sevens(), model="digits-dbn").classify_image(b"a PNG file").classes
        ('7', '1')
    """

    def __init__(
        self,
        base_url: str = "",
        *,
        model: str = "default",
        version: int | None = None,
        label: str | None = None,
        timeout: float = ClientSettings.timeout,
        connect_timeout: float = ClientSettings.connect_timeout,
        retries: int = ClientSettings.retries,
        backoff: float = ClientSettings.backoff,
        token: str | None = None,
        ca_file: str | None = None,
        client_certificate: tuple[str, str] | None = None,
        concurrency: int = ClientSettings.concurrency,
        batch_bytes: int = ClientSettings.batch_bytes,
        transport: Transport | None = None,
    ) -> None:
        self._spec = _spec(model, version, label)
        self._settings = ClientSettings(
            timeout, connect_timeout, retries, backoff, token, ca_file, client_certificate, concurrency, batch_bytes
        )
        self._transport = transport or open_transport(base_url, self._settings)
        self._metadata: dict[ModelSpec, ModelMetadata] = {}

    def predict(
        self,
        inputs: Any,
        *,
        model: str | None = None,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = "",
    ) -> dict[str, Any]:
        """Runs a signature of any model.

        Args:
            inputs: Values by name of input: nested lists, numbers, strings, bytes or arrays, whose first axis is the
                batch if the model expects one. A value alone is accepted if the signature has one input.
            model: Name of the model; None means the client's.
            version: Version; None means the client's.
            label: Version label; None means the client's.
            signature_name: Name of the signature; empty means "serving_default".

        Returns:
            Nested lists by name of output. Strings are str, or bytes if the output's name ends in "_bytes".

        Raises:
            ModelClientError: There is no answer; the subclass states why.
        """
        spec = self._resolve(model, version, label, signature_name)
        try:
            if not isinstance(inputs, Mapping):
                inputs = {self._only(spec, "input"): inputs}
            outputs = self._transport.predict(spec, inputs)
        except InvalidRequestError:
            self._metadata.pop(spec, None)  # a new version may have another signature
            raise
        return outputs if isinstance(outputs, dict) else {self._only(spec, "output"): outputs}

    def classify_image(self, image: Image, **spec: Any) -> Prediction:
        """Returns the model's prediction for one image.

        Args:
            image: Encoded image, as bytes or as the path of its file: JPEG, PNG, GIF or BMP, as the model allows.
            **spec: `model`, `version`, `label` or `signature_name`, as in `predict`.

        Returns:
            The best labels with their scores; for other models, one number per output.

        Raises:
            ModelClientError: There is no answer; `InvalidRequestError` if the model cannot decode the image.
        """
        [answer] = self.classify_images([image], **spec)
        if answer.error is not None:
            raise answer.error
        return answer.prediction or Prediction()

    def classify_images(self, images: Iterable[Image], *, batch_size: int = 32, **spec: Any) -> Iterator[ImageAnswer]:
        """Yields the model's predictions for many images, in order, with several batches in flight.

        Args:
            images: Encoded images, as bytes or as paths; a file is read shortly before its batch is sent.
            batch_size: Largest number of images per request, at least 1; `batch_bytes` bounds the request, too.
            **spec: `model`, `version`, `label` or `signature_name`, as in `predict`.

        Yields:
            One answer per image. An image that cannot be read or decoded has an error and does not affect the others.

        Raises:
            ModelClientError: There is no answer, or the model does not accept images.
            ValueError: The batch size is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; use a value of at least 1")
        resolved = self._resolve(**spec)
        name = self._image_input(resolved)

        def predict(batch: list[bytes]) -> list[Prediction]:
            outputs = self.predict({name: batch}, **_arguments(resolved))
            return predictions_by_image(outputs, len(batch), self._transport.address)

        settings = self._settings
        grouped = batches(images, batch_size, settings.batch_bytes)
        yield from answer_in_order(lambda batch: answer_batch(batch, predict), grouped, settings.concurrency)

    def status(
        self, *, model: str | None = None, version: int | None = None, label: str | None = None
    ) -> list[VersionState]:
        """Returns the states of a model's versions, newest first.

        Raises:
            ModelClientError: There is no answer; `NotFoundError` if the server has no such model.
        """
        document = self._transport.status(self._resolve(model, version, label))
        try:
            states = [VersionState.from_json(each) for each in document["model_version_status"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unexpected("status") from error
        return sorted(states, key=lambda each: -each.version)

    def metadata(
        self, *, model: str | None = None, version: int | None = None, label: str | None = None
    ) -> ModelMetadata:
        """Returns the version that answers requests, with its signatures.

        Raises:
            ModelClientError: There is no answer; `NotFoundError` if no such version is available.
        """
        document = self._transport.metadata(self._resolve(model, version, label))
        try:
            return ModelMetadata.from_json(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unexpected("metadata document") from error

    def models(self) -> dict[str, list[int]]:
        """Returns the available versions of each of the server's models, newest first.

        Raises:
            ModelClientError: There is no answer. Only `vision-tfx serve` has a list of models, and only over REST.
        """
        document = self._transport.models()
        try:
            return {each["name"]: sorted(map(int, each["versions"]), reverse=True) for each in document["models"]}
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected("list of models") from error

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _resolve(
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
        metadata = self._metadata.get(spec) or self.metadata(
            model=spec.name, version=spec.version, label=spec.version_label
        )
        self._metadata[spec] = metadata
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name not in metadata.signatures:
            raise UnexpectedAnswerError(
                f"model {spec.name} at {self._transport.address} has no signature {name}, only "
                f"{', '.join(sorted(metadata.signatures))}; name one of these"
            )
        return metadata.signatures[name]

    def _only(self, spec: ModelSpec, kind: str) -> str:
        signature = self._signature(spec)
        names = list(signature.inputs if kind == "input" else signature.outputs)
        if len(names) != 1:
            raise UnexpectedAnswerError(
                f"model {spec.name} at {self._transport.address} has the {kind}s {', '.join(names)}; pass a dictionary "
                "by name"
            )
        return names[0]

    def _image_input(self, spec: ModelSpec) -> str:
        signature = self._signature(spec)
        if signature.image_input is None:
            inputs = ", ".join(f"{name} ({info.dtype})" for name, info in signature.inputs.items())
            raise UnexpectedAnswerError(
                f"model {spec.name} at {self._transport.address} has the input {inputs}, not encoded images; name "
                "another model or signature, or use `ModelClient.predict`"
            )
        return signature.image_input

    def _unexpected(self, document: str) -> ModelClientError:
        return UnexpectedAnswerError(
            f"{self._transport.address} sent a {document} that is not TensorFlow Serving's; check the address"
        )


def _spec(model: str, version: int | None, label: str | None, signature_name: str = "") -> ModelSpec:
    if version is not None and label is not None:
        raise ValueError(f"version {version} and label {label} exclude each other; give one of them")
    return ModelSpec(model, version, label, signature_name)


def _arguments(spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": spec.name,
        "version": spec.version,
        "label": spec.version_label,
        "signature_name": spec.signature_name,
    }
