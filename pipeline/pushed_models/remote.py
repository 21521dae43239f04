"""Answers of a model server, in the same form as those of a model on disk."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from components.errors import UsageError, VisionTfxError
from pipeline.options.suggestions import did_you_mean, nearest
from pipeline.pushed_models.answers import read_images
from pipeline.pushed_models.pushed_model import AnsweringModel
from pipeline.streams import quiet
from serving.client import ModelClient
from serving.client.errors import InvalidRequestError, ModelClientError, NotFoundError, UnexpectedAnswerError
from serving.local import Prediction

MANY_IMAGES = 100  # images from which a progress bar is shown
_MOST_VERSIONS = 3  # versions to try if the server swaps them faster than it answers all images


def connect(
    address: str,
    *,
    token_file: str | None = None,
    ca_file: str | None = None,
    client_certificate: Sequence[str] | None = None,
) -> ModelClient:
    """Returns a client of a model server.

    Args:
        address: "http://HOST:PORT", "https://...", "grpc://..." or "grpcs://...".
        token_file: File whose only line is the bearer token; default, no token.
        ca_file: PEM file of the certificate authority to trust; default, those of the system.
        client_certificate: PEM files of certificate and key, for a server that requires them; default, none.

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
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise UsageError(f"cannot read {option} {file}: {reason}") from error


def predict(
    client: ModelClient, name: str | None, label: str | None, paths: Sequence[str]
) -> tuple[AnsweringModel, dict[str, Prediction], dict[str, str], dict[str, str]]:
    """Returns the answers of one version of a served model; a progress bar is shown for many images.

    Args:
        client: Client of the server.
        name: Name of the model; default, the model with the newest version, if the server lists its models.
        label: Label of the version, such as "canary"; default, the newest version.
        paths: Paths of the images.

    Returns:
        The model; its answers by path; the reason by path for each image that cannot be read; the reason by path for
        each image that the server refused.

    Raises:
        UsageError: The server has no such model.
        VisionTfxError: The server cannot be reached, or has no model available.
    """
    try:
        name = name or _newest(client)
        for _ in range(_MOST_VERSIONS):
            model = AnsweringModel(name, client.metadata(model=name, label=label).version)
            try:
                return model, *_predict(client, model, paths)
            except NotFoundError as error:  # unloaded meanwhile; all answers must come from one version
                gone = error
        raise gone
    except NotFoundError as error:
        raise UsageError(_unknown(client, name or "", error)) from error
    except ModelClientError as error:
        raise VisionTfxError(str(error)) from error


def _newest(client: ModelClient) -> str:
    """Returns the model pushed last: a version is the second of its push."""
    try:
        models = {name: versions for name, versions in client.models().items() if versions}
    except (UnexpectedAnswerError, NotFoundError, InvalidRequestError) as error:
        raise UsageError("this server does not list its models; name one with --model NAME") from error
    if not models:
        raise VisionTfxError("the server has no model available; try again after it has loaded one")
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
    console = Console(file=sys.stderr)  # stdout is for answers only
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=count < MANY_IMAGES or not console.is_terminal)
