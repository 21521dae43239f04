"""A fake model, and an execution that batches its requests."""

import threading
import time

import numpy as np
import pytest

from serving.batching.execution import BatchingExecution
from serving.config import ServerConfig
from serving.errors import invalid
from serving.metrics import Metrics
from serving.signature import Signature, TensorSpec


def spec(alias, dtype=np.float32):
    return TensorSpec(alias, f"{alias}:0", np.dtype(dtype), 1, "float", None)


SIGNATURE = Signature("serving_default", "tensorflow/serving/predict", {"x": spec("x")}, {"y": spec("y")})
PAIR = Signature(
    "pair", "tensorflow/serving/predict", {"a": spec("a"), "b": spec("b")}, {"sum": spec("sum"), "first": spec("first")}
)


class FakeServable:
    """Fake model y = x / 2 + 2 that records its batches; the input BAD fails."""

    BAD = 666.0
    signature, pair = SIGNATURE, PAIR
    folder = "/models/fake/1"

    def __init__(self):
        self.batches = []
        self.inputs = []
        self.released = threading.Event()
        self.released.set()
        self.entered = threading.Semaphore(0)
        self.seconds = 0.001

    def run(self, signature, inputs, outputs):
        rows = [len(array) for array in inputs.values() if array.ndim]
        self.batches.append(rows[0] if rows else 0)
        self.inputs.append(inputs)
        self.entered.release()
        assert self.released.wait(10)
        time.sleep(self.seconds)
        if any(np.any(array == self.BAD) for array in inputs.values()):
            raise invalid("bad input")
        results = self.answer(signature, inputs)
        return {alias: results[alias] for alias in outputs}

    async def ask(self, execution, *values):
        """Sends one request through an execution; returns the output as a list."""
        outputs = await execution.run(self, SIGNATURE, {"x": np.float32(values)}, ["y"])
        return outputs["y"].tolist()

    def answer(self, signature, inputs):
        if signature is PAIR:
            return {"sum": inputs["a"] + inputs["b"], "first": inputs["a"]}
        return {"y": inputs["x"] / 2 + 2}


@pytest.fixture
def new_model():
    return FakeServable


@pytest.fixture
def model():
    return FakeServable()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def execution(tmp_path, metrics):
    def make(text=None, **options):
        if text is not None:
            path = tmp_path / "batching.config"
            path.write_text(text)
            options["batching_parameters_file"] = str(path)
        return BatchingExecution(ServerConfig(enable_batching=True, **options), metrics)

    return make
