"""Life of models and versions: discovery, loading, swapping, unloading."""
