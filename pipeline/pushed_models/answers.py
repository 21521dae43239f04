"""Images for a pushed model, and its answers as text, JSON and CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.evaluation.measures import SHOWN
from pipeline.pushed_models.pushed_model import AnsweringModel
from serving.local import Prediction


def read_images(paths: Sequence[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Reads image files.

    Args:
        paths: Paths of the images.

    Returns:
        The bytes by path, and for each image that cannot be read, the reason by path in one sentence.
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
            errors[path] = f"cannot read the image {path}: {error.strerror}"
    return images, errors


def as_text(predictions: Mapping[str, Prediction]) -> str:
    """Returns one line per image: labels with probabilities in percent, best first, or the metrics of other models.

    Args:
        predictions: Answers by path of the image.

    Example:
        >>> print(as_text({"7.png": Prediction(("7", "1"), (0.9, 0.05))}), end="")
        7.png   7 90.00%   1 5.00%
    """
    width = max(map(len, predictions), default=0)
    return "".join(f"{path:<{width}}   {'   '.join(_words(each))}\n" for path, each in predictions.items())


def _words(prediction: Prediction) -> list[str]:
    labels = [f"{label} {score:.2%}" for label, score in zip(prediction.classes, prediction.scores, strict=True)]
    numbers = prediction.numbers
    return labels + [measure.text(numbers[measure.name]) for measure in SHOWN if measure.name in numbers]


def as_json(model: AnsweringModel, predictions: Mapping[str, Prediction], errors: Mapping[str, str]) -> str:
    """Returns one JSON object: model, version, and for each image its classes and scores, its metrics, or its error.

    Args:
        model: The model that answered.
        predictions: Answers by path of the image.
        errors: Errors by path of the image.
    """
    answered = [{"image": path, **_fields(each)} for path, each in predictions.items()]
    refused = [{"image": path, "error": error} for path, error in errors.items()]
    whole = {"model": model.name, "version": model.version, "predictions": answered + refused}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _fields(prediction: Prediction) -> dict[str, object]:
    if not prediction.classes:
        return dict(prediction.numbers)
    return {"classes": list(prediction.classes), "scores": list(prediction.scores), **prediction.numbers}


def as_csv(predictions: Mapping[str, Prediction]) -> str:
    """Returns CSV: one row per image and label (image, rank, label, score), or one row per image with its metrics.

    Args:
        predictions: Answers by path of the image.
    """
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
