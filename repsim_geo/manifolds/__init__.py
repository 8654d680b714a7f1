"""Geometry only: every file is one concept, and none of them knows what activations are."""
