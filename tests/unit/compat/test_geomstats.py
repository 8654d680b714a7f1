"""Points of geomstats: its conventions as formulas, and stored distances of the real thing."""

import json
import math
from pathlib import Path

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.compat.geomstats import from_geomstats, to_geomstats
from repsim_geo.errors import NotOnManifoldError, ShapeError

STORED = json.loads((Path(__file__).parents[2] / "reference" / "peer_values.json").read_text("utf-8"))
GIVEN = {k: np.array(v) for k, v in STORED["inputs"].items() if not isinstance(v, str)}
PEERS = {k: v["value"] for k, v in STORED["values"].items()}

SHAPES = rg.AngularShape(3)
SPD = {
    "affine": rg.AffineInvariantSPD(),
    "logeuclidean": rg.LogEuclideanSPD(),
    "bures": rg.BuresWassersteinSPD(),
}


def draw(*shape, generator):
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def test_shapes_are_the_same_matrices_at_the_same_distance():
    points = from_geomstats(np.stack([GIVEN["shape_a"], GIVEN["shape_b"]]), SHAPES)
    np.testing.assert_array_equal(to_geomstats(points, SHAPES)[0], GIVEN["shape_a"])
    assert float(SHAPES.dist(*points)) == pytest.approx(PEERS["geomstats.kendall_dist.shape"], abs=1e-12)


def test_mirror_images_are_apart_for_rotations_as_in_geomstats(generator):
    # geomstats: modulo SO(p); the smallest singular value counts against the distance.
    x = SHAPES.embed(draw(9, 3, generator=generator))
    mirror = x * torch.tensor([1.0, 1.0, -1.0])
    s = np.linalg.svd(x.numpy().T @ x.numpy(), compute_uv=False)
    assert float(SHAPES.dist(x, mirror)) < 1e-7
    rotations = rg.AngularShape(3, reflections=False)
    assert float(rotations.dist(x, mirror)) == pytest.approx(math.acos(s[0] + s[1] - s[2]), abs=1e-10)
    np.testing.assert_array_equal(to_geomstats(mirror, rotations), mirror)


@pytest.mark.parametrize("name", SPD)
def test_positive_matrices_are_the_same(name):
    manifold = SPD[name]
    points = from_geomstats(np.stack([GIVEN["a_easy"], GIVEN["b_easy"]]), manifold)
    assert float(manifold.dist(*points)) == pytest.approx(PEERS[f"geomstats.{name}_dist.easy"], rel=1e-11)
    np.testing.assert_array_equal(to_geomstats(points, manifold)[1], GIVEN["b_easy"])


def test_subspaces_are_projectors_and_distances_longer_by_the_root_of_two():
    manifold = rg.Grassmannian()
    frames = torch.tensor(np.stack([GIVEN["q_a"], GIVEN["q_b"]]))
    projectors = to_geomstats(frames, manifold)
    np.testing.assert_allclose(projectors, frames.numpy() @ frames.mT.numpy(), atol=1e-15)
    np.testing.assert_allclose(projectors @ projectors, projectors, atol=1e-14)
    back = from_geomstats(projectors, manifold)
    assert back.shape == frames.shape
    assert float(manifold.dist(back, frames).max()) < 1e-14
    ours = math.sqrt(2) * float(manifold.dist(*back))
    assert ours == pytest.approx(PEERS["geomstats.grassmannian_dist.q"], abs=1e-12)


def test_points_of_spheres_are_rows(generator):
    metric = rg.AngularCKA()
    points = torch.stack([metric.embed(draw(7, 3, generator=generator)) for _ in range(2)])
    rows = to_geomstats(points, metric)
    assert rows.shape == (2, 49)
    # geomstats' Hypersphere: the arc cosine of the inner product.
    assert math.acos(rows[0] @ rows[1]) == pytest.approx(float(metric.dist(*points)), abs=1e-12)
    assert bool((from_geomstats(rows, metric) == points).all())
    line = torch.tensor([0.6, 0.8])
    assert bool((from_geomstats(to_geomstats(line, rg.UnitSphere(1)), rg.UnitSphere(1)) == line).all())


def test_metrics_stand_for_their_manifolds(generator):
    x = draw(20, 3, generator=generator)
    for metric in (rg.LinearSubspace(), rg.AffineInvariant("cov"), rg.BuresWasserstein("cov"), SHAPES):
        point = metric.embed(x)
        back = from_geomstats(to_geomstats(point, metric), metric)
        assert float(metric.dist(point, back)) < 1e-12


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (TypeError, lambda: to_geomstats(torch.eye(2), rg.Stress()), "no counterpart of Stress. Known: Ang"),
        (TypeError, lambda: from_geomstats(np.eye(2), rg.SizeAndShape()), "no counterpart of SizeAndShape"),
        (TypeError, lambda: from_geomstats(np.eye(2), rg.AngularPermutation()), "no counterpart of AngularP"),
        (
            TypeError,
            lambda: from_geomstats(np.eye(2), geoopt.Scaled(SPD["affine"], 2.0)),
            "no counterpart of Sc",
        ),
        (NotOnManifoldError, lambda: to_geomstats(torch.eye(3), SHAPES), "manifold AngularShape: .*projx"),
        (
            NotOnManifoldError,
            lambda: from_geomstats(-np.eye(3), SPD["affine"]),
            "manifold AffineInvariantSPD",
        ),
        (ShapeError, lambda: from_geomstats(np.ones(7), rg.AngularCKA()), "rows of m . m numbers, got 7"),
        (
            ShapeError,
            lambda: from_geomstats(np.ones((4, 2)), rg.Grassmannian()),
            r"got shape \(4, 2\). A frame",
        ),
        (
            NotOnManifoldError,
            lambda: from_geomstats(np.diag([1.0, 0.7]), rg.Grassmannian()),
            r"got some off by 0\.3, and ranks \[2\]. Project",
        ),
        (
            NotOnManifoldError,
            lambda: from_geomstats(np.stack([np.eye(2), np.diag([1.0, 0.0])]), rg.Grassmannian()),
            r"ranks \[1, 2\]",
        ),
    ],
)
def test_messages(error, call, words):
    with pytest.raises(error, match=words):
        call()
