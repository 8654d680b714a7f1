"""A manifold with nothing but the methods that a subclass must write is verified, averaged and descended."""

import geoopt
import pytest
import torch

import repsim_geo as rg
from repsim_geo.optim import minimize

GAIN = torch.tensor([1.0, 4.0], dtype=torch.float64)


class Stretched(rg.RiemannianManifold):
    """The plane, with lengths doubled along the second axis."""

    name = "stretched plane"
    ndim = 1

    def inner(self, x, u, v=None, *, keepdim=False):
        v = u if v is None else v
        return (GAIN.to(x) * u * v).expand(torch.broadcast_shapes(x.shape, u.shape, v.shape)).sum(-1, keepdim)

    def expmap(self, x, u):
        return x + u

    def logmap(self, x, y):
        return y - x

    def carry(self, x, u, v):
        return v.expand(torch.broadcast_shapes(x.shape, u.shape, v.shape)).contiguous()

    def projx(self, x):
        return x.clone()

    def proju(self, x, u):
        return u.expand(torch.broadcast_shapes(x.shape, u.shape)).contiguous()

    def egrad2rgrad(self, x, u):
        return self.proju(x, u) / GAIN.to(x)

    def rgrad2egrad(self, x, u):
        return self.proju(x, u) * GAIN.to(x)

    def isotropic(self, x, z):
        return self.proju(x, z) / GAIN.to(x).sqrt()

    def random(self, *size, dtype=None, device=None, generator=None):
        x = torch.randn(*size, dtype=dtype, device=device, generator=generator)
        return geoopt.ManifoldTensor(x, manifold=self)

    def _check_point_on_manifold(self, x, *, atol=1e-5, rtol=1e-5):
        ok = bool(x.isfinite().all())
        return ok, None if ok else "not finite"

    def _check_vector_on_tangent(self, x, u, *, atol=1e-5, rtol=1e-5):
        return True, None


def test_what_is_not_written_is_not_asked():
    report = rg.verify.check_manifold(Stretched(), (2,), on_fail="report", examples=20)
    assert report.broken == [], str(report)
    asked = {record["law"] for record in report.records() if record["status"] != "skipped"}
    assert "gradient_of_squared_distance_is_minus_log" in asked
    assert not {"dimension_is_the_trace_of_the_projection", "curvature_agrees_with_distances"} & asked


@pytest.mark.parametrize("scaled", [False, True])
def test_means_and_descents_need_no_more(scaled):
    manifold = geoopt.Scaled(Stretched(), 2.0) if scaled else Stretched()
    points = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = points.mean(0)
    mean = rg.FrechetMean(manifold).fit(points)
    torch.testing.assert_close(mean.mean_, wanted, atol=1e-9, rtol=1e-9)
    found = minimize(manifold, lambda z: manifold.dist2(z[..., None, :], points).sum(-1), points[0])
    torch.testing.assert_close(found.point, wanted, atol=1e-6, rtol=1e-6)
    assert rg.TangentPCA(manifold, n_components=1).fit(points).explained_variance_ratio_.shape == (1,)
    assert rg.FrechetMedian(manifold).fit(points).median_.shape == (2,)
