"""MLflow: the record of a run, registered models, provenance."""
