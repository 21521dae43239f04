"""`vision-tfx average NAME NAME... --as NEWNAME`: pushes the average of several pushed classifiers as one model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import GateRefused
from components.evaluation.measures import TOP1, TOP5, Measure
from components.evaluation.results import SPLIT_WORDS, Result
from pipeline.home import Home, new_run_id
from pipeline.lock import home_lock
from pipeline.options.command_line import CommandLine
from pipeline.options.preflight import check_name
from pipeline.streams import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.pushed_models.average import ByMember


def main(arguments: Sequence[str]) -> int:
    """Measures the average and its members, and pushes it unless its best member is better on validation."""
    line = CommandLine(
        "average",
        "Averages the probabilities of several pushed classifiers, such as those of one configuration with several "
        "seeds. The average is one self-contained model; it is pushed unless its top-1 error on validation is above "
        "that of its best member (exit code 3).",
    )
    line.add("members", "Pushed model; by default its newest version.", nargs="+", metavar="NAME[/VERSION]")
    line.add("--as", "Name of the average.", required=True, metavar="NEWNAME")
    line.add_home()
    given = line.read(arguments)
    name = given["as"]
    check_name(name)
    from components.interruption import interruptible
    from components.reporting import progress
    from pipeline.pushed_models.average import average
    from pipeline.pushed_models.members import find_examples, find_members

    home = Home(Path(given.home).expanduser().resolve())
    members = find_members(home, given.members, name)
    run_id = new_run_id()
    with home_lock(home.root, run_id), interruptible(), quiet("Loading TFX, which takes about 20 s") as say:
        progress.listen(say)
        examples = find_examples(home, members)
        result = average(home, members, examples, name, run_id)
    _show(result.results)
    if result.pushed is None:
        raise GateRefused(f"the average was refused ({result.refusal}); serve its best member, or average other models")
    print(f"Pushed as version {result.pushed.name}.\nModel: {result.pushed}")
    print(f"Next:  vision-tfx predict IMAGE... --model {name}")
    return 0


def _show(results: "Mapping[str, ByMember]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption="In brackets: 95 % confidence.", caption_justify="left")
    for column in ("", "model", *(f"{measure.words}, {measure.unit.strip()}" for measure in (TOP1, TOP5))):
        table.add_column(column)
    for split, by_member in results.items():
        for row, (name, each) in enumerate(by_member.items()):
            cells = (_cell(each, measure) for measure in (TOP1, TOP5))
            table.add_row("" if row else SPLIT_WORDS[split], name, *cells, end_section=row == len(by_member) - 1)
    Console().print(table)


def _cell(results: Sequence[Result], measure: Measure) -> str:
    result = next((result for result in results if result.measure == measure), None)
    return "" if result is None else f"{result.value:.2f} ({result.low:.2f} to {result.high:.2f})"
