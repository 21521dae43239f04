"""Plots as matplotlib figures. Nothing here changes a result, so no cache key covers this package."""
