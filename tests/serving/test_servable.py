import importlib.util
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ServingError
from serving.servable import Servable


@pytest.fixture(scope="module")
def models():
    path = Path(__file__).with_name("conformance") / "models.py"
    spec = importlib.util.spec_from_file_location("conformance_models_of_servable", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_closing_waits_for_calls_whose_requests_were_given_up(models, tmp_path):
    servable = Servable(str(models.save(tmp_path / "1", models.slow)))
    signature, outputs = servable.signature(), []
    inputs = {"rounds": np.int32([300])}
    thread = threading.Thread(target=lambda: outputs.append(servable.run(signature, inputs, ["rounds_out"])))
    thread.start()
    while not servable.calls_in_progress:
        time.sleep(0.001)
    servable.close()
    thread.join()
    assert outputs[0]["rounds_out"].tolist() == [300]
    with pytest.raises(ServingError, match="closed"):
        servable.run(signature, inputs, ["rounds_out"])
