"""Tracking with MLflow: the record of a run, the registered models, the provenance."""
