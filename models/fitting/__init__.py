"""Training loops and optimizers that all models share."""
