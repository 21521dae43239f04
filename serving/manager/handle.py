"""Handle by which a request uses a loaded version."""

from dataclasses import dataclass

from serving.servable import Servable


@dataclass(frozen=True)
class Handle:
    """A loaded version in use; it stays loaded until the lease ends.

    Args:
        name: Name of the model.
        version: Number of the version.
        servable: The loaded model.
    """

    name: str
    version: int
    servable: Servable
