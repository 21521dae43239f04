"""Replay of the requests stored in a SavedModel through the model server, over gRPC and REST."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from serving.config import ServerConfig
from serving.errors import ServingError
from serving.manager.model_config import ModelConfig
from serving.replay.saved_model import ReplayError, compare, stored_requests
from serving.server import FREE_PORT, Addresses, ModelServer, run_server

_MODEL = "candidate"


def replay_through_server(model_folder: str) -> int:
    """Serves a model on free ports of this host, and replays all stored requests over gRPC and the first over REST.

    Must be called on the main thread, on which the server's event loop runs.

    Args:
        model_folder: Folder of a SavedModel with PredictLog records in its `serving.saved_model_files.WARMUP_FILE`.

    Returns:
        Number of replayed requests.

    Raises:
        ReplayError: The server does not start with the model, or a response differs from the stored one.
    """
    counts: list[int] = []
    failures: list[Exception] = []
    with TemporaryDirectory() as base:
        Path(base, "1").symlink_to(Path(model_folder).resolve(), target_is_directory=True)
        # Warm-up would run the same requests a third time, and retrying a failed load would fail again.
        config = ServerConfig(
            port=FREE_PORT, rest_api_port=FREE_PORT, enable_model_warmup=False, max_num_load_retries=0
        )

        def replay(server: ModelServer, addresses: Addresses) -> None:
            try:
                counts.append(_over_grpc(str(addresses.grpc), model_folder))
                _over_rest(str(addresses.rest), model_folder)
            except Exception as error:  # raised again on the main thread
                failures.append(error)
            finally:
                server.end()

        def ready(server: ModelServer, addresses: Addresses) -> None:
            threading.Thread(target=replay, args=(server, addresses), daemon=True).start()

        try:
            run_server(config, ready, [ModelConfig(_MODEL, base)])
        except ServingError as error:
            raise ReplayError(f"the model server cannot serve {model_folder}: {error.message}") from error
    if failures:
        raise ReplayError(f"through the model server: {failures[0]}") from failures[0]
    return counts[0]


def _over_grpc(address: str, model_folder: str) -> int:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    logs = list(stored_requests(model_folder))
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for log in logs:
            request = type(log.request).FromString(log.request.SerializeToString())
            request.model_spec.name = _MODEL
            request.model_spec.ClearField("version")
            try:
                response = stub.Predict(request, timeout=60)
            except grpc.RpcError as error:
                raise ReplayError(f"{request.model_spec.signature_name}: {error.details()}") from error
            received = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
            compare(request.model_spec.signature_name, log, received)
    return len(logs)


def _over_rest(address: str, model_folder: str) -> None:
    import tensorflow as tf

    from serving.client import ModelClient

    log = next(stored_requests(model_folder))
    signature = log.request.model_spec.signature_name
    inputs = {name: tf.make_ndarray(value) for name, value in log.request.inputs.items()}
    with ModelClient(address, model=_MODEL, retries=0) as client:
        outputs = client.predict(inputs, signature_name=signature)
    expected = {name: tf.make_ndarray(value) for name, value in log.response.outputs.items()}
    compare(signature, log, {name: _array(value, expected[name].dtype) for name, value in outputs.items()})


def _array(value: object, dtype: np.dtype) -> np.ndarray:
    if dtype.kind != "O":
        return np.asarray(value, dtype)
    texts = np.asarray(value, object)
    return np.array([text.encode() if isinstance(text, str) else text for text in texts.flat], object).reshape(
        texts.shape
    )
