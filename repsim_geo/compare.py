"""The distance of two representations, in one call."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from repsim_geo import _checks
from repsim_geo.numerics.tracing import constant, readable
from repsim_geo.pairwise.engine import pairwise
from repsim_geo.registry import Method, as_metric

# Inputs up to which matrices of all their pairs are made.
_LARGEST = 4096


def compare(x: Any, y: Any, method: Method = "angular_cka", **options: Any) -> Tensor:
    """
    Distance between two representations of the same inputs.

    Parameters
    ----------
    x, y : Tensor or array, shape (m, d) or (batch, m, d)
        Activations; row i of `x` and row i of `y` belong to the same input. The numbers of units may
        differ. float32 or float64. Four axes are convolutional activations (m, c, h, w), flattened to
        (m, c h w); five are a batch of them.
    method : str, metric, or (nn.Module, geoopt.Manifold)
        Name of a metric (see `available_metrics`), a metric, or an embedding with a manifold.
    **options
        Keyword arguments of the named metric, such as ``debiased=True`` or ``whiten=0.5``.

    Returns
    -------
    Tensor, shape (*batch)
        Always a distance: 0 for representations that the metric cannot tell apart. The unit is that of
        the metric's card. Differentiable, with zero gradient at distance zero.

    Raises
    ------
    ShapeError
        Different numbers of rows, too few rows, not matrices.
    TypeError
        Integers or half precision, mixed dtypes, unknown options.
    ValueError
        Not finite, also on the way to the distance, or on different devices.
    DegenerateRepresentationError
        Nothing to compare, for example a constant representation.
    UnknownMetricError
        No such name.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(50, 10)
    >>> y = x @ torch.linalg.qr(torch.randn(10, 10)).Q  # the same network, rotated
    >>> bool(compare(x, y, "angular_cka") < 1e-3)
    True
    """
    metric = as_metric(method, **options)
    a, b = _checks.as_activations(x, "x"), _checks.as_activations(y, "y")
    _checks.check_pair(a, b, "compare()", batched=not metric.takes_repeats)
    for w, name in ((a, "x"), (b, "y")):
        metric.check_input(w, name)
    if a.dim() == b.dim() == 2 and len(a) > _LARGEST and constant(a) and constant(b):
        # Through products of units or blocks of inputs: no matrix of all pairs of inputs.
        return pairwise([a, b], metric)[0, 1]
    metric = metric.resolve([a, b])
    distance = metric.between(metric.prepare(a), metric.prepare(b))
    if readable(distance):
        _checks.check_distances(distance, "compare()")
    return distance
