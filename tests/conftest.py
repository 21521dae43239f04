"""What every test may rely on, however the suite was started."""

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest


def pytest_configure() -> None:
    """A shell lets its background jobs ignore Ctrl-C, and a dumb terminal has no live tables."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["TERM"] = "xterm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts whole pipelines first: several processes end together if the longest files come first."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")


def pytest_runtest_setup(item) -> None:
    """`models/` runs on every backend of Keras; a few of its tests do not."""
    if item.get_closest_marker("tensorflow") and os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        pytest.skip("needs TensorFlow to be the backend of Keras")


def _helper(name: str) -> ModuleType:
    """A module beside this file; `tests` is no package."""
    spec = importlib.util.spec_from_file_location(f"vision_tfx_tests_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The module of the fake model server."""
    return _helper("fake_model_server")


@pytest.fixture
def fake_server(fakes):
    """A model server that only pretends, with the model "digits"."""
    server = fakes.FakeModelServer()
    server.models["digits"] = fakes.FakeModel()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory):
    chromium = _helper("chromium")
    if chromium.find() is None:
        pytest.skip("there is no Chromium on the PATH (Debian: apt install chromium)")
    opened = chromium.Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield opened
    opened.close()


@pytest.fixture
def browser(_chromium):
    """Headless Chromium with one new page."""
    _chromium.fresh()
    return _chromium
