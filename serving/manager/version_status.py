"""Where a version of a model is on its way, as GetModelStatus tells it."""

from dataclasses import dataclass
from enum import Enum

from serving.errors import Code


class State(Enum):
    """The states of a version, with the numbers that the protocol gives them."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """One version of a model.

    Args:
        version: Its number.
        state: Where it is.
        code: OK, or why it is not available.
        message: The same in words; empty for OK.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""
