"""Nodes of the pipeline: TFX components, and the plain functions that they call."""

import os

# tensorflow_transform sets TF_USE_LEGACY_KERAS=1 for this process and its children unless it is set before its import.
os.environ["TF_USE_LEGACY_KERAS"] = "0"
