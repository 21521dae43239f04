"""Which pushed model answers, what it is shown, and how its answers are written."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import UsageError
from components.evaluation.measures import ALL
from components.export.publishing import versions
from pipeline.home import Home
from pipeline.options.fields import did_you_mean, nearest
from serving.local import Prediction


@dataclass(frozen=True)
class AnsweringModel:
    """One version of a model, wherever it is.

    Args:
        name: The model's name.
        version: Its version.
    """

    name: str
    version: int


@dataclass(frozen=True)
class PushedModel(AnsweringModel):
    """One version of a pushed model, on this machine.

    Args:
        name: The model's name.
        version: Its version.
        folder: Where its SavedModel lies.
    """

    folder: Path


def newest_model(home: Home, name: str | None = None) -> PushedModel:
    """The newest version of a model, or of all models where none is named.

    Raises:
        UsageError: Nothing of that name was pushed.
    """
    folders = sorted(home.serving.iterdir()) if home.serving.is_dir() else []
    newest = {folder.name: numbers[-1] for folder in folders if (numbers := versions(folder))}
    if not newest:
        raise UsageError(f"no model was pushed below {home.root} yet; `vision-tfx run` makes one, --home names another")
    if name is not None and name not in newest:
        listed = ", ".join(newest)
        meant = did_you_mean(nearest(name, newest))
        raise UsageError(f"there is no pushed model {name} in {home.serving}, only {listed}{meant}")
    # A version is the second it was pushed in, so the largest number is the newest.
    chosen = name or max(newest, key=lambda each: newest[each])
    return PushedModel(chosen, newest[chosen], home.serving / chosen / str(newest[chosen]))


def read_images(paths: Sequence[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Reads images.

    Returns:
        Bytes by path of those that could be read, and by path one sentence on each of the others.
    """
    images: dict[str, bytes] = {}
    errors: dict[str, str] = {}
    for path in paths:
        try:
            images[path] = Path(path).read_bytes()
        except FileNotFoundError:
            errors[path] = f"there is no image {path}"
        except IsADirectoryError:
            errors[path] = f"{path} is a folder; name the images in it, such as {path.rstrip('/')}/*.png"
        except OSError as error:
            errors[path] = f"the image {path} cannot be read: {error.strerror}"
    return images, errors


def as_text(predictions: Mapping[str, Prediction]) -> str:
    """One line per image: labels with their probability in percent, best first, or the figures of other models."""
    width = max(map(len, predictions), default=0)
    return "".join(f"{path:<{width}}   {'   '.join(_words(each))}\n" for path, each in predictions.items())


def _words(prediction: Prediction) -> list[str]:
    labels = zip(prediction.classes, prediction.scores, strict=True)
    said = [f"{label} {score:.2%}" for label, score in labels]
    figures = prediction.numbers
    for measure in ALL:
        if measure.name in figures:
            said.append(f"{measure.words} {figures[measure.name]:.2f}{measure.unit}")
        if measure.constant in figures:
            said.append(f"{measure.constant_words} {figures[measure.constant]:.2f}")
    return said


def as_json(model: AnsweringModel, predictions: Mapping[str, Prediction], errors: Mapping[str, str]) -> str:
    """One object: model, version, and per image its classes and scores or its figures, or its error."""
    answered = [{"image": path, **_fields(each)} for path, each in predictions.items()]
    refused = [{"image": path, "error": error} for path, error in errors.items()]
    whole = {"model": model.name, "version": model.version, "predictions": answered + refused}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _fields(prediction: Prediction) -> dict[str, object]:
    if not prediction.classes:
        return dict(prediction.numbers)
    return {"classes": list(prediction.classes), "scores": list(prediction.scores), **prediction.numbers}


def as_csv(predictions: Mapping[str, Prediction]) -> str:
    """One row per image and label: image, rank, label, score; or one row per image: image and its figures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = next(iter(predictions.values()), Prediction())
    if first.numbers and not first.classes:
        writer.writerow(("image", *first.numbers))
        writer.writerows((path, *each.numbers.values()) for path, each in predictions.items())
        return text.getvalue()
    writer.writerow(("image", "rank", "label", "score"))
    for path, prediction in predictions.items():
        for rank, (label, score) in enumerate(zip(prediction.classes, prediction.scores, strict=True), start=1):
            writer.writerow((path, rank, label, score))
    return text.getvalue()
