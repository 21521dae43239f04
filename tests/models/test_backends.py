"""The tests of exactness and training once more on JAX and torch, where they are installed, in other processes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(path.relative_to(HERE) for path in HERE.rglob("test_*.py") if path != Path(__file__))
RUN = """
import sys
import pytest
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # on torch, Keras would multiply float64 matrices in float32
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=str)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_numbers(backend, file):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it is no dependency")
    command = [sys.executable, "-c", RUN, "-q", "-W", "ignore", str(HERE / file)]
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1"}
    done = subprocess.run(
        command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout
