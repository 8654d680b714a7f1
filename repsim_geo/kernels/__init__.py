"""Kernels between inputs of one network: modules that map activations (m, d) to a Gram matrix (m, m)."""
