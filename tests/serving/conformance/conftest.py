"""The server that the conformance tests query.

By default it is `vision-tfx serve`, started once as a user would start it. With VISION_TFX_SERVING_REST=http://HOST:PORT
and VISION_TFX_SERVING_GRPC=HOST:PORT the tests query another, such as TensorFlow Serving itself:

    python tests/serving/conformance/models.py /tmp/models /models
    docker run -p 8500:8500 -p 8501:8501 -v /tmp/models:/models tensorflow/serving \\
        --model_config_file=/models/models.config
    VISION_TFX_SERVING_REST=http://127.0.0.1:8501 VISION_TFX_SERVING_GRPC=127.0.0.1:8500 \\
        pytest tests/serving/conformance

Tests that need a server of their own, or test features that only ours has, use the fixture `serve` and are then
skipped.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

REST, GRPC = "VISION_TFX_SERVING_REST", "VISION_TFX_SERVING_GRPC"
_START_SECONDS = 120


def _models() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance_models", Path(__file__).with_name("models.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Server:
    """A running server.

    Args:
        rest: Base URL of REST.
        grpc: Address of gRPC.
        process: Process of a server of ours.
        log: File of its output.
    """

    rest: str
    grpc: str
    process: subprocess.Popen | None = None
    log: Path | None = None

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start(folder: Path, *options: object) -> Server:
    """Starts `vision-tfx serve` on free ports and waits until it is ready.

    Raises:
        RuntimeError: The server ended; the message holds its output.
    """
    log = folder / f"serve-{time.monotonic_ns()}.log"
    words = [sys.executable, "-m", "pipeline.cli", "serve", "--port", "-1", "--rest-api-port", "-1", *map(str, options)]
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[3])
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        text = log.read_text()
        if found := re.search(r"REST (http[^\s,]+).*gRPC (\S+)", text):
            return Server(found[1], found[2], process, log)
        if process.poll() is not None:
            raise RuntimeError(f"exit code {process.returncode}: {text}")
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"not ready after {_START_SECONDS} s: {log.read_text()}")


@pytest.fixture(scope="session")
def models() -> ModuleType:
    """The module that builds models."""
    return _models()


@pytest.fixture(scope="session")
def model_root(models, tmp_path_factory) -> Path:
    """All models: <model>/<version>, and models.config."""
    root = tmp_path_factory.mktemp("models")
    models.build_all(root)
    return root


@pytest.fixture(scope="session")
def server(request) -> Iterator[Server]:
    """One server of all models for the whole session."""
    if os.environ.get(REST):
        yield Server(os.environ[REST].rstrip("/"), os.environ[GRPC])
        return
    root = request.getfixturevalue("model_root")
    running = start(root, "--model-config-file", root / "models.config")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def rest(server) -> str:
    """Base URL of REST."""
    return server.rest


@pytest.fixture(scope="session")
def channel(server):
    """An open gRPC channel."""
    import grpc

    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., Server]]:
    """Starts servers of ours with the test's own options and stops them after the test."""
    yield from _serving(tmp_path)


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Starts servers of ours that all tests of a module share."""
    yield from _serving(tmp_path_factory.mktemp("servers"))


def _serving(folder: Path) -> Iterator[Callable[..., Server]]:
    if os.environ.get(REST):
        pytest.skip("needs a server of its own")
    running = []

    def one(*options: object) -> Server:
        running.append(start(folder, *options))
        return running[-1]

    yield one
    for each in running:
        if each.process.poll() is None:
            each.stop()
