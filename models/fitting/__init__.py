"""Training loops, training data and optimizers that all models share."""
