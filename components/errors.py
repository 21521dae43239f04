"""The errors a user can cause.

Each message is one sentence: what, where, cure. The CLI prints it and exits with its code.
"""


class VisionTfxError(Exception):
    """Something failed that its message explains; exit code 1."""

    exit_code = 1


class UsageError(VisionTfxError):
    """The command or its arguments are wrong, seen before any work was done; exit code 2."""

    exit_code = 2


class GateRefused(VisionTfxError):  # noqa: N818 - a refusal is a judgement, not an error
    """A gate judged the data or the model and said no; exit code 3."""

    exit_code = 3
