"""`vision-tfx VERB ...`: finds the verb, imports only its module, and turns errors into one sentence and an exit code.

Exit codes: 0 done, pushed or already up to date; 1 failure; 2 usage; 3 a gate refused data or model; 130 Ctrl-C.
"""

import argparse
import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence

from components.disk import is_full
from components.errors import UsageError, VisionTfxError
from pipeline.config import RunConfig
from pipeline.installation import not_installed
from pipeline.options.fields import did_you_mean, nearest

VERBS = {
    "run": "train, judge and push a model: from images to what can be served",
    "presets": "list the presets with expected time and result",
    "show": "print a configuration as YAML that `run --config` takes back",
    "serve": "answer requests over gRPC and REST, as TensorFlow Serving does",
    "predict": "what the newest pushed model, or a server, says of images: the five best labels",
    "average": "push the mean of several pushed classifiers as one model",
    "ui": "open MLflow on what the runs logged",
    "rollback": "publish an older version of a model again",
    "doctor": "check this machine and say what to mend",
}
INTERRUPTED = 130

_HELP = """usage: vision-tfx VERB ... [--debug]

From a folder of images to a served, tracked, quality-gated classifier, through one TFX pipeline.

verbs:
{verbs}

options:
  --help     of vision-tfx, or after a verb of that verb
  --version  the installed version
  --debug    tracebacks instead of one-sentence errors

first steps:
  vision-tfx run digits-dbn             bundled data, no network
  vision-tfx run --data folder:PATH     your own folder of class folders
"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are UsageErrors, so that all verbs report alike."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises a UsageError in place of printing the usage and leaving."""
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def add_home(parser: argparse.ArgumentParser) -> None:
    """--home, with the default that all verbs share."""
    default = os.environ.get("VISION_TFX_HOME") or RunConfig.home
    parser.add_argument("--home", default=default, metavar="DIR", help=f"folder of all runs; default: {default}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        arguments: Without the program's name; none means those of this process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _run([word for word in words if word != "--debug"], debug="--debug" in words)
    if arguments is None:  # leaving takes TensorFlow some seconds, in which a second Ctrl-C would print a traceback
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _run(words: list[str], debug: bool) -> int:
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted; the same command again goes on with what is finished")
        return INTERRUPTED
    except BrokenPipeError:  # `vision-tfx presets | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        complain(f"error: {explain(error)}")
        return _foreseen(error).exit_code
    return code


def explain(error: BaseException) -> str:
    """One sentence on any error: its own if it was made for users, else what lies behind it and the cure."""
    if any(is_full(cause) for cause in _causes(error)):
        return "the disk is full; free some space, or use another with --home DIR, and run the same command again"
    if str(_foreseen(error)):
        return str(_foreseen(error))
    for cause in _causes(error):
        number = getattr(cause, "errno", None)
        if number in (errno.EACCES, errno.EPERM, errno.EROFS) and isinstance(cause, OSError):
            where = f" to {cause.filename}" if cause.filename else ""
            return f"no permission{where}; change its permissions, or use another place with --home DIR"
        if isinstance(cause, ModuleNotFoundError):
            return not_installed(cause)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}; this is unexpected: the same command with --debug shows where"


def _foreseen(error: BaseException) -> VisionTfxError:
    """The error made for users at or behind an error; one without text where there is none."""
    return next((cause for cause in _causes(error) if isinstance(cause, VisionTfxError)), VisionTfxError())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()  # a library may raise an error from itself
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(_HELP.format(verbs="\n".join(f"  {verb:10} {summary}" for verb, summary in VERBS.items())))
        return 0 if words else UsageError.exit_code
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"vision-tfx {version('vision-tfx')}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        raise UsageError(f"there is no verb {verb} (`vision-tfx --help` lists all){did_you_mean(nearest(verb, VERBS))}")
    try:
        return int(importlib.import_module(f"pipeline.commands.{verb}").main(rest))
    except SystemExit as leaving:  # argparse's --help
        return int(leaving.code or 0)


def complain(message: str) -> None:
    """One line on stderr, in this program's name."""
    print(f"vision-tfx: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
