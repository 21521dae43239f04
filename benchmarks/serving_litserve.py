"""TensorFlow's SavedModel behind LitServe, as its documentation shows it: a peer of benchmarks/serving.py.

python benchmarks/serving_litserve.py FOLDER PORT
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import litserve
import numpy as np


class Api(litserve.LitAPI):
    """The signature "serving_default" with one input `x`."""

    def setup(self, device):
        """Loads the model, in the worker's process."""
        import tensorflow as tf

        self.tf = tf
        self.loaded = tf.saved_model.load(sys.argv[1])
        self.call = self.loaded.signatures["serving_default"]

    def decode_request(self, request):
        """JSON to a tensor."""
        return self.tf.constant(request["instances"], self.tf.float32)

    def predict(self, x):
        """Runs the model."""
        return next(iter(self.call(x=x).values())).numpy()

    def encode_response(self, output):
        """An array to JSON."""
        return {"predictions": np.asarray(output).tolist()}


if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu").run(
        port=int(sys.argv[2]), generate_client_file=False, log_level="error"
    )
