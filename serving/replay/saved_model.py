"""Replays the requests stored in a SavedModel and compares the answers: does the model work outside its trainer?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

REQUESTS = Path("assets.extra", "tf_serving_warmup_requests")
# Largest difference between two processes on one machine, where other kernels give other last digits: of a number up to
# 1, such as a probability, as it is; of a larger one, such as a log-probability in nats, relative to it.
TOLERANCE = 1e-5


class ReplayError(Exception):
    """The model does not load, lacks requests, or answers differently from what is stored."""


def replay(model_folder: str) -> dict[str, int]:
    """Replays all stored requests.

    Args:
        model_folder: a SavedModel with PredictLog records in `assets.extra/tf_serving_warmup_requests`.

    Returns:
        Requests replayed, by signature.

    Raises:
        ReplayError: naming the signature, the output and the largest difference.
    """
    requests = list(stored_requests(model_folder))
    model = tf.saved_model.load(model_folder)
    counts = dict.fromkeys(model.signatures, 0)
    for log in requests:
        signature = log.request.model_spec.signature_name
        if signature not in model.signatures:
            raise ReplayError(f"{model_folder} has no signature {signature!r}, which a stored request asks for")
        answer = model.signatures[signature](
            **{name: tf.constant(tf.make_ndarray(value)) for name, value in log.request.inputs.items()}
        )
        compare(signature, log, {name: value.numpy() for name, value in answer.items()})
        counts[signature] += 1
    missing = [signature for signature, count in counts.items() if count == 0]
    if missing:
        raise ReplayError(f"{model_folder} has no stored request for the signature {missing[0]!r}")
    return counts


def stored_requests(model_folder: str) -> Iterator[Any]:
    """The PredictLogs that a SavedModel stores: each a request and its answer.

    Raises:
        ReplayError: There are none.
    """
    file = Path(model_folder) / REQUESTS
    if not file.is_file():
        raise ReplayError(f"{model_folder} has no {REQUESTS}: without requests nothing can be replayed")
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record).predict_log


def compare(signature: str, log: Any, received: Mapping[str, np.ndarray]) -> None:
    """Compares an answer with the stored one.

    Args:
        signature: That was asked.
        log: A PredictLog.
        received: Arrays by name of output.

    Raises:
        ReplayError: They differ.
    """
    expected = {name: tf.make_ndarray(value) for name, value in log.response.outputs.items()}
    for name in expected:
        if name not in received:
            raise ReplayError(f"{signature}: {name} is missing in the answer")
        _compare(signature, name, expected, received[name])


def _compare(signature: str, name: str, outputs: dict[str, np.ndarray], received: np.ndarray) -> None:
    expected = outputs[name]
    if expected.shape != received.shape:
        raise ReplayError(f"{signature}: {name} has shape {received.shape}, the trainer's had {expected.shape}")
    if np.issubdtype(expected.dtype, np.floating):
        difference = np.abs(expected - received)
        excess = difference / np.maximum(np.abs(expected), 1)
        if not np.max(excess, initial=0.0) <= TOLERANCE:
            worst = difference.flat[np.argmax(excess)]
            raise ReplayError(f"{signature}: {name} differs from the trainer's by {worst:.2g}, above {TOLERANCE:g}")
        return
    different = expected != received
    if name == "classes" and "scores" in outputs:
        different &= _decided(outputs["scores"])
    if np.any(different):
        raise ReplayError(f"{signature}: {name} differs from the trainer's in {np.count_nonzero(different)} values")


def _decided(scores: np.ndarray) -> np.ndarray:
    """Where the order of the labels cannot be a matter of rounding: scores apart from both neighbours."""
    apart = -np.diff(scores, axis=-1) > 2 * TOLERANCE
    edge = np.ones((*scores.shape[:-1], 1), bool)
    return np.concatenate([edge, apart], -1) & np.concatenate([apart, ~edge], -1)
