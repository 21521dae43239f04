"""`vision-tfx rollback NAME [--to VERSION]`: publishes an older version of a model again."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.home import Home
from pipeline.options.command_line import CommandLine
from pipeline.options.preflight import check_name
from pipeline.tracking.store import promote


def main(arguments: Sequence[str]) -> int:
    """Publishes an older version under a new highest number, so that every model server switches to it."""
    line = CommandLine(
        "rollback", "Publishes an older version of a model again, under a new highest number. Deletes nothing."
    )
    line.add("name", "Name of the model.", metavar="NAME")
    line.add("--to", "Version to publish; by default the one before the newest.", type=int, metavar="VERSION")
    line.add_home()
    given = line.read(arguments)
    check_name(given.name)
    from components.export.publishing import rollback

    home = Home(Path(given.home).expanduser())
    folder = home.serving / given.name
    old, new = rollback(folder, given.to)
    print(f"{given.name}: version {old} is published again as version {new}.\nModel: {folder / str(new)}")
    promote(home, given.name, old, new, str((folder / str(new)).resolve()))
    return 0
