"""Activations to points: modules that know data and tensors, and no geometry."""
