"""Metrics: each is a manifold and has an embedding. One concept a file, one screen each."""
