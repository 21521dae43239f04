"""Names that data sets give to their splits, and the splits of the pipeline that they stand for."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from components.features import SPLITS, TEST, TRAIN, VALIDATION

SPLIT_NAMES = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}

_Part = TypeVar("_Part", bound=Hashable)


def complete_splits(splits: Mapping[_Part, str]) -> dict[_Part, str]:
    """Maps the parts of a data set that may lack splits to the three splits of the pipeline.

    A validation split without a test split becomes the test split, as in ImageNet. If a split is missing then, it is
    cut from the train split, whose part is marked with "".

    Args:
        splits: "train", "validation" or "test" for each part of the data set, such as a folder.

    Returns:
        "train", "validation", "test" or "" for each part.

    Example:
        >>> complete_splits({"train/": "train", "val/": "validation"})
        {'train/': '', 'val/': 'test'}
    """
    completed = dict(splits)
    if TEST not in completed.values():
        completed = {part: TEST if split == VALIDATION else split for part, split in completed.items()}
    if len(set(completed.values())) < len(SPLITS):
        completed = {part: "" if split == TRAIN else split for part, split in completed.items()}
    return completed
