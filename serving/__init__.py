"""Model server and its client: serve pushed SavedModels; import nothing of the other three packages."""
