"""95 % confidence intervals of results."""

from statistics import NormalDist

_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)


def wilson_interval(error: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of an error rate, which is sensible at 0 % and for few images too.

    Args:
        error: Error in percent: the share of wrong answers among `count`.
        count: Number of images.

    Returns:
        Lower and upper bound in percent; (0, 100) if there are no images.

    Source: Wilson, JASA 22, 1927.

    Example:
        >>> low, high = wilson_interval(0.0, 100)
        >>> print(f"{low:.2f} to {high:.2f} %")
        0.00 to 3.70 %
    """
    if count == 0:
        return 0.0, 100.0
    from scipy.stats import binomtest  # TFMA has imported SciPy by then; alone, the import takes seconds

    bounds = binomtest(round(error * count / 100), count).proportion_ci(_CONFIDENCE, method="wilson")
    return 100 * float(bounds.low), 100 * float(bounds.high)


def mean_interval(mean: float, standard_error: float) -> tuple[float, float]:
    """Returns the 95 % interval of a mean over many images, from the normal distribution.

    Args:
        mean: The mean, in any unit.
        standard_error: Its standard error, in the same unit.

    Example:
        >>> low, high = mean_interval(3.0, 0.1)
        >>> print(f"{low:.3f} to {high:.3f}")
        2.804 to 3.196
    """
    return mean - _Z * standard_error, mean + _Z * standard_error
