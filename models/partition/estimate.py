"""Result of annealed importance sampling."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LogPartitionEstimate:
    """Estimates of log Z from below and from above, in nats.

    On average the forward estimate lies below log Z, since it is the logarithm of an unbiased estimate of Z. Papers
    report it, and it flatters the model: log-probabilities computed from it are too high by the amount it falls short.
    The reverse estimate lies above log Z on average as far as its chains start at samples of the model; here they start
    at the ends of the forward chains. `gap` shows how well the chains mix, but a mode that no chain found is missing
    from both estimates.

    Args:
        log_z: Forward estimate.
        standard_error: Standard error of `log_z`, to first order. It reflects only the states the chains have visited:
            it may be far below 1 although the estimate misses a mode and is off by 20 nats.
        effective_chains: Effective number of forward chains, from 1 (one has all the weight) to their number.
        reverse_log_z: Estimate by chains that start at samples of the model and anneal to the base rate.
        reverse_standard_error: Standard error of `reverse_log_z`.
        reverse_effective_chains: Effective number of reverse chains.
        warnings: One sentence for each reason to distrust the estimate; empty if there is none.

    Example:
        >>> estimate = LogPartitionEstimate(100.0, 0.5, 80.0, 101.0, 0.25, 90.0)
        >>> estimate.lower, estimate.upper, estimate.gap
        (98.5, 101.75, 1.0)
    """

    log_z: float
    standard_error: float
    effective_chains: float
    reverse_log_z: float
    reverse_standard_error: float
    reverse_effective_chains: float
    warnings: tuple[str, ...] = ()

    @property
    def lower(self) -> float:
        """Lower end of the bracket: the forward estimate minus three standard errors."""
        return self.log_z - 3 * self.standard_error

    @property
    def upper(self) -> float:
        """Upper end of the bracket: the reverse estimate plus three standard errors.

        Resampling copies forward chains; the standard error counts the copies as independent samples.
        """
        return self.reverse_log_z + 3 * self.reverse_standard_error

    @property
    def gap(self) -> float:
        """Reverse minus forward estimate: near 0 where the chains reach all relevant states."""
        return self.reverse_log_z - self.log_z
