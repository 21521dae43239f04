"""Blessings: the marker files with which Evaluator and InfraValidator accept a model, named as TFX names them."""

from pathlib import Path

MODEL_BLESSED = "BLESSED"
INFRA_BLESSED = "INFRA_BLESSED"
INFRA_NOT_BLESSED = "INFRA_NOT_BLESSED"


def is_blessed(folder: Path) -> bool:
    """Returns whether the folder of a ModelBlessing or InfraBlessing artifact accepts its model."""
    return any((folder / name).exists() for name in (MODEL_BLESSED, INFRA_BLESSED))
