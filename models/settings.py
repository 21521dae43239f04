"""Facts about the fields of a configuration, stored in the fields' metadata. Standard library only."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from models.ranges import Range


class Reader(Enum):
    """Parts of a run that read fields which a run without that part ignores. The value names the part in messages."""

    DBN = "deep belief nets"
    ALEXNET = "AlexNet"
    BACK_PROPAGATION = "back-propagation"
    CLASSIFIER = "classifiers trained by back-propagation"
    UP_DOWN = "the objective joint"
    DENSITY = "the objective density"
    PLATEAU = "the plateau schedule"
    GAUSSIAN_LAYER = "Gaussian layers"
    OTHER_LAYER = "layers that are not Gaussian"
    BINARY_LAYER = "binary layers"
    LEARNED_VARIANCES = "learned variances"
    CHAINS_FROM_DATA = "chains that start at the data"


class Setting(NamedTuple):
    """Facts about one field.

    Args:
        accepts: Range of its numbers, for a list of each element; None for a field that holds no number.
        readers: Parts of a run that read the field, all of which a run needs; empty if every run reads it.
    """

    accepts: Range | None = None
    readers: tuple[Reader, ...] = ()


def setting(accepts: Range | None = None, *readers: Reader) -> dict[str, Setting]:
    """Metadata of a field.

    Args:
        accepts: Range of its numbers, for a list of each element; None for a field that holds no number.
        *readers: Parts of a run that read the field, all of which a run needs; none if every run reads it.

    Example:
        >>> from dataclasses import dataclass, field, fields
        >>> from models.ranges import COUNT
        >>> @dataclass(frozen=True)
        ... class Annealing:
        ...     chains: int = field(default=100, metadata=setting(COUNT, Reader.DENSITY))
        >>> [chains] = fields(Annealing)
        >>> print(setting_of(chains.metadata).accepts)
        at least 1
    """
    return {"setting": Setting(accepts, readers)}


def setting_of(metadata: Mapping[Any, Any]) -> Setting:
    """Returns what `setting` stored in a field's metadata, and `Setting()` for a field without it."""
    stored: Setting = metadata.get("setting", Setting())
    return stored
