"""Times after which a version's files count as completely written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WriteDetection:
    """Times by which a version that is being written is told from a complete one.

    Args:
        quiet_seconds: Age from which on unchanged files count as settled at the first look; younger files must look
            the same twice.
        recheck_seconds: Seconds between these two looks.
        patience_seconds: Seconds without a change after which an incomplete folder is no longer waited for (it is
            still loaded once it is complete), and after which TensorFlow judges a folder that is merely unusual.

    Example:
        >>> WriteDetection().recheck_seconds
        0.5
    """

    quiet_seconds: float = 2.0
    recheck_seconds: float = 0.5
    patience_seconds: float = 10.0
