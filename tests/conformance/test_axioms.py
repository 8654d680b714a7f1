"""The axioms of a metric, on activations drawn by their geometry: size, rank, scale, duplicates."""

import torch
from hypothesis import given
from hypothesis import strategies as st

import repsim_geo as rg
from repsim_geo.registry import as_metric


@st.composite
def networks(draw, n=3):
    """Representations of the same inputs; simple ones first and the seed last, so that failures shrink."""
    m = draw(st.integers(5, 12), label="inputs")
    result = []
    for i in range(n):
        d = draw(st.integers(1, 15), label=f"units of network {i}")
        rank = draw(st.integers(1, min(m, d)), label=f"rank of network {i}")
        scale = draw(st.sampled_from([1.0, 1e-8, 1e8]), label=f"scale of network {i}")
        twins = draw(st.integers(0, m // 3), label=f"duplicated inputs of network {i}")
        generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label=f"seed of network {i}"))
        left = torch.randn(m, rank, dtype=torch.float64, generator=generator)
        x = scale * left @ torch.randn(rank, d, dtype=torch.float64, generator=generator)
        x[:twins] = x[m - twins :].clone()
        result.append(x)
    return result


@given(reps=networks(), key=st.sampled_from(sorted(rg.available_metrics())), single=st.booleans())
def test_axioms(reps, key, single):
    if single:
        reps = [x.float() for x in reps]
    eps = torch.finfo(reps[0].dtype).eps
    metric = as_metric(key).resolve(reps)
    x, y, z = (metric.embed(a) for a in reps)
    xy, yz, xz = metric.dist(x, y), metric.dist(y, z), metric.dist(x, z)
    size = max(float(metric.norm(a, a)) for a in (x, y, z))
    assert float(metric.dist(x, x.clone())) <= 10 * eps * size
    assert float((xy - metric.dist(y, x)).abs()) <= 100 * eps * size
    assert float(xz - xy - yz) <= 100 * eps * size
    low, high = metric.card.range
    assert low <= float(xy) <= high + 10 * eps


@given(reps=networks(n=2), key=st.sampled_from(sorted(rg.available_metrics())), t=st.floats(0, 1))
def test_length(reps, key, t):
    metric = as_metric(key).resolve(reps)
    x, y = (metric.embed(a) for a in reps)
    g = metric.geodesic(t, x, y)
    size = max(float(metric.norm(a, a)) for a in (x, y))
    whole = metric.dist(x, y)
    assert float((metric.dist(x, g) - t * whole).abs()) <= 1e4 * torch.finfo(x.dtype).eps * size
    assert float((metric.dist(g, y) - (1 - t) * whole).abs()) <= 1e4 * torch.finfo(x.dtype).eps * size
