"""Admission of requests: limits, tokens, TLS, overload."""
