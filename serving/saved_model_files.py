"""The names by which the server and its clients find parts of a SavedModel. Standard library only.

TensorFlow Serving defines the first two. `components/export/` writes all three; `tests/test_saved_model_contract.py`
checks that both sides use the same names.
"""

# Signature that answers a request which names none.
DEFAULT_SIGNATURE = "serving_default"
# Below the version's folder: TFRecord file of PredictionLog records, replayed before the version becomes available.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
# Below the version's folder: JSON file with the metrics and warnings of the model's evaluation.
RESULTS_FILE = "assets.extra/results.json"
