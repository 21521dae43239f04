"""Ingest: inspects every image, cuts the splits, writes the Examples artifact and judges the data."""
