"""State of a version, as GetModelStatus reports it."""

from dataclasses import dataclass
from enum import Enum

from serving.errors import Code


class State(Enum):
    """States of a version, with their numbers in the protocol."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """Status of one version of a model.

    Args:
        version: Number of the version.
        state: Current state.
        code: OK, or the code of the error that keeps the version from being available.
        message: Message of that error; empty for OK.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""
