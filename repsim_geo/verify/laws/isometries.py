"""The laws of isometries: two descriptions of one space have one geometry."""

from __future__ import annotations

import torch
from torch import Tensor

from repsim_geo.verify.isometry import Isometry
from repsim_geo.verify.scenes import Scene
from repsim_geo.verify.statements import chapter

_FIRST, first = chapter(order=0)
_SECOND, second = chapter(order=1)
_THIRD, third = chapter(order=3)


@first("Distances agree: d(f(x), f(y)) = d(x, y).", "dist", "rounding")
def distances_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, y = scene.x, scene.y
    return (pair.target.dist(pair.f(x), pair.f(y)) - pair.source.dist(x, y)).abs() / scene.scale


@second("Inner products agree: <Df(u), Df(v)> = <u, v>.", "inner", "rounding")
def inner_products_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, u, v = scene.x, scene.u, scene.v
    carried = pair.target.inner(pair.f(x), pair.push(x, u), pair.push(x, v))
    return (carried - pair.source.inner(x, u, v)).abs() / (pair.source.norm(x, u) * pair.source.norm(x, v))


@second("Logarithms agree: Df(log_x(y)) = log_f(x)(f(y)).", "logmap inner", "composed")
def logarithms_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, y = scene.x, scene.y
    carried = pair.push(x, pair.source.logmap(x, y))
    return pair.length(pair.f(x), carried - pair.target.logmap(pair.f(x), pair.f(y))) / scene.scale


@second("Exponentials agree: f(exp_x(u)) = exp_f(x)(Df(u)).", "expmap", "composed")
def exponentials_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, u = scene.x, scene.u
    return _apart(pair.f(pair.source.expmap(x, u)), pair.target.expmap(pair.f(x), pair.push(x, u)))


@second("Geodesics agree: f(g(t)) is the geodesic from f(x) to f(y).", "geodesic", "composed")
def geodesics_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, y = scene.x, scene.y
    return _apart(pair.f(pair.source.geodesic(0.3, x, y)), pair.target.geodesic(0.3, pair.f(x), pair.f(y)))


@third("Transport agrees: Df(transp(v)) = transp(Df(v)).", "transp inner", "transport")
def transports_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, y, v = scene.x, scene.y, scene.v
    carried = pair.push(y, pair.source.transp(x, y, v))
    moved = pair.target.transp(pair.f(x), pair.f(y), pair.push(x, v))
    return pair.length(pair.f(y), carried - moved) / pair.source.norm(x, v)


@third("Transport along a velocity agrees.", "carry expmap inner", "transport")
def carried_vectors_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, u, v = scene.x, scene.u, scene.v
    end = pair.source.expmap(x, u)
    carried = pair.push(end, pair.source.carry(x, u, v))
    moved = pair.target.carry(pair.f(x), pair.push(x, u), pair.push(x, v))
    return pair.length(pair.f(end), carried - moved) / pair.source.norm(x, v)


@third("Sectional curvatures agree.", "sectional_curvature inner", "composed")
def curvatures_agree(pair: Isometry, scene: Scene) -> Tensor:
    x, u, v = scene.x, scene.u, scene.v
    bent = pair.target.sectional_curvature(pair.f(x), pair.push(x, u), pair.push(x, v))
    expected = pair.source.sectional_curvature(x, u, v)
    # A quotient by the area of the parallelogram, relative to which its rounding is measured.
    area = 1 - (pair.source.inner(x, u, v) / (pair.source.norm(x, u) * pair.source.norm(x, v))).square()
    largest = torch.maximum(expected.abs(), 1 / scene.scale.square())
    return ((bent - expected).abs() / largest * area).nan_to_num(0.0)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1)


ISOMETRY_LAWS = (*_FIRST, *_SECOND, *_THIRD)
