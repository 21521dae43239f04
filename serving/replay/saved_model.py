"""Replay of the requests stored in a SavedModel, which shows whether the model works outside its trainer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.saved_model_files import WARMUP_FILE

# Largest difference between two processes on one host, whose kernels may differ in the last digits: absolute for
# numbers up to 1, such as probabilities, and relative for larger ones, such as log-probabilities in nats.
TOLERANCE = 1e-5


class ReplayError(Exception):
    """The model does not load, has no stored requests, or gives a response that differs from the stored one."""


def replay(model_folder: str) -> dict[str, int]:
    """Replays all stored requests and compares the outputs.

    Args:
        model_folder: Folder of a SavedModel with PredictLog records in its `WARMUP_FILE`.

    Returns:
        Number of replayed requests by signature.

    Raises:
        ReplayError: An output differs (the message names the signature, the output and the largest difference), or a
            signature has no stored request.
    """
    requests = list(stored_requests(model_folder))
    model = tf.saved_model.load(model_folder)
    counts = dict.fromkeys(model.signatures, 0)
    for log in requests:
        signature = log.request.model_spec.signature_name
        if signature not in model.signatures:
            raise ReplayError(f"{model_folder} has no signature {signature!r}, which a stored request names")
        outputs = model.signatures[signature](
            **{name: tf.constant(tf.make_ndarray(value)) for name, value in log.request.inputs.items()}
        )
        compare(signature, log, {name: value.numpy() for name, value in outputs.items()})
        counts[signature] += 1
    missing = [signature for signature, count in counts.items() if count == 0]
    if missing:
        raise ReplayError(f"{model_folder} has no stored request for the signature {missing[0]!r}")
    return counts


def stored_requests(model_folder: str) -> Iterator[Any]:
    """Yields the PredictLogs that a SavedModel stores, each a request and its response.

    Raises:
        ReplayError: The SavedModel has no file of them.
    """
    file = Path(model_folder) / WARMUP_FILE
    if not file.is_file():
        raise ReplayError(f"{model_folder} has no {WARMUP_FILE}; export the model with stored requests")
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record).predict_log


def compare(signature: str, log: Any, received: Mapping[str, np.ndarray]) -> None:
    """Compares a response with the stored one.

    Args:
        signature: Name of the signature, for errors.
        log: The PredictLog that holds the stored response.
        received: Outputs of the response, by name.

    Raises:
        ReplayError: An output is missing or differs.
    """
    expected = {name: tf.make_ndarray(value) for name, value in log.response.outputs.items()}
    for name in expected:
        if name not in received:
            raise ReplayError(f"{signature}: {name} is missing in the response")
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
    """Returns where the order of the classes does not depend on rounding: the score differs from both neighbours."""
    apart = -np.diff(scores, axis=-1) > 2 * TOLERANCE
    edge = np.ones((*scores.shape[:-1], 1), bool)
    return np.concatenate([edge, apart], -1) & np.concatenate([apart, ~edge], -1)
