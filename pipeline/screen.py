"""The screen of a run: a live table of stations on a terminal, else a line per finished station; then a summary."""

import contextlib
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components.evaluation.measures import (
    ALL,
    LOG_Z,
    LOG_Z_GAP,
    LOG_Z_LOWER,
    LOG_Z_REVERSE,
    LOG_Z_UPPER,
    SHOWN,
    TOP1,
)
from components.evaluation.results import SPLIT_WORDS, Result
from components.features import TEST
from pipeline.reports import RunResult, StationReport
from pipeline.streams import redirected

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
        console: Console to write to; default, this process's stdout.

    Example:
        >>> screen = Screen(Console(width=60))
        >>> screen.start(["Trainer"])
        >>> screen.update("Trainer", "ran", 12.3, "changed: training.epochs")
        Trainer                  ran          12.3 s  changed: training.epochs
    """

    def __init__(self, console: Console | None = None) -> None:
        self._given = console
        self._console = console or Console()
        self._rows: dict[str, _Row] = {}
        self._live: Live | None = None

    @contextlib.contextmanager
    def capture(self, log_file: Path) -> Iterator[None]:
        """Redirects stdout and stderr to the log file, so that only this screen writes to the terminal.

        Args:
            log_file: File to append to; its folder is created if necessary.
        """
        with redirected(log_file) as stream:
            self._console = self._given or Console(file=stream, force_terminal=stream.isatty() or None)
            try:
                yield
            except BaseException:
                # The terminal shows the error in one sentence, which a full disk must not hide.
                with contextlib.suppress(OSError), log_file.open("a", encoding="utf-8") as log:
                    traceback.print_exc(file=log)
                raise
            finally:
                self.stop()
                stream.flush()
                self._console = self._given or Console(file=sys.stdout)

    def start(self, names: Sequence[str]) -> None:
        """Shows the table of stations, all of them waiting.

        Args:
            names: Names of the stations in their order.
        """
        self._rows = {name: _Row() for name in names}
        if self._console.is_terminal:
            # No redirection by rich: stdout and stderr already go to the log file.
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
        """Changes the row of a station.

        Args:
            name: Name of the station; a name that is not in the table adds a row.
            status: "running", or the final status: "ran", "cached", "resolved", "skipped" or "failed".
            seconds: Duration in seconds; default, the one shown so far.
            note: Reason, in one line, shown until the next update of this station.
        """
        row = self._rows.setdefault(name, _Row())
        if status == RUNNING and row.status != RUNNING:
            row.started = time.monotonic()
        row.status, row.note = status, note
        row.seconds = seconds if seconds is not None else row.seconds
        if self._live is None and status not in (WAITING, RUNNING):
            line = f"{name:<24} {status:<9} {row.shown_seconds():>7}{' s' if row.shown_seconds() else '  '}  {note}"
            self._print(line.rstrip())

    def progress(self, name: str, text: str) -> None:
        """Shows the progress of a running station, such as "layer 2, epoch 14 of 50"; on a terminal only."""
        self._rows.setdefault(name, _Row()).note = text

    def message(self, text: str) -> None:
        """Prints one line above the table."""
        self._print(text)

    def stop(self) -> None:
        """Ends the live table; `capture` calls it at its end, also after an error or Ctrl-C."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def stations(self, reports: Sequence[StationReport]) -> None:
        """Prints the final table of stations in place of the live one."""
        self.stop()
        self._rows = {each.name: _Row(each.status, each.seconds, each.reason) for each in reports}
        self._console.print(self._table())

    def summary(self, result: RunResult) -> None:
        """Prints the outcome: table of stations, results with confidence intervals, blessing, version, next steps."""
        self.stations(result.stations)
        for line in summary_lines(result):
            self._print(line)

    def _print(self, line: str) -> None:
        # soft_wrap: a path that is cut or folded cannot be copied.
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


def summary_lines(result: RunResult) -> list[str]:
    """Returns the lines below the table of a finished run.

    Args:
        result: Outcome of the run.
    """
    lines = [*_results(result.results), *(f"Warning: {sentence}." for sentence in result.warnings), ""]
    lines.append(_outcome(result))
    if result.pushed_uri:
        lines.append(f"Model: {result.pushed_uri}")
        if result.served_version != result.pushed_version:
            lines.append(
                f"Servers answer with version {result.served_version}, which was published later, for example by a "
                "rollback."
            )
    lines.append(f"Log:   {result.log_file}")
    if result.pushed_uri:
        lines += [
            f"Next:  vision-tfx predict IMAGE...   {_answer(result.results)}",
            "       vision-tfx ui                 what the run logged",
        ]
    return lines


def _outcome(result: RunResult) -> str:
    if result.pushed_uri and result.up_to_date:
        return f"Up to date: version {result.pushed_version} was pushed before, and nothing has changed since."
    if result.pushed_uri:
        return f"Blessed and pushed as version {result.pushed_version}."
    if not result.blessed:
        served = f"; version {result.served_version} stays served" if result.served_version else ""
        return f"Not blessed, so not pushed{served}."
    return f"Blessed, but not pushed{_reasons(result.stations)}."


def _results(results: Sequence[Result]) -> list[str]:
    lines = []
    for split, words in SPLIT_WORDS.items():
        shown = [result.text for result in results if result.split == split and result.measure in SHOWN]
        if shown:
            lines.append(f"{words:<11}" + "   ".join(shown))
    values = {result.measure: result.value for result in results}
    if LOG_Z in values:
        both = f"{values[LOG_Z]:.2f} nats forward, {values[LOG_Z_REVERSE]:.2f} in reverse"
        bracket = f"bracket {values[LOG_Z_LOWER]:.2f} to {values[LOG_Z_UPPER]:.2f}"
        lines.append(f"{'log Z':<11}{both} (gap {values[LOG_Z_GAP]:.2f}, {bracket})")
    return lines


def _answer(results: Sequence[Result]) -> str:
    measures = {result.measure for result in results if result.split == TEST}
    measure = next((measure for measure in ALL if measure in measures), TOP1)
    return "five best labels" if measure is TOP1 else f"{measure.words} of each image"


def _reasons(stations: Sequence[StationReport]) -> str:
    reasons = [
        f"{station.name}: {station.reason}"
        for station in stations
        if station.status in ("failed", "skipped") and station.reason
    ]
    return f" ({'; '.join(reasons)})" if reasons else ""
