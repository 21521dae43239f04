"""What a run shows: a live table of stations on a terminal, elsewhere a line per finished station; then a summary."""

import contextlib
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components.evaluation.measures import ALL, TOP1
from pipeline.streams import redirected

if TYPE_CHECKING:
    from pipeline.reports import StationReport
    from pipeline.runner import RunResult

WAITING, RUNNING = "waiting", "running"
_STYLES = {
    "running": "cyan",
    "ran": "green",
    "cached": "blue",
    "resolved": "blue",
    "skipped": "yellow",
    "failed": "red",
}


@dataclass
class _Row:
    status: str = WAITING
    seconds: float | None = None
    note: str = ""
    started: float = 0.0

    def shown_seconds(self) -> str:
        seconds = time.monotonic() - self.started if self.status == RUNNING else self.seconds
        return "" if seconds is None else f"{seconds:.1f}"


class Screen:
    """The screen of one run.

    Typical use: `with screen.capture(log_file): screen.start(names); screen.update(name, "running"); ...`, then
    `screen.summary(result)` inside or after the block.

    Args:
        console: Where to write; none means this process' stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._given = console
        self._console = console or Console()
        self._rows: dict[str, _Row] = {}
        self._live: Live | None = None

    @contextlib.contextmanager
    def capture(self, log_file: Path) -> Iterator[None]:
        """Sends all that others write to stdout and stderr to the log file; only this screen reaches the terminal.

        Args:
            log_file: Appended to; its folder is made when it is not there.
        """
        with redirected(log_file) as stream:
            self._console = self._given or Console(file=stream, force_terminal=stream.isatty() or None)
            try:
                yield
            except BaseException:
                # The terminal gets one sentence; a full disk must not hide it.
                with contextlib.suppress(OSError), log_file.open("a", encoding="utf-8") as log:
                    traceback.print_exc(file=log)
                raise
            finally:
                self.stop()
                stream.flush()
                self._console = self._given or Console(file=sys.stdout)

    def start(self, names: Sequence[str]) -> None:
        """Shows the stations, all waiting, in this order."""
        self._rows = {name: _Row() for name in names}
        if self._console.is_terminal:
            # redirect_* off: stdout and stderr already go to the log file
            self._live = Live(
                get_renderable=self._table,
                console=self._console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def update(self, name: str, status: str, seconds: float | None = None, note: str = "") -> None:
        """A station changed.

        Args:
            name: The station; one that `start` did not name is added.
            status: "running", or how it ended: "ran", "cached", "resolved", "skipped", "failed".
            seconds: How long it took; none leaves what was known.
            note: Why, in one line; stays until the next update of this station.
        """
        row = self._rows.setdefault(name, _Row())
        if status == RUNNING and row.status != RUNNING:
            row.started = time.monotonic()
        row.status, row.note = status, note
        row.seconds = seconds if seconds is not None else row.seconds
        if self._live is None and status not in (WAITING, RUNNING):
            line = f"{name:<24} {status:<9} {row.shown_seconds():>7}{' s' if row.shown_seconds() else '  '}  {note}"
            self._say(line.rstrip())

    def progress(self, name: str, text: str) -> None:
        """What a running station is at, such as "layer 2, epoch 14 of 50"; seen on a terminal only."""
        row = self._rows.setdefault(name, _Row())
        row.note = text

    def message(self, text: str) -> None:
        """One line above the table."""
        self._say(text)

    def stop(self) -> None:
        """Ends the live table; called by `capture`'s end, also after an error or Ctrl-C."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def stations(self, reports: "Sequence[StationReport]") -> None:
        """The table of stations as they ended, in place of the live one."""
        self.stop()
        self._rows = {each.name: _Row(each.status, each.seconds, each.reason) for each in reports}
        self._console.print(self._table())

    def summary(self, result: "RunResult") -> None:
        """The end of a run: table of stations, results with confidence intervals, blessing, version, next steps."""
        self.stations(result.stations)
        for line in summary_lines(result):
            self._say(line)

    def _say(self, line: str) -> None:
        # soft_wrap: a path that is cut or folded cannot be copied
        self._console.print(Text(line), soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("station", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("seconds", justify="right", no_wrap=True)
        noted = any(row.note for row in self._rows.values())
        if noted:
            table.add_column("note")
        for name, row in self._rows.items():
            status = Text(row.status, style=_STYLES.get(row.status, "dim"))
            table.add_row(name, status, row.shown_seconds(), *([Text(row.note)] if noted else []))
        return Group(table)


def summary_lines(result: "RunResult") -> list[str]:
    """What is said below the table of a finished run, line by line."""
    lines = [*_results(result.metrics), *(f"Warning: {sentence}." for sentence in result.warnings), ""]
    if result.pushed_uri and result.up_to_date:
        lines.append(f"Up to date: version {result.pushed_version} was pushed before, and nothing has changed since.")
    elif result.pushed_uri:
        lines.append(f"Blessed and pushed as version {result.pushed_version}.")
    elif not result.blessed:
        served = f"; version {result.served_version} stays served" if result.served_version else ""
        lines.append(f"Not blessed, so not pushed{served}.")
    else:
        lines.append("Blessed, but not pushed" + _why(result) + ".")
    if result.pushed_uri:
        lines.append(f"Model: {result.pushed_uri}")
        if result.served_version != result.pushed_version:
            lines.append(f"Served is version {result.served_version}, which was published later, as a rollback does.")
    lines.append(f"Log:   {result.log_file}")
    if result.pushed_uri:
        lines += [
            f"Next:  vision-tfx predict IMAGE...   {_answer(result.metrics)}",
            "       vision-tfx ui                 what the run logged",
        ]
    return lines


def _results(metrics: dict[str, float]) -> list[str]:
    lines = []
    for split, words in (("validation", "validation"), ("test", "test"), ("test_ten_crop", "ten crops")):
        parts = []
        for measure in ALL:
            key = f"{split}_{measure.name}"
            if key in metrics:
                parts.append(f"{measure.words} {metrics[key]:.2f}{measure.unit}{_interval(metrics, key)}")
            constant = f"{split}_{measure.constant}"
            if constant in metrics:
                parts.append(f"{measure.constant_words} {metrics[constant]:.2f}")
        if parts:
            lines.append(f"{words:<11}" + "   ".join(parts))
    if "log_z" in metrics:
        both = f"{metrics['log_z']:.2f} nats forward, {metrics['log_z_reverse']:.2f} in reverse"
        bracket = f"bracket {metrics['log_z_lower']:.2f} to {metrics['log_z_upper']:.2f}"
        lines.append(f"{'log Z':<11}{both} (gap {metrics['log_z_gap']:.2f}, {bracket})")
    return lines


def _answer(metrics: dict[str, float]) -> str:
    measure = next((measure for measure in ALL if f"test_{measure.name}" in metrics), TOP1)
    return "five best labels" if measure is TOP1 else f"{measure.words} of each image"


def _interval(metrics: dict[str, float], key: str) -> str:
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    return "" if low is None or high is None else f" (95 % confidence {low:.2f} to {high:.2f})"


def _why(result: "RunResult") -> str:
    reasons = [
        f"{station.name}: {station.reason}"
        for station in result.stations
        if station.status in ("failed", "skipped") and station.reason
    ]
    return f" ({'; '.join(reasons)})" if reasons else ""
