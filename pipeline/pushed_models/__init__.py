"""Pushed models: finding them, asking them, averaging them."""
