"""Which versions of a model are served."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class VersionPolicy:
    """TensorFlow Serving's version policies: the newest few (by default one), all, or those named.

    Args:
        newest: How many of the newest; None for all. 0 counts as 1.
        specific: The versions named; None for those that `newest` says.
    """

    newest: int | None = 1
    specific: frozenset[int] | None = None

    def choose(self, versions: Collection[int]) -> set[int]:
        """Those of some versions that are to be served."""
        if self.specific is not None:
            return self.specific.intersection(versions)  # type: ignore[return-value]
        if self.newest is None:
            return set(versions)
        return set(sorted(versions)[-max(1, self.newest) :])
