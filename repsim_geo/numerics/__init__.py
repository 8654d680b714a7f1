"""Mathematics on tensors: no manifold, no data. Every function broadcasts over leading axes."""
