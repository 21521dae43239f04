"""`vision-tfx doctor`: checks this host and names the cure for each problem."""

from collections.abc import Sequence
from pathlib import Path

from components.errors import VisionTfxError
from pipeline.doctor import Check, quick_checks, slow_checks
from pipeline.options.command_line import CommandLine
from pipeline.streams import quiet

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def main(arguments: Sequence[str]) -> int:
    """Prints one table; returns 1 if a check failed."""
    line = CommandLine("doctor", "Checks this host and names the cure for each problem.")
    line.add_home()
    home = Path(line.read(arguments).home).expanduser().resolve()
    checks = quick_checks(home)
    with quiet("Importing TensorFlow and TFX"):
        checks += slow_checks()
    _print(checks)
    return VisionTfxError.exit_code if any(check.status == "fail" for check in checks) else 0


def _print(checks: Sequence[Check]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "status", "found", box=SIMPLE_HEAD, pad_edge=False)
    for check in checks:
        found = Text(check.found) if not check.cure else Text(f"{check.found}\nCure: {check.cure}")
        table.add_row(check.name, Text(check.status, style=_STYLES[check.status]), found)
    Console().print(table)
