"""Answers of a model server, in the form that the answers of a model on disk have."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from components.errors import UsageError, VisionTfxError
from pipeline.options.fields import did_you_mean, nearest
from pipeline.pushed_models.answers import AnsweringModel, read_images
from pipeline.streams import quiet
from serving.client import ModelClient
from serving.client.errors import InvalidRequestError, ModelClientError, NotFoundError, UnexpectedAnswerError
from serving.local import Prediction

_MANY = 100  # images from which on a bar is shown
_MOST_VERSIONS = 3  # tried in turn, when a server swaps them faster than the images are answered


def connect(
    address: str,
    *,
    token_file: str | None = None,
    ca_file: str | None = None,
    client_certificate: Sequence[str] | None = None,
) -> ModelClient:
    """A client of a model server.

    Args:
        address: "http://HOST:PORT", "https://...", "grpc://..." or "grpcs://...".
        token_file: File whose only line is the bearer token.
        ca_file: PEM file of the certificate authority to trust.
        client_certificate: PEM files of certificate and key, for servers that want one.

    Raises:
        UsageError: The address has another form, or a file cannot be read.
        VisionTfxError: gRPC is not installed.
    """
    token = _read("--bearer-token-file", token_file)
    _read("--ca-file", ca_file)
    pair = None
    if client_certificate:
        certificate, key = pair = (client_certificate[0], client_certificate[1])
        _read("--client-certificate", certificate)
        _read("--client-certificate", key)
    quietly = quiet("Loading TensorFlow") if address.startswith("grpc") else contextlib.nullcontext()
    try:
        with quietly:
            return ModelClient(address, token=token, ca_file=ca_file, client_certificate=pair)
    except ValueError as error:
        raise UsageError(str(error)) from error
    except ModelClientError as error:
        raise VisionTfxError(str(error)) from error


def _read(option: str, file: str | None) -> str | None:
    try:
        return Path(file).read_text(encoding="utf-8").strip() if file else None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{option} {file} cannot be read: {reason}") from error


def predict(
    client: ModelClient, name: str | None, label: str | None, paths: Sequence[str]
) -> tuple[AnsweringModel, dict[str, Prediction], dict[str, str], dict[str, str]]:
    """What one version of a served model says of images; a bar shows how far it is when they are many.

    Args:
        client: Of the server.
        name: Of the model; none means the one with the newest version, if the server can say.
        label: Of the version; none means the newest.
        paths: Images.

    Returns:
        The model; answers by path; by path, one sentence on each image that cannot be read, and on each refused.

    Raises:
        UsageError: The server has no such model.
        VisionTfxError: The server cannot be asked.
    """
    try:
        name = name or _newest(client)
        for _ in range(_MOST_VERSIONS):
            model = AnsweringModel(name, client.metadata(model=name, label=label).version)
            try:
                return model, *_predict(client, model, paths)
            except NotFoundError as error:  # unloaded meanwhile: all answers shall be of one version
                gone = error
        raise gone
    except NotFoundError as error:
        raise UsageError(_unknown(client, name or "", error)) from error
    except ModelClientError as error:
        raise VisionTfxError(str(error)) from error


def _newest(client: ModelClient) -> str:
    """The model pushed last: a version is the second it was pushed in."""
    try:
        models = {name: versions for name, versions in client.models().items() if versions}
    except (UnexpectedAnswerError, NotFoundError, InvalidRequestError) as error:
        raise UsageError("this server does not say which models it has; name one with --model NAME") from error
    if not models:
        raise VisionTfxError("the server has no model available; try again when it has loaded one")
    return max(models, key=lambda each: models[each][0])


def _unknown(client: ModelClient, name: str, error: NotFoundError) -> str:
    try:
        models = client.models()
    except ModelClientError:
        return str(error)
    if name in models:
        return str(error)
    return f"the server has no model {name}, only {', '.join(models)}{did_you_mean(nearest(name, models))}"


def _predict(
    client: ModelClient, model: AnsweringModel, paths: Sequence[str]
) -> tuple[dict[str, Prediction], dict[str, str], dict[str, str]]:
    predictions: dict[str, Prediction] = {}
    unread: dict[str, str] = {}
    refused: dict[str, str] = {}
    readable: list[str] = []

    def contents() -> Iterator[bytes]:
        for path in dict.fromkeys(paths):
            images, errors = read_images([path])
            unread.update(errors)
            readable.extend(images)
            yield from images.values()

    with _progress(len(paths)) as progress:
        task = progress.add_task("images", total=len(paths))
        for index, answer in enumerate(client.classify_images(contents(), model=model.name, version=model.version)):
            path = readable[index]
            if answer.prediction is not None:
                predictions[path] = answer.prediction
            elif isinstance(answer.error, InvalidRequestError):
                refused[path] = f"the server refuses {path}: {answer.error.reason}"
            progress.update(task, completed=index + 1 + len(unread))
    return predictions, unread, refused


def _progress(count: int) -> Progress:
    console = Console(file=sys.stderr)  # stdout holds answers only
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=count < _MANY or not console.is_terminal)
