"""What models are judged by: the measures of every objective, in the words and units of the screen. Stdlib only."""

from dataclasses import dataclass

from components.export import layout

TOP_ERROR = "top{k}_error"
GAIN = "gain_over_constant"
STANDARD_ERROR = "{name}_standard_error"


@dataclass(frozen=True)
class Measure:
    """One figure about a model, a mean over the images of a split.

    Args:
        name: in TFMA, MLflow and the results of a run, where the split's name goes before it.
        words: on the screen.
        unit: goes behind the number.
        bound: field of the gates that holds its absolute bound on test.
        change: field of the gates that bounds, on validation, how much worse it may be than the newest other blessed
            model's, in its own unit; none where that is not asked.
        higher_is_better: log-probabilities are; errors are not.
        constant: name of the same figure for the best constant answer, where that is measured per image.
        constant_words: the constant answer on the screen.
    """

    name: str
    words: str
    unit: str
    bound: str
    change: str | None = None
    higher_is_better: bool = False
    constant: str | None = None
    constant_words: str = ""


TOP1 = Measure(TOP_ERROR.format(k=1), "top-1 error", " %", "max_top1_error", "max_error_increase")
TOP5 = Measure(TOP_ERROR.format(k=5), "top-5 error", " %", "max_top5_error")
SQUARED_ERROR = Measure(
    layout.SQUARED_ERROR, "squared error", " per image", "max_squared_error", "max_squared_error_increase",
    constant=layout.MEAN_IMAGE_ERROR, constant_words="mean image",
)  # fmt: skip
LOG_PROBABILITY = Measure(
    layout.LOG_PROBABILITY, "log-probability", " nats", "min_log_probability", "max_log_probability_decrease",
    higher_is_better=True, constant=layout.BASE_RATE_LOG_PROBABILITY, constant_words="base rate",
)  # fmt: skip

# The first one is compared with the baseline's, and chooses the best epoch.
MEASURES: dict[str, tuple[Measure, ...]] = {
    "classification": (TOP1, TOP5),
    "joint": (TOP1, TOP5),
    "reconstruction": (SQUARED_ERROR,),
    "density": (LOG_PROBABILITY,),
}
ALL = tuple(dict.fromkeys(measure for measures in MEASURES.values() for measure in measures))


def option(field: str) -> str:
    """A field of the gates as it is written on the command line."""
    return "--gates." + field.replace("_", "-")
