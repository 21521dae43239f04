"""Plot of the estimates of an RBM's log partition function, logged to MLflow."""

from collections.abc import Callable

from matplotlib.figure import Figure

from components.figures import rbm_plots
from components.reporting.station_tracker import StationTracker
from models.partition.estimate import LogPartitionEstimate

# Further estimates use the number of temperatures divided by these: a twentieth more work, 3 s beside 55 s for an RBM
# of 784 x 500.
_DIVISORS = (100, 30)


def log_estimates(
    anneal: Callable[[int], LogPartitionEstimate],
    temperatures: int,
    estimate: LogPartitionEstimate,
    tracker: StationTracker,
) -> None:
    """Logs the estimate of log Z beside estimates by fewer temperatures, at least 3.

    Args:
        anneal: Estimates log Z with a given number of temperatures.
        temperatures: Number of temperatures behind `estimate`.
        estimate: The final estimate.
        tracker: Receives `log_z.png`.
    """

    def plot() -> Figure:
        fewer = {max(3, temperatures // divisor) for divisor in _DIVISORS}
        estimates = {number: anneal(number) for number in sorted(fewer) if number < temperatures}
        estimates[temperatures] = estimate
        return rbm_plots.annealing_bracket(
            list(estimates),
            [each.log_z for each in estimates.values()],
            [each.reverse_log_z for each in estimates.values()],
            quantity="log Z, nats",
            along="temperatures",
            logarithmic=True,
            title="Annealed importance sampling of log Z",
        )

    tracker.log_figure(plot, "log_z.png")
