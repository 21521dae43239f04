"""Models and versions: discovery, loading, swapping, unloading."""
