"""Replay of stored warm-up requests against a SavedModel and against the model server."""
