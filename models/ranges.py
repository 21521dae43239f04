"""Ranges of numbers in a configuration. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Accepted values of a number: low <= value <= high, or < at an open end.

    Args:
        low: Smallest value.
        high: Largest value; the default sets no upper limit.
        open_low: Whether `low` itself is refused.
        open_high: Whether `high` itself is refused.

    Example:
        >>> momentum = Range(0, 1, open_high=True)
        >>> 0.9 in momentum, 1.0 in momentum, float("nan") in momentum
        (True, False, False)
        >>> print(momentum)
        at least 0 and below 1
    """

    low: float
    high: float = float("inf")
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a value is accepted; NaN never is."""
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        """The range in words."""
        low = f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        if self.high == float("inf"):
            return low
        return f"{low} and {'below' if self.open_high else 'at most'} {self.high:g}"


# Anything larger is a typing error, and infinity would train to NaN.
FINITE = 1e6

COUNT = Range(1)
COUNT_OR_ZERO = Range(0)
DROPPED = Range(0, 1, open_high=True)
MOMENTUM = Range(0, 1, open_high=True)
PENALTY = Range(0, FINITE)
PERCENT = Range(0, 100)
PIXELS = Range(1, 4096)
RATE = Range(0, FINITE, open_low=True)
SEED = Range(0, 2**31 - 1)
SHARE = Range(0, 1, open_low=True, open_high=True)
