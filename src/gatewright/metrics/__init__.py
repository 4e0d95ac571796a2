"""Metrics: what Python counts, one subject a file, and the page on which all of a node stands."""
