"""Names of the environment variables that the runner exports and the nodes read. Stdlib only.

Variables, because execution properties would enter TFX's cache key, and these values differ from run to run.
"""

# Folder for a run's logs and for reports that must survive a node's failure: TFX deletes the outputs of a failed node.
LOG_DIR = "VISION_TFX_LOG_DIR"
# Folder for the checkpoints of interrupted trainings, outside the artifacts for the same reason.
CHECKPOINT_DIR = "VISION_TFX_CHECKPOINT_DIR"
# Id of the pipeline's MLflow run, below which nodes open their child runs.
PARENT_RUN = "VISION_TFX_PARENT_RUN"
# Address of MLflow; the name is MLflow's own.
TRACKING_URI = "MLFLOW_TRACKING_URI"
