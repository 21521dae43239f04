"""Fixtures of the tests of the model server."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _helper(name: str) -> ModuleType:
    """Imports a module by its path below this folder, which is not a package."""
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"vision_tfx_tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def rest_fakes() -> ModuleType:
    """The module of fake inference and of a client without a network."""
    return _helper("rest/rest_fakes")


@pytest.fixture(scope="session")
def rest_mutations() -> ModuleType:
    """The module of damaged requests."""
    return _helper("rest/rest_mutations")


@pytest.fixture(scope="session")
def certificates() -> ModuleType:
    """The module that signs certificates."""
    pytest.importorskip("cryptography")
    return _helper("certificates")
