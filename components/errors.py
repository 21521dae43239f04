"""Errors with a message for users.

Each message says what happened, where, and how to correct it. The command line prints it and exits with the error's
exit code.
"""


class VisionTfxError(Exception):
    """Failure that the message explains; exit code 1.

    Example:
        >>> VisionTfxError.exit_code, UsageError.exit_code, GateRefused.exit_code
        (1, 2, 3)
    """

    exit_code = 1


class UsageError(VisionTfxError):
    """Wrong command or arguments, detected before any work was done; exit code 2."""

    exit_code = 2


class GateRefused(VisionTfxError):  # noqa: N818 - a refusal is a judgement, not an error
    """Refusal of the data or of the model by a gate; exit code 3."""

    exit_code = 3
