"""`vision-tfx predict IMAGE...`: prints the answers of the newest pushed model, or of a model server, for images."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsonargparse import Namespace

from components.errors import UsageError, VisionTfxError
from pipeline.cli import complain
from pipeline.home import Home
from pipeline.options.command_line import CommandLine
from pipeline.options.keys import as_option
from pipeline.pushed_models.answers import as_csv, as_json, as_text, read_images
from pipeline.pushed_models.pushed_model import AnsweringModel, newest_model
from pipeline.streams import quiet
from serving.local import LocalModel, Prediction


def main(arguments: Sequence[str]) -> int:
    """Answers every image that can be answered, and reports the others."""
    line = _command_line()
    given = line.read(arguments)
    if given.server is not None:
        return _answer_from_server(given)
    for option in ("label", "bearer_token_file", "ca_file", "client_certificate"):
        if given[option] is not None:
            line.fail(f"{as_option(option)} requires --server URL")
    return answer(given.images, home=given.home, model=given.model, form=given.form or "text")


def _command_line() -> CommandLine:
    line = CommandLine(
        "predict",
        "Prints the answers of the newest pushed model for images: the five best labels of a classifier, the squared "
        "error of an autoencoder, the log-probability of a density.",
    )
    line.add("images", "JPEG, PNG, GIF or BMP file.", nargs="+", metavar="IMAGE")
    line.add("--model", "Name of the model; by default the one pushed last.", metavar="NAME")
    line.add_home()
    server = line.group("for a model server, vision-tfx serve or TensorFlow Serving")
    line.add(
        "--server", "Address: http://HOST:8501, https://..., grpc://HOST:8500 or grpcs://...", to=server, metavar="URL"
    )
    line.add(
        "--label", "Version label, such as canary; by default the newest version answers.", to=server, metavar="LABEL"
    )
    line.add("--bearer-token-file", "File whose only line is the server's bearer token.", to=server, metavar="FILE")
    line.add("--ca-file", "PEM file of the certificate authority to trust.", to=server, metavar="FILE")
    line.add(
        "--client-certificate", "PEM files of certificate and key, for servers that require a certificate.",
        to=server, nargs=2, metavar=("FILE", "KEY"),
    )  # fmt: skip
    form = line.exclusive_group()
    line.add("--json", "Print one JSON object.", to=form, dest="form", action="store_const", const="json")
    line.add("--csv", "Print CSV: one row per label or image.", to=form, dest="form", action="store_const", const="csv")
    return line


def answer(paths: Sequence[str], *, home: str, model: str | None = None, form: str = "text") -> int:
    """Prints the answers of the newest pushed model.

    Args:
        paths: Paths of the images.
        home: Home folder.
        model: Name of the model; None for the one pushed last.
        form: Form of the output: "text", "json" or "csv".

    Returns:
        The exit code: 0, or 2 if an image could not be read, or 1 if the model could not decode one.
    """
    pushed = newest_model(Home(Path(home).expanduser()), model)
    images, unread = read_images(paths)
    predictions, undecoded = _predict(pushed.folder, images) if images else ({}, {})
    return _write(pushed, predictions, unread, undecoded, form)


def _answer_from_server(given: Namespace) -> int:
    from pipeline.pushed_models.remote import connect, predict

    with connect(
        given.server,
        token_file=given.bearer_token_file,
        ca_file=given.ca_file,
        client_certificate=given.client_certificate,
    ) as client:
        model, predictions, unread, refused = predict(client, given.model, given.label, given.images)
    return _write(model, predictions, unread, refused, given.form or "text")


def _write(
    model: AnsweringModel,
    predictions: Mapping[str, Prediction],
    unread: Mapping[str, str],
    undecoded: Mapping[str, str],
    form: str,
) -> int:
    """Prints answers and errors in one of the forms, and returns the exit code."""
    errors = {**unread, **undecoded}
    if form == "json":
        sys.stdout.write(as_json(model, predictions, errors))
    elif form == "csv":
        sys.stdout.write(as_csv(predictions))
    else:
        print(f"Answers of {model.name}, version {model.version}:")
        sys.stdout.write(as_text(predictions))
    sys.stdout.flush()
    for error in errors.values():
        complain(f"error: {error}")
    if unread:
        return UsageError.exit_code
    return VisionTfxError.exit_code if undecoded else 0


def _predict(folder: Path, images: dict[str, bytes]) -> tuple[dict[str, Prediction], dict[str, str]]:
    # A process that has loaded TensorFlow already neither waits for it nor has its start-up log to drop.
    with contextlib.nullcontext() if "tensorflow" in sys.modules else quiet("Loading TensorFlow"):
        try:
            model = LocalModel(folder)
        except OSError as error:
            raise VisionTfxError(f"the model in {folder} cannot be loaded: {error}; run the pipeline again") from error
        answers = dict(zip(images, model.predict(list(images.values())), strict=True))
    predictions = {path: found for path, found in answers.items() if found is not None}
    refused = {path: f"{path} is not a JPEG, PNG, GIF or BMP image" for path in answers if path not in predictions}
    return predictions, refused
