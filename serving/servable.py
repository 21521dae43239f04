"""A SavedModel in memory, held as TensorFlow Serving holds it: one session and the signatures that run in it."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import Code, ServingError, invalid
from serving.saved_model_files import DEFAULT_SIGNATURE, INIT_SIGNATURE
from serving.signature import Signature

# Runs the operations of a graph on the calling thread: a call of a small model takes 10 us, where a hop to TensorFlow's
# pool takes 60 us and an eager signature 240 us. Large products still use all cores, through TensorFlow's own pool.
_ON_CALLING_THREAD = -1
# Requests choose their outputs, and each choice is prepared once; beyond this many choices all outputs are computed.
_MAX_PREPARED = 256


class Servable:
    """One loaded version of a model. Thread-safe.

    Args:
        folder: The SavedModel: a folder, or a URI that TensorFlow's file systems read.
        tags: Tags of the graph to load.
        intra_op_threads: Number of threads that one operation may use; 0 lets TensorFlow choose.

    Attributes:
        folder: The folder or URI, as given.
        signatures: Signatures by name.

    Raises:
        ServingError: The SavedModel does not exist, is not complete, or does not load.
    """

    def __init__(self, folder: str, tags: Sequence[str] = ("serve",), intra_op_threads: int = 0) -> None:
        import tensorflow as tf  # takes 5 to 12 s

        self.folder = os.fspath(folder)
        self._tf = tf
        self._callables: dict[tuple, Any] = {}
        self._preparing = threading.Lock()
        self._calls, self._call_ended = 0, threading.Condition()
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=intra_op_threads)
        config.gpu_options.allow_growth = True
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with self._session.graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self._session, list(tags), self.folder)
            self._session.graph.finalize()
        except Exception as error:
            self._session.close()
            raise self._load_error(error) from error
        self.signatures: Mapping[str, Signature] = {
            name: Signature.from_proto(name, proto)
            for name, proto in loaded.signature_def.items()
            if name != INIT_SIGNATURE
        }

    def _load_error(self, error: Exception) -> ServingError:
        if isinstance(error, self._tf.errors.OpError):
            return ServingError(Code.of_number(error.error_code), error.message)
        if isinstance(error, OSError) and not self._has_graph():
            phrase = "Could not find SavedModel .pb or .pbtxt at supplied export directory path"
            return ServingError(Code.NOT_FOUND, f"{phrase}: {self.folder}")
        return ServingError(Code.INTERNAL, f"{self.folder} does not load: {error}")

    def _has_graph(self) -> bool:
        exists = self._tf.io.gfile.exists
        return any(exists(f"{self.folder.rstrip('/')}/saved_model.{kind}") for kind in ("pb", "pbtxt"))

    @property
    def calls_in_progress(self) -> int:
        """Number of calls of `run` that have not returned yet."""
        return self._calls

    def signature(self, name: str = "") -> Signature | None:
        """Returns a signature by name, the default one for an empty name; None if the model has no such signature."""
        return self.signatures.get(name or DEFAULT_SIGNATURE)

    def run(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Runs a signature on the calling thread, without holding Python's lock.

        Args:
            signature: One of `signatures`.
            inputs: Arrays by alias, of the signature's types: all inputs, defaults included.
            outputs: Aliases of the wanted outputs, at least one.

        Returns:
            Arrays by alias; strings are arrays of `object` that hold bytes.

        Raises:
            ServingError: TensorFlow's error, under its code.
        """
        key = (signature.name, tuple(inputs), tuple(outputs))
        if (
            key not in self._callables
            and len(self._callables) >= _MAX_PREPARED
            and len(outputs) < len(signature.outputs)
        ):
            everything = self.run(signature, inputs, tuple(signature.outputs))
            return {alias: everything[alias] for alias in outputs}
        with self._call_ended:
            self._calls += 1
        try:
            call = self._callables.get(key) or self._prepare(key, signature)
            values = call(*inputs.values())
        except self._tf.errors.OpError as error:
            raise ServingError(Code.of_number(error.error_code), error.message) from error
        except (RuntimeError, TypeError, ValueError) as error:  # an array that TensorFlow does not accept
            raise invalid(str(error)) from error
        finally:
            with self._call_ended:
                self._calls -= 1
                self._call_ended.notify_all()
        return dict(zip(outputs, map(_as_array, values), strict=True))

    def _prepare(self, key: tuple, signature: Signature) -> Any:
        with self._preparing:
            if key not in self._callables:
                _, inputs, outputs = key
                options = _callable_options()
                options.feed.extend(signature.inputs[alias].tensor for alias in inputs)
                options.fetch.extend(signature.outputs[alias].tensor for alias in outputs)
                options.run_options.inter_op_thread_pool = _ON_CALLING_THREAD
                # Private in TensorFlow 2.21: the public `Session.make_callable` takes no RunOptions, so that without
                # this method each call would hop to a thread pool and take 60 us instead of 10 us.
                self._callables[key] = self._session._make_callable_from_options(options)
            return self._callables[key]

    def close(self) -> None:
        """Frees the memory once the last call has ended: a call goes on even when its request was given up."""
        with self._call_ended:
            self._call_ended.wait_for(lambda: not self._calls)
        self._callables.clear()
        self._session.close()


def _as_array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    # TensorFlow returns scalars as NumPy scalars, and scalar strings as bytes.
    return np.array(value, object if isinstance(value, bytes) else None)


def _callable_options() -> Any:
    from tensorflow.core.protobuf import config_pb2

    return config_pb2.CallableOptions()
