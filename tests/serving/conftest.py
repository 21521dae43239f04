"""What tests of the model server share."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def rest_fakes() -> ModuleType:
    """The module beside this file; `tests` is no package."""
    spec = importlib.util.spec_from_file_location("rest_fakes", Path(__file__).with_name("rest_fakes.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
