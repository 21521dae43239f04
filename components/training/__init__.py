"""Training: one module per objective, and the parts that they share."""
