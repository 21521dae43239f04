"""Blessings: marker files with which Evaluator and InfraValidator accept a model, under TFX's names."""

from pathlib import Path

MODEL_BLESSED = "BLESSED"
INFRA_BLESSED = "INFRA_BLESSED"
INFRA_NOT_BLESSED = "INFRA_NOT_BLESSED"


def is_blessed(folder: Path) -> bool:
    """Returns whether the folder of a ModelBlessing or InfraBlessing artifact accepts its model.

    Example:
        >>> is_blessed(Path())
        False
        >>> Path(INFRA_BLESSED).touch()
        >>> is_blessed(Path())
        True
    """
    return any((folder / name).exists() for name in (MODEL_BLESSED, INFRA_BLESSED))
