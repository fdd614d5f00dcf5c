"""Metrics and traces, read from what the gateway records."""
