"""The measures of every objective: names, units and gates."""

from dataclasses import dataclass

from components.export import layout

TOP_ERROR = "top{k}_error"
STANDARD_ERROR = "{name}_standard_error"


@dataclass(frozen=True)
class Measure:
    """A metric of a model: its names, its unit and the gates that bound it.

    Args:
        name: Name in TFMA, MLflow and the results of a run, where the split's name goes before it.
        words: Name on the screen.
        unit: Unit on the screen, with the space before it; empty for a plain number.
        bound: Field of `GatesConfig` with its absolute bound on test; empty for a metric without a gate.
        change: Field of `GatesConfig` that limits, on validation and in the metric's own unit, how much worse it may be
            than that of the newest other blessed model; empty if it is not compared.
        higher_is_better: True for log-probabilities, False for errors.
        best: k of a top-k error; None for any other metric.
        constant: The same metric of the best constant answer, if the model returns it for each image.

    Example:
        >>> TOP1.text(2.5)
        'top-1 error 2.50 %'
    """

    name: str
    words: str
    unit: str = ""
    bound: str = ""
    change: str = ""
    higher_is_better: bool = False
    best: int | None = None
    constant: "Measure | None" = None

    def text(self, value: float) -> str:
        """Returns a value as the screen shows it, such as "squared error 3.00 per image"."""
        return f"{self.words} {value:.2f}{self.unit}"


TOP1 = Measure(TOP_ERROR.format(k=1), "top-1 error", " %", "max_top1_error", "max_error_increase", best=1)
TOP5 = Measure(TOP_ERROR.format(k=5), "top-5 error", " %", "max_top5_error", best=5)
# A constant answer stands beside the measure that it belongs to, which shows the unit of both.
SQUARED_ERROR = Measure(
    layout.SQUARED_ERROR, "squared error", " per image", "max_squared_error", "max_squared_error_increase",
    constant=Measure(layout.MEAN_IMAGE_ERROR, "mean image"),
)  # fmt: skip
LOG_PROBABILITY = Measure(
    layout.LOG_PROBABILITY, "log-probability", " nats", "min_log_probability", "max_log_probability_decrease",
    higher_is_better=True, constant=Measure(layout.BASE_RATE_LOG_PROBABILITY, "base rate"),
)  # fmt: skip

# The first measure of an objective is compared with the baseline's and chooses the best epoch.
MEASURES: dict[str, tuple[Measure, ...]] = {
    "classification": (TOP1, TOP5),
    "joint": (TOP1, TOP5),
    "reconstruction": (SQUARED_ERROR,),
    "density": (LOG_PROBABILITY,),
}
ALL = tuple(dict.fromkeys(measure for measures in MEASURES.values() for measure in measures))
# The measures that the screen shows, in its order.
SHOWN = tuple(shown for measure in ALL for shown in (measure, measure.constant) if shown is not None)

GAIN = Measure("gain_over_constant", "gain over the best constant answer")
EXAMPLE_COUNT = Measure("example_count", "images")
_STANDARD_ERRORS = tuple(
    Measure(STANDARD_ERROR.format(name=measure.name), f"standard error of the {measure.words}", measure.unit)
    for measure in SHOWN
    if measure.best is None
)
# All metrics of one split by name, in the order in which results list them.
BY_NAME = {measure.name: measure for measure in (*SHOWN, GAIN, EXAMPLE_COUNT, *_STANDARD_ERRORS)}

LOG_Z = Measure("log_z", "log Z", " nats")
LOG_Z_REVERSE = Measure("log_z_reverse", "log Z, estimated in reverse", " nats")
LOG_Z_GAP = Measure("log_z_gap", "gap between both estimates of log Z", " nats")
LOG_Z_LOWER = Measure("log_z_lower", "lower bound of log Z", " nats")
LOG_Z_UPPER = Measure("log_z_upper", "upper bound of log Z", " nats")
# The estimate of a density's partition function: metrics of the model, not of a split.
PARTITION = {
    measure.name: measure
    for measure in (
        LOG_Z,
        LOG_Z_REVERSE,
        LOG_Z_GAP,
        LOG_Z_LOWER,
        LOG_Z_UPPER,
        Measure("log_z_standard_error", "standard error of log Z", " nats"),
        Measure("log_z_effective_chains", "effective chains"),
        Measure("log_z_reverse_effective_chains", "effective chains in reverse"),
    )
}


def option(field: str) -> str:
    """Returns the command-line option of a field of `GatesConfig`, such as "--gates.max-top1-error"."""
    return "--gates." + field.replace("_", "-")
