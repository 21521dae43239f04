"""`vision-tfx presets`: lists the presets with expected time and result."""

from collections.abc import Sequence

from models.config import AlexNetConfig
from pipeline.config import RunConfig
from pipeline.presets import PRESETS


def main(arguments: Sequence[str]) -> int:
    """Prints a table of the presets, then command, expected result, time and source of each."""
    if arguments:
        from pipeline.options.command_line import CommandLine  # jsonargparse takes longer to import than all the rest

        CommandLine("presets", "Lists the presets with expected time and result on the test split.").read(arguments)
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("preset", "data", "model"):
        table.add_column(column, no_wrap=True)
    for name, preset in PRESETS.items():
        config = preset.config
        table.add_row(name, config.data, _model(config))
    console.print(table)
    for name, preset in PRESETS.items():
        console.print(f"{name}: {preset.summary}\n  {preset.command}", highlight=False)
        console.print(f"  Expected: {preset.expected_result}; {preset.expected_time}.", highlight=False)
        console.print(f"  Source: {preset.source}.\n", highlight=False)
    console.print("`vision-tfx show PRESET` prints the whole configuration.", highlight=False)
    return 0


def _model(config: RunConfig) -> str:
    if isinstance(config.model, AlexNetConfig):
        return f"alexnet {config.model.variant}"
    height, width = config.model.image_size
    return "-".join(map(str, (height * width * config.model.channels, *config.model.hidden_units)))
