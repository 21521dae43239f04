"""Plots. Nothing here changes a result, so no cache key covers this package."""
