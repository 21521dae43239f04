"""The results of a run: a value for each measure and split, and the flat names under which others store them."""

from collections.abc import Iterable
from dataclasses import dataclass

from components import features
from components.evaluation.measures import Measure

# Ten crops of each image of the test split.
TEN_CROP_TEST = "test_ten_crop"
# The splits of results in the order of the screen, with their names there.
SPLIT_WORDS = {features.VALIDATION: "validation", features.TEST: "test", TEN_CROP_TEST: "ten crops"}


@dataclass(frozen=True)
class Result:
    """The value of one measure on one split.

    Args:
        measure: The measure, which holds name and unit.
        split: Key of `SPLIT_WORDS`; empty for a property of the model as a whole, such as log Z.
        value: Mean over the images of the split, in the measure's unit.
        low: Lower bound of the 95 % confidence interval; None if there is no interval.
        high: Upper bound of the interval; None if there is no interval.

    Example:
        >>> from components.evaluation.measures import TOP1
        >>> result = Result(TOP1, "test", 3.5, 2.1, 5.4)
        >>> result.text
        'top-1 error 3.50 % (95 % confidence 2.10 to 5.40)'
        >>> result.numbers
        {'top1_error': 3.5, 'top1_error_low': 2.1, 'top1_error_high': 5.4}
    """

    measure: Measure
    split: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def bounds(self) -> dict[str, float]:
        """Bounds of the interval as "low" and "high"; empty if there is no interval."""
        return {} if self.low is None or self.high is None else {"low": self.low, "high": self.high}

    @property
    def numbers(self) -> dict[str, float]:
        """Value and bounds under the names that the columns of a table of slices have."""
        name = self.measure.name
        return {name: self.value} | {f"{name}_{side}": bound for side, bound in self.bounds.items()}

    @property
    def text(self) -> str:
        """Value and interval as the screen shows them."""
        interval = "" if self.low is None else f" (95 % confidence {self.low:.2f} to {self.high:.2f})"
        return self.measure.text(self.value) + interval


def flat(results: Iterable[Result]) -> dict[str, float]:
    """Returns results under the names that metrics have in MLflow, such as `test_top1_error_low`.

    Example:
        >>> from components.evaluation.measures import LOG_Z, TOP1
        >>> flat([Result(TOP1, "test", 3.5), Result(LOG_Z, "", 451.25)])
        {'test_top1_error': 3.5, 'log_z': 451.25}
    """
    return {
        f"{result.split}_{name}" if result.split else name: number
        for result in results
        for name, number in result.numbers.items()
    }
