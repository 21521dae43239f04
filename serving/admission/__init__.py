"""Admission of requests: concurrency, size limits, TLS and bearer tokens."""
