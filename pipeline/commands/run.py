"""`vision-tfx run [PRESET] [--data DATA] [--KEY VALUE]...`: the whole pipeline, from images to a pushed model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.errors import GateRefused, VisionTfxError

if TYPE_CHECKING:
    from pipeline.runner import RunResult

_DESCRIPTION = """Trains, judges and pushes a model. Every field of the configuration is an option; dashes and
underscores are interchangeable, a list is written with commas (--model.hidden-units 500,500), none stands for no value.
Exit code: 0 pushed or already up to date, 1 failure, 2 usage, 3 a gate refused data or model."""


def main(arguments: Sequence[str]) -> int:
    """Resolves the configuration, checks everything that needs no TFX, then runs."""
    from pipeline.options.arguments import parse

    request = parse(arguments, "run", _DESCRIPTION)
    from pipeline.options.preflight import check

    check(request.config, request.given)
    from pipeline.runner import run_local

    result = run_local(request.config)
    if not result.blessed:
        raise GateRefused(_refusal(result))
    code = 0 if result.pushed_version is not None else VisionTfxError.exit_code
    if code == 0 and request.predict:
        from pipeline.commands.predict import answer

        code = answer(request.predict, home=request.config.home, model=request.config.name)
    return code


def _refusal(result: "RunResult") -> str:
    reasons = "; ".join(station.reason for station in result.stations if station.status == "skipped")
    return f"the model was refused ({reasons}); train a better one, or change the gate that refused it"
