"""Evaluation: TFMA metrics, thresholds and results with confidence intervals."""
