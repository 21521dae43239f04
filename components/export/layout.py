"""Names of the parts of an exported SavedModel: signatures, their inputs and outputs, and files. Stdlib only.

The names are the contract between the exporting nodes, Evaluator, the registry and the model server; `serving/` states
its own share of it, because it serves SavedModels of any origin.
"""

from components import features

# Signatures. The last two exist for AlexNet only: they average ten crops of each image.
SERVING_DEFAULT = "serving_default"
EXAMPLES = "examples"
PIXELS = "pixels"
TEN_CROPS = "ten_crops"
TEN_CROP_EXAMPLES = "ten_crop_examples"

# Inputs: encoded image files. The inputs `examples` and `pixels` are named after their signatures.
BYTES = "image_bytes"

# Outputs of classifiers.
PROBABILITIES = "probabilities"
CLASSES = "classes"
SCORES = "scores"
# Outputs of autoencoders.
CODE = "code"
SQUARED_ERROR = "squared_error"
MEAN_IMAGE_ERROR = "mean_image_error"
# Outputs of densities.
HIDDEN = "hidden"
LOG_PROBABILITY = "log_probability"
BASE_RATE_LOG_PROBABILITY = "base_rate_log_probability"
# Output of autoencoders and densities.
RECONSTRUCTION = "reconstruction"

# Files, as paths within the SavedModel's folder.
LABELS_ASSET = f"assets/{features.LABELS_FILE}"  # class names of a classifier, one per line
PARTITION_FILE = "assets/log_partition.json"  # a density's estimate of its log partition function
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"  # TFRecord of PredictionLog; the name is TensorFlow Serving's
RESULTS_FILE = "assets.extra/results.json"  # metrics of a pushed model
