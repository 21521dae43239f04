"""`vision-tfx VERB ...`: imports the module of the verb only, and reports errors as one sentence and an exit code.

Exit codes: 0 done, pushed or already up to date; 1 failure; 2 usage; 3 a gate refused data or model; 130 Ctrl-C.
"""

import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence

from components.disk import is_full
from components.errors import UsageError, VisionTfxError
from pipeline.installation import not_installed
from pipeline.options.suggestions import did_you_mean, nearest

VERBS = {
    "run": "train, judge and push a model, from images to a model that can be served",
    "presets": "list the presets with expected time and result",
    "show": "print a configuration as YAML that `run --config` reads back",
    "serve": "serve models over gRPC and REST, compatible with TensorFlow Serving",
    "predict": "print the answers of the newest pushed model, or of a model server, for images",
    "average": "push the average of several pushed classifiers as one model",
    "ui": "open MLflow on the metrics and plots of all runs",
    "rollback": "publish an older version of a model again",
    "doctor": "check this host and name the cure for each problem",
}
INTERRUPTED = 130

_HELP = """usage: vision-tfx VERB ... [--debug]

From a folder of images to a served, tracked, quality-gated classifier, through one TFX pipeline.

verbs:
{verbs}

options:
  --help     print this page, or after a verb the options of the verb
  --version  print the installed version
  --debug    print the traceback of an error, not only one sentence

first steps:
  vision-tfx run digits-dbn             bundled data, no network
  vision-tfx run --data folder:PATH     your own folder of class folders
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        arguments: Words of the command line behind the program's name; None for those of this process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _run([word for word in words if word != "--debug"], debug="--debug" in words)
    if arguments is None:  # TensorFlow takes some seconds to exit, in which another Ctrl-C would print a traceback
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _run(words: list[str], debug: bool) -> int:
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted; repeat the command to resume, finished nodes come from the cache")
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
    """Returns one sentence for any error: its message if it was made for users, otherwise its cause and the cure.

    Example:
        >>> explain(PermissionError(errno.EACCES, "Permission denied", "/data"))
        'no permission to /data; change its permissions, or choose another place with --home DIR'
    """
    if any(is_full(cause) for cause in _causes(error)):
        return "the disk is full; free some space, or choose another disk with --home DIR, and repeat the command"
    if str(_foreseen(error)):
        return str(_foreseen(error))
    for cause in _causes(error):
        number = getattr(cause, "errno", None)
        if number in (errno.EACCES, errno.EPERM, errno.EROFS) and isinstance(cause, OSError):
            where = f" to {cause.filename}" if cause.filename else ""
            return f"no permission{where}; change its permissions, or choose another place with --home DIR"
        if isinstance(cause, ModuleNotFoundError):
            return not_installed(cause)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}; this is unexpected; repeat with --debug for the traceback"


def _foreseen(error: BaseException) -> VisionTfxError:
    """The error made for users among the causes of an error; one without text if there is none."""
    return next((cause for cause in _causes(error) if isinstance(cause, VisionTfxError)), VisionTfxError())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()  # some libraries raise an error from itself
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
    except SystemExit as leaving:  # `VERB --help`
        return int(leaving.code or 0)


def complain(message: str) -> None:
    """Prints one line to stderr, with the program's name."""
    print(f"vision-tfx: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
