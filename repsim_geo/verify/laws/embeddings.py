"""The laws of metrics: an embedding of networks, and a manifold of their points."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.manifolds.functional import geodesic
from repsim_geo.verify.measures import EmbeddedMeasure
from repsim_geo.verify.networks import NetworkScene
from repsim_geo.verify.statements import chapter

EMBEDDING_LAWS, law = chapter(order=1)


@law("Networks become points of the manifold, of the dtype of their activations.", "", "yes or no")
def embedded_networks_are_points(measure: EmbeddedMeasure, scene: NetworkScene) -> Tensor:
    manifold, points = measure.manifold, measure.points(scene)
    wrong = [not manifold.check_point_on_manifold(p) or p.dtype != scene.x.dtype for p in points]
    return torch.tensor(wrong).double()


@law(
    "The distance splits along a geodesic of networks: d(x, g(t)) = t d(x, y), d(g(t), y) = (1 - t) d(x, y).",
    "geodesic",
    "composed",
    source="length space",
)
def geodesics_of_networks_split_the_distance(measure: EmbeddedMeasure, scene: NetworkScene) -> Tensor:
    manifold, (x, y, _) = measure.manifold, measure.points(scene)
    d, worst = manifold.dist(x, y), torch.zeros_like(measure.unit(scene))
    size = torch.maximum(
        measure.unit(scene), torch.maximum(manifold.norm(x, x), manifold.norm(y, y)).double()
    )
    for t in (0.25, 0.5, 0.9):
        g = geodesic(manifold, t, x, y)
        for value in (manifold.dist(x, g) - t * d, manifold.dist(g, y) - (1 - t) * d):
            worst = torch.maximum(worst, value.abs().double() / size)
    return worst


@law("What is prepared once for each network gives the distance of its points.", "prepare", "composed")
def prepared_networks_have_the_same_distance(measure: EmbeddedMeasure, scene: NetworkScene) -> Tensor:
    manifold, (x, y, _) = measure.manifold, measure.points(scene)
    between = measure.between(scene, "x y")
    return (between - manifold.dist(x, y).double()).abs() / measure.unit(scene)


@law("The table of all distances holds those of the pairs.", "table", "composed")
def tables_of_networks_hold_their_distances(measure: EmbeddedMeasure, scene: NetworkScene) -> Tensor:
    metric = measure.metric
    # One more row than columns, so that a transposed table is noticed.
    a, b = metric.prepare(scene.x), metric.prepare(scene.y[:-1] if len(scene.y) > 1 else scene.y)
    i, j = torch.cartesian_prod(torch.arange(len(a)), torch.arange(len(b))).unbind(-1)
    pairs = metric.between(a[i], b[j]).reshape(len(a), len(b))
    return (metric.between_all(a, b) - pairs).double().abs().amax(-1) / measure.unit(scene)
