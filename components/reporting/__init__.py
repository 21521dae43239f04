"""Reports from a running node to MLflow and the screen. Nothing here changes a result, so no cache key covers it."""
