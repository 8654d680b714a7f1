"""The axioms of a metric, on activations drawn by their geometry: size, rank, scale, duplicates."""

import pytest
import torch
from hypothesis import assume, given
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


def embedded(key, reps):
    """The metric, and the points; draws that a metric refuses, and says why, are none of its networks."""
    if key == "linear_subspace":
        metric = rg.LinearSubspace(k=1)
        assume(all(len(x) > 2 for x in reps))
    else:
        metric = as_metric(key).resolve(reps)
    return metric, [metric.embed(x) for x in reps]


# A direction of a point may be nothing but a ridge, 1e-3 of the mean of up to 11, and distances see it
# relative to itself.
SENSITIVE = 1e4


@pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")
@given(reps=networks(), key=st.sampled_from(sorted(rg.available_metrics())), single=st.booleans())
def test_axioms(reps, key, single):
    if single:
        reps = [x.float() for x in reps]
    eps = torch.finfo(reps[0].dtype).eps
    metric, (x, y, z) = embedded(key, reps)
    xy, yz, xz = metric.dist(x, y), metric.dist(y, z), metric.dist(x, z)
    size = max(float(metric.norm(a, a)) for a in (x, y, z))
    size = size * SENSITIVE if metric.sensitive else size
    assert float(metric.dist(x, x.clone())) <= 10 * eps * size
    assert float((xy - metric.dist(y, x)).abs()) <= 100 * eps * size
    assert float(xz - xy - yz) <= 100 * eps * size
    low, high = metric.card.range
    assert low <= float(xy) <= high + 10 * eps


@pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")
@given(reps=networks(n=2), key=st.sampled_from(sorted(rg.available_metrics())), t=st.floats(0, 1))
def test_length(reps, key, t):
    metric, (x, y) = embedded(key, reps)
    g = metric.geodesic(t, x, y)
    size = max(float(metric.norm(a, a)) for a in (x, y))
    size = size * SENSITIVE if metric.sensitive else size
    whole = metric.dist(x, y)
    assert float((metric.dist(x, g) - t * whole).abs()) <= 1e4 * torch.finfo(x.dtype).eps * size
    assert float((metric.dist(g, y) - (1 - t) * whole).abs()) <= 1e4 * torch.finfo(x.dtype).eps * size
