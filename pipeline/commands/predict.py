"""`vision-tfx predict IMAGE...`: what the newest pushed model, or the model of a server, says of images."""

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.errors import UsageError, VisionTfxError
from pipeline.cli import Parser, add_home, complain
from pipeline.home import Home
from pipeline.pushed_models.answers import as_csv, as_json, as_text, read_images
from pipeline.pushed_models.pushed_model import AnsweringModel, newest_model
from pipeline.streams import quiet
from serving.local import LocalModel, Prediction


def main(arguments: Sequence[str]) -> int:
    """Answers every image that can be answered."""
    parser = Parser(
        prog="vision-tfx predict",
        description="What the newest pushed model says of images: the five best labels of a classifier, the squared "
        "error of an autoencoder, the log-probability of a density.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, GIF or BMP")
    parser.add_argument("--model", metavar="NAME", help="which model; default: the one pushed last")
    add_home(parser)
    server = parser.add_argument_group("from a model server, vision-tfx serve or TensorFlow Serving")
    server.add_argument(
        "--server", metavar="URL", help="http://HOST:8501, https://..., grpc://HOST:8500 or grpcs://..."
    )
    server.add_argument("--label", metavar="LABEL", help="which version, such as canary; default: the newest")
    server.add_argument("--bearer-token-file", metavar="FILE", help="file whose only line is the server's bearer token")
    server.add_argument("--ca-file", metavar="FILE", help="PEM file of the certificate authority to trust")
    server.add_argument(
        "--client-certificate", nargs=2, metavar=("FILE", "KEY"), help="PEM files, for servers that want a certificate"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object")
    form.add_argument(
        "--csv",
        dest="form",
        action="store_const",
        const="csv",
        help="one row per label or image",
    )
    given = parser.parse_args(arguments)
    if given.server is not None:
        return _answer_from_server(given)
    for option in ("label", "bearer_token_file", "ca_file", "client_certificate"):
        if getattr(given, option) is not None:
            parser.error(f"--{option.replace('_', '-')} needs --server URL")
    return answer(given.images, home=given.home, model=given.model, form=given.form or "text")


def answer(paths: Sequence[str], *, home: str, model: str | None = None, form: str = "text") -> int:
    """Prints the answers of the newest pushed model.

    Args:
        paths: Images.
        home: The home folder.
        model: Name of the model; none means the one pushed last.
        form: "text", "json" or "csv".

    Returns:
        0, or 2 when an image could not be read, or 1 when the model could not decode one.
    """
    pushed = newest_model(Home(Path(home).expanduser()), model)
    images, unread = read_images(paths)
    predictions, undecoded = _predict(pushed.folder, images) if images else ({}, {})
    return _write(pushed, predictions, unread, undecoded, form)


def _answer_from_server(given: argparse.Namespace) -> int:
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
    """Prints answers and errors in one of the forms; returns the exit code."""
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
    # In a process that has TensorFlow already, there is no start-up log to drop and nothing to wait for.
    with contextlib.nullcontext() if "tensorflow" in sys.modules else quiet("Loading TensorFlow"):
        try:
            model = LocalModel(folder)
        except OSError as error:
            raise VisionTfxError(f"the model in {folder} cannot be loaded: {error}; run the pipeline again") from error
        answers = dict(zip(images, model.predict(list(images.values())), strict=True))
    predictions = {path: found for path, found in answers.items() if found is not None}
    refused = {path: f"{path} is no JPEG, PNG, GIF or BMP image" for path in answers if path not in predictions}
    return predictions, refused
