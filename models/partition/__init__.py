"""Partition functions of RBMs: exact by enumeration, or estimated by annealed importance sampling."""

from models.partition.log_partition import ais_log_partition, exact_log_partition

__all__ = ["ais_log_partition", "exact_log_partition"]
