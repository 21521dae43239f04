"""The names by which the server and its clients find parts of a SavedModel. Standard library only.

TensorFlow and TensorFlow Serving define all of them except the results file. `components/export/layout.py` has the
names that the export uses; `tests/test_saved_model_contract.py` checks that both sides agree.
"""

# Signature that answers a request which names none.
DEFAULT_SIGNATURE = "serving_default"
# Entry among the signatures that is not one: TensorFlow 2 stores the operation that initialises the model there.
INIT_SIGNATURE = "__saved_model_init_op"
# Below the version's folder: TFRecord file of PredictionLog records, replayed before the version becomes available.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
# Below the version's folder: JSON file with the metrics and warnings of the model's evaluation.
RESULTS_FILE = "assets.extra/results.json"
