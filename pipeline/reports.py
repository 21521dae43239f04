"""What became of one station in one run."""

from dataclasses import dataclass, field
from typing import Literal

# The reason of a station that Ctrl-C or SIGTERM ended, and of those after it.
INTERRUPTED = "interrupted"

Status = Literal["ran", "cached", "resolved", "skipped", "failed"]


@dataclass(frozen=True)
class StationReport:
    """What became of one station in one run.

    Args:
        name: the node's id in the pipeline.
        status: "ran"; "cached", its outputs taken from an earlier run; "resolved", looked up in the metadata;
            "skipped", never started; "failed".
        started_ms: milliseconds since 1970; 0 if it never started.
        finished_ms: likewise.
        execution_id: of its execution in ML Metadata, if it has one.
        outputs: URIs of its output artifacts, by output key.
        reason: one line: why it was not cached, was skipped or failed; empty if there is nothing to say.
    """

    name: str
    status: Status
    started_ms: int = 0
    finished_ms: int = 0
    execution_id: int | None = None
    outputs: dict[str, list[str]] = field(default_factory=dict)
    reason: str = ""

    @property
    def seconds(self) -> float:
        """Time it took."""
        return (self.finished_ms - self.started_ms) / 1000
