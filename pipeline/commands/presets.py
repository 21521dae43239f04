"""`vision-tfx presets`: what can be run, and what to expect of it."""

from collections.abc import Sequence

from models.config import AlexNetConfig
from pipeline.cli import Parser
from pipeline.config import RunConfig
from pipeline.presets import PRESETS


def main(arguments: Sequence[str]) -> int:
    """Prints one table."""
    parser = Parser(prog="vision-tfx presets", description="The presets, with expected time and result on test.")
    parser.parse_args(arguments)
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("preset", "data", "model"):
        table.add_column(column, no_wrap=True)
    table.add_column("expected time")
    table.add_column("expected result")
    for name, preset in PRESETS.items():
        config = preset.config
        table.add_row(name, config.data, _model(config), preset.expected_time, preset.expected_result)
    console.print(table)
    for name, preset in PRESETS.items():
        console.print(f"{name}: {preset.summary}\n  {preset.command}\n  Source: {preset.source}.", highlight=False)
    console.print("\nvision-tfx show PRESET prints all of a configuration.", highlight=False)
    return 0


def _model(config: RunConfig) -> str:
    if isinstance(config.model, AlexNetConfig):
        return f"alexnet {config.model.variant}"
    height, width = config.model.image_size
    return "-".join(map(str, (height * width * config.model.channels, *config.model.hidden_units)))
