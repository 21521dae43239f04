"""The gates for the data of a run. Light: `pipeline.config` imports this file for every command."""

import json
from dataclasses import dataclass, field, fields
from typing import Self

from models.ranges import PERCENT
from models.settings import setting


@dataclass(frozen=True)
class DataGates:
    """Defects of the data that DataGate tolerates.

    Args:
        max_broken_percent: Largest share of files, in percent, that cannot be used because they are not images, or are
            truncated, empty, or beyond the limits on size.
        max_leaked_percent: Largest share of images, in percent, that may occur in more than one split.
        allow_missing_classes: Whether a split may have no image of a class.

    Example:
        >>> DataGates.from_json(DataGates(max_broken_percent=2.0).to_json())
        DataGates(max_broken_percent=2.0, max_leaked_percent=0.0, allow_missing_classes=False)
    """

    max_broken_percent: float = field(default=0.1, metadata=setting(PERCENT))
    max_leaked_percent: float = field(default=0.0, metadata=setting(PERCENT))
    allow_missing_classes: bool = False

    def to_json(self) -> str:
        """Returns these gates as a JSON object, without fields that a subclass adds: those do not concern DataGate."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(DataGates)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the gates that `to_json` wrote.

        Raises:
            TypeError: A key is not a field of the class.
        """
        return cls(**json.loads(text))
