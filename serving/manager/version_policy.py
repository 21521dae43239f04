"""Version policies: which versions of a model are served."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class VersionPolicy:
    """TensorFlow Serving's version policies: the newest few (one by default), all, or specific versions.

    Args:
        newest: Number of newest versions to serve; None for all, and 0 counts as 1.
        specific: Numbers of the versions to serve; None for the ones that `newest` selects.

    Example:
        >>> VersionPolicy(newest=2).choose({1, 2, 3})
        {2, 3}
        >>> VersionPolicy(specific=frozenset({1, 7})).choose({1, 2, 3})
        {1}
    """

    newest: int | None = 1
    specific: frozenset[int] | None = None

    def choose(self, versions: Collection[int]) -> set[int]:
        """Returns the ones among `versions` that are to be served."""
        if self.specific is not None:
            return set(self.specific.intersection(versions))
        if self.newest is None:
            return set(versions)
        return set(sorted(versions)[-max(1, self.newest) :])
