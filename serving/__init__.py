"""The counter: what answers requests from a pushed SavedModel; imports nothing of the other three packages."""
