"""The tests of exactness and training once more on JAX and torch, where they are installed, in other processes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = (
    "test_units.py", "test_rbm.py", "test_chains.py", "test_centering.py", "test_rbm_training.py", "test_sgd.py",
    "test_alexnet.py", "test_alexnet_weights.py", "test_local_response_normalization.py", "test_color_noise.py",
    "test_mean_image.py", "test_metrics.py", "test_partition.py", "test_annealing.py", "test_log_likelihood.py",
    "test_dbn.py", "test_up_down.py", "test_conv_rbm.py", "test_conv_pretraining.py",
)  # fmt: skip
RUN = """
import sys
import pytest
from keras.src.backend.common import dtypes
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # on torch, Keras would multiply float64 matrices in float32
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_numbers(backend, file):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it is no dependency")
    here = Path(__file__).parent
    command = [sys.executable, "-c", RUN, "-q", "-W", "ignore", str(here / file)]
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1"}
    done = subprocess.run(
        command, env=environment, cwd=here.parents[1], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout
