"""Features of what lies between two networks, and how long the read-out of one stays right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._extras import need
from repsim_geo.errors import ShapeError
from repsim_geo.invariances import ORTHOGONAL
from repsim_geo.manifolds.functional import path
from repsim_geo.numerics.alignment import align
from repsim_geo.registry import Method, as_metric


@dataclass(frozen=True)
class ReadOuts:
    """
    How well linear read-outs do along the geodesic between two networks.

    Attributes
    ----------
    times : Tensor, shape (k,)
        Fractions of the way.
    distance : float
        Of the two networks, in the unit of the metric.
    first, second : Tensor, shape (k,)
        Score, on rows that were not trained on, of the read-out that was trained on the first network, and of
        that of the second.
    anew : Tensor, shape (k,)
        Score of a read-out that was trained at each time.
    """

    times: Tensor
    distance: float
    first: Tensor
    second: Tensor
    anew: Tensor


@torch.no_grad()
def interpolate(
    x: Any, y: Any, times: Sequence[float] | Tensor, method: Method = "angular_cka", **options: Any
) -> Tensor:
    """
    Features of points on the geodesic between two representations.

    Parameters
    ----------
    x : Tensor or array, shape (m, d)
    y : Tensor or array, shape (m, e)
        Of the same inputs.
    times : sequence of k floats
        From 0 (the first) to 1 (the second); others as long as activations have the point.
    method : str, metric
        With ``geodesic`` and ``realize``, whose features belong to the inputs: not the modes of covariances,
        and no pair of embedding and manifold.
    **options
        Of a metric that is given by name.

    Returns
    -------
    Tensor, shape (k, m, p)
        Centered. With the linear kernel their embeddings are the points of the geodesic; see Notes.

    Raises
    ------
    ShapeError, TypeError, ValueError, DegenerateRepresentationError, UnknownMetricError
        As `compare`; times that are not numbers; a metric whose features are not those of the inputs.
    NotOnManifoldError
        The geodesic leaves the points that activations have.
    NotImplementedError
        The metric has no ``realize``.

    Notes
    -----
    A metric that does not notice rotations determines features only up to one. Of all that have the right
    point, those nearest to the features at time 0 are returned (orthogonal Procrustes), so that a result does
    not depend on which other times were asked for. For shape metrics that is what their geodesics do anyway:
    ``(1 - t) x + t y q``, with the best rotation q, up to size. Metrics that do notice rotations, as those of
    permutations, have features of their own.

    The alignment sees the space that the features at time 0 span. In directions outside of it, where those
    are zero, features stay free to turn, and can jump with time; read-outs trained at time 0 with a penalty
    have no weight there.

    The size is that of the metric, such as Gram matrices of norm one, and not that of the networks. For
    kernels other than the linear one these are features in the space of the kernel. `AngularCKA.blend` gives
    the same geodesic as units of both networks side by side; there the read-out of the first network ignores
    the units of the second, so that classes by its largest output never change before time 1.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[1.0], [0.0], [-1.0]])
    >>> features = interpolate(x, y, [0.0, 0.5, 1.0], "size_and_shape")
    >>> features[..., 0].round(decimals=4)
    tensor([[ 1.0000, -1.0000,  0.0000],
            [ 1.0000, -0.5000, -0.5000],
            [ 1.0000,  0.0000, -1.0000]])
    """
    metric, a, b = _resolved(x, y, method, options)
    t = _as_times(times)
    # The start comes first, to be turned to.
    points = path(metric, metric.embed(a), metric.embed(b), torch.cat([t.new_zeros(1), t]))
    features = _realized(metric, points, len(a))
    return _turned(metric, features[1:], features[0])


@torch.no_grad()
def read_out_along(
    x: Any,
    y: Any,
    labels: Any,
    times: Sequence[float] | Tensor,
    method: Method = "angular_cka",
    *,
    train: Any,
    model: Any = None,
    **options: Any,
) -> ReadOuts:
    """
    Scores of linear read-outs along the geodesic between two representations.

    Parameters
    ----------
    x : Tensor or array, shape (m, d)
    y : Tensor or array, shape (m, e)
    labels : array-like, shape (m,), or (m, q) for numbers
        What to read out: classes (whole numbers or text) or numbers (floats).
    times : sequence of k floats
    method : str, metric
        See `interpolate`.
    train : array-like of bool, shape (m,)
        Rows to train on; scores are those on the others.
    model : scikit-learn estimator, optional
        With ``fit`` and ``score``; copies of it are trained. Default is logistic regression with C=100 for
        classes, whose score is the accuracy, and ridge regression with alpha=0.01 m for numbers, whose score
        is R².
    **options
        Of a metric that is given by name.

    Returns
    -------
    ReadOuts

    Raises
    ------
    As `interpolate`, and:
    ShapeError
        Labels or `train` that do not have one entry for each row.
    ValueError
        No row to train on, or none to test on.
    ImportError
        scikit-learn is missing.

    Notes
    -----
    The read-out of an end sees, at every time, the features in the position that is nearest to those of its
    own end: it is right as long as what it reads is still there, wherever it has gone. `anew` says whether it
    is there at all. All three agree at the ends where they are trained.

    All features are scaled by one number, with which the first network has rows of mean squared length one;
    penalties refer to that. The features, and their alignment, come from all rows, trained on or not, as the
    geodesic does; labels of rows to test on are not used.

    Examples
    --------
    Two networks that show a class in different units:

    >>> import torch
    >>> label = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    >>> noise = 0.1 * torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    >>> x, y = noise + label[:, None] * torch.tensor([[1.0, 0.0]]), noise - label[:, None]
    >>> train = [True, True, False, False] * 2
    >>> found = read_out_along(x, y, label, [0.0, 0.5, 1.0], "angular_shape", train=train)
    >>> found.first.tolist(), found.anew.tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    """
    metric, a, b = _resolved(x, y, method, options)
    t = _as_times(times)
    labels, train = _as_labels(labels, len(a)), _as_rows(train, len(a))
    start, end = metric.embed(a), metric.embed(b)
    points = path(metric, start, end, torch.cat([t.new_tensor([0.0, 1.0]), t]))
    features = _realized(metric, points, len(a)).double()
    features = features * (math.sqrt(len(a)) / features[0].norm())
    model = _usual(labels, len(a)) if model is None else model
    scores = [
        _scores_of(model, _turned(metric, features, home), home, labels, train) for home in features[:2]
    ]
    clone = need("sklearn.base", "stats", "read_out_along").clone
    anew = [_fitted(clone(model), f, labels, train).score(_rows(f, ~train), labels[~train]) for f in features]
    first, second, anew = (torch.tensor(s[2:], dtype=torch.float64) for s in (*scores, anew))
    return ReadOuts(t, float(metric.dist(start, end)), first, second, anew)


def _scores_of(model: Any, features: Tensor, home: Tensor, labels: Any, train: Any) -> list[float]:
    """Scores of a model that was trained at one end, at all times."""
    clone = need("sklearn.base", "stats", "read_out_along").clone
    trained = _fitted(clone(model), home, labels, train)
    return [trained.score(_rows(f, ~train), labels[~train]) for f in features]


def _fitted(model: Any, features: Tensor, labels: Any, train: Any) -> Any:
    return model.fit(_rows(features, train), labels[train])


def _rows(features: Tensor, rows: Any) -> np.ndarray:
    return features.cpu().numpy()[rows]


def _usual(labels: np.ndarray, m: int) -> Any:
    linear = need("sklearn.linear_model", "stats", "read_out_along")
    if labels.dtype.kind == "f":
        return linear.Ridge(alpha=0.01 * m)
    return linear.LogisticRegression(C=100.0, max_iter=2000)


def _resolved(x: Any, y: Any, method: Method, options: dict[str, Any]) -> tuple[Any, Tensor, Tensor]:
    """Metric with fixed sizes, and both representations, checked."""
    metric: Any = as_metric(method, **options)
    if not hasattr(metric, "geodesic"):
        raise TypeError(
            f"method must be a metric with geodesic and realize, got {type(metric).__name__}. Take one of "
            "available_metrics()."
        )
    a, b = _checks.as_activations(x, "x"), _checks.as_activations(y, "y")
    _checks.check_pair(a, b, "interpolate()")
    for w, name in ((a, "x"), (b, "y")):
        if w.dim() != 2:
            raise ShapeError(
                f"{name} must be one representation (m, d), got shape {tuple(w.shape)}. Interpolate between "
                "the networks of a batch one after the other."
            )
        metric.check_input(w, name)
    return metric.resolve([a, b]), a, b


def _as_times(times: Any) -> Tensor:
    t = torch.as_tensor(times, dtype=torch.float64)
    if t.dim() != 1 or not t.numel() or not bool(t.isfinite().all()):
        raise ValueError(
            f"times must be a row of finite numbers, got {times!r}. Both ends and the middle are [0, 0.5, 1]."
        )
    return t


def _realized(metric: Any, points: Tensor, m: int) -> Tensor:
    # Covariances are realized by other inputs, of which there may happen to be as many.
    features = None if getattr(metric, "mode", "gram") == "cov" else metric.realize(points)
    if not isinstance(features, Tensor) or features.shape[:-1] != (len(points), m):
        raise ValueError(
            f"method must realize points by features of the same {m} inputs, which {metric!r} does not. Take "
            "the mode 'gram', or a metric of shapes."
        )
    return features


def _turned(metric: Any, features: Tensor, home: Tensor) -> Tensor:
    """Features (k, m, p) turned to others (m, p), where the metric does not notice rotations."""
    if ORTHOGONAL not in metric.card.invariances:
        return features
    return align(home.expand_as(features), features).matrix.to(features)


def _as_labels(labels: Any, m: int) -> np.ndarray:
    values = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if values.ndim not in (1, 2) or len(values) != m:
        raise ShapeError(
            f"labels must have one entry for each of the {m} rows, got shape {values.shape}. Select the "
            "labels of the inputs that were shown."
        )
    return values


def _as_rows(train: Any, m: int) -> np.ndarray:
    rows = np.asarray(train.detach().cpu() if isinstance(train, Tensor) else train)
    if rows.shape != (m,) or rows.dtype != bool:
        raise ShapeError(
            f"train must be a truth value for each of the {m} rows, got {rows.dtype} of shape {rows.shape}. "
            "Every other row: numpy.arange(m) % 2 == 0."
        )
    if rows.all() or not rows.any():
        raise ValueError(
            f"train must leave rows on both sides, got {int(rows.sum())} of {m} to train on. Split them."
        )
    return rows
