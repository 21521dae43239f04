"""What annealed importance sampling says about a partition function."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LogPartitionEstimate:
    """Estimates of log Z from below and from above, in nats.

    On average the forward estimate lies below log Z, since it is the logarithm of an unbiased estimate of Z. It is what
    papers report, and it flatters the model: the log-probabilities that follow from it are too high by what it misses.
    The reverse one lies above log Z on average as far as its chains start at samples of the model, which here are the
    ends of the forward ones: `gap` tells how well the chains mix, but a mode that none of them found is in neither.

    Args:
        log_z: Forward estimate.
        standard_error: Of `log_z`, to first order. It knows only what the chains have seen: it may be far below 1
            where the estimate misses a mode and is off by 20 nats.
        effective_chains: Effective number of forward chains, from 1 (one has all the weight) to all of them.
        reverse_log_z: Estimate by chains that start at samples of the model and anneal to the base rate.
        reverse_standard_error: Of `reverse_log_z`.
        reverse_effective_chains: Effective number of reverse chains.
        warnings: One sentence for each reason not to trust the estimate; empty if there is none.
    """

    log_z: float
    standard_error: float
    effective_chains: float
    reverse_log_z: float
    reverse_standard_error: float
    reverse_effective_chains: float
    warnings: tuple[str, ...] = ()

    @property
    def lower(self):
        """Lower end of the bracket: the forward estimate less three standard errors."""
        return self.log_z - 3 * self.standard_error

    @property
    def upper(self):
        """Upper end of the bracket: the reverse estimate plus three standard errors, which hold copies for samples."""
        return self.reverse_log_z + 3 * self.reverse_standard_error

    @property
    def gap(self):
        """Reverse minus forward estimate: near 0 where the chains reach all that matters."""
        return self.reverse_log_z - self.log_z
