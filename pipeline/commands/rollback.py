"""`vision-tfx rollback NAME [--to VERSION]`: an older version becomes the newest again."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import Parser, add_home
from pipeline.home import Home
from pipeline.options.preflight import check_name
from pipeline.tracking.store import promote


def main(arguments: Sequence[str]) -> int:
    """Publishes an older version under a new highest number, so that every model server switches to it."""
    parser = Parser(
        prog="vision-tfx rollback",
        description="Publishes an older version of a model again, under a new highest number; nothing is deleted.",
    )
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument("--to", type=int, metavar="VERSION", help="default: the version before the newest")
    add_home(parser)
    given = parser.parse_args(arguments)
    check_name(given.name)
    from components.export.publishing import rollback

    home = Home(Path(given.home).expanduser())
    folder = home.serving / given.name
    old, new = rollback(folder, given.to)
    print(f"{given.name}: version {old} is published again as version {new}.\nModel: {folder / str(new)}")
    promote(home, given.name, old, new, str((folder / str(new)).resolve()))
    return 0
