"""
RDMs of rsatoolbox from activations or points, and points from RDMs.

rsatoolbox keeps squared Euclidean distances, divided by the number of units, as vectors of the pairs i < j;
points here are square matrices. Only what makes an ``RDMs`` needs rsatoolbox; what reads one does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo._extras import need
from repsim_geo.compat._arrays import as_array, as_floats, as_matrix
from repsim_geo.embeddings.rdm import DISSIMILARITIES, RDM
from repsim_geo.errors import ShapeError
from repsim_geo.kernels.linear import Linear
from repsim_geo.kernels.maps import squared_distance_matrix
from repsim_geo.metrics.angular_rdm import AngularRDM
from repsim_geo.metrics.stress import Stress
from repsim_geo.numerics.dissimilarities import upper_triangle

# As rsatoolbox calls them.
_MEASURES = {"sqeuclidean": "squared euclidean", "correlation": "correlation"}
_LABELS = ("descriptors", "rdm_descriptors", "pattern_descriptors")

Metric = AngularRDM | Stress | None


def calc_rdm(networks: Sequence[Any], dissimilarity: str = "sqeuclidean", **labels: Any) -> Any:
    """
    RDMs of activations, with the numbers of ``rsatoolbox.rdm.calc_rdm``.

    Parameters
    ----------
    networks : sequence of n arrays, shape (m, d_i)
    dissimilarity : "sqeuclidean" or "correlation"
        Squared Euclidean distances divided by the number of units, or one minus Pearson's correlation.
    **labels
        ``descriptors``, ``rdm_descriptors`` (n values each) and ``pattern_descriptors`` (m values each), as
        for ``rsatoolbox.rdm.RDMs``.

    Returns
    -------
    rsatoolbox.rdm.RDMs

    Raises
    ------
    ShapeError
        Different numbers of inputs.
    ValueError
        A dissimilarity that rsatoolbox does not have.
    ImportError
        rsatoolbox is missing.

    Notes
    -----
    Inputs stay in their order. rsatoolbox sorts them by a descriptor, if it is given one: as text, so that
    "s10" comes before "s2".
    """
    if dissimilarity not in _MEASURES:
        raise ValueError(
            f"dissimilarity must be 'sqeuclidean' or 'correlation', got {dissimilarity!r}. Hand matrices of "
            "other dissimilarities to to_rsatoolbox()."
        )
    xs = [as_matrix(x, f"networks[{i}]").double() for i, x in enumerate(networks)]
    if len({len(x) for x in xs}) != 1:
        raise ShapeError(
            f"networks must describe the same inputs, got {[len(x) for x in xs]} rows. Select the common "
            "inputs first."
        )
    if dissimilarity == "sqeuclidean":
        matrices = [squared_distance_matrix(x) / x.shape[-1] for x in xs]
    else:
        matrices = [RDM(DISSIMILARITIES[dissimilarity], Linear())(x) for x in xs]
    return to_rsatoolbox(torch.stack(matrices), measure=_MEASURES[dissimilarity], **labels)


def to_rsatoolbox(
    points: Any,
    metric: Metric = None,
    *,
    units: int | Sequence[int] = 1,
    measure: str | None = None,
    **labels: Any,
) -> Any:
    """
    RDMs of points.

    Parameters
    ----------
    points : Tensor or array, shape (n, m, m) or (m, m)
    metric : Stress or AngularRDM, optional
        Whose points these are. Distances of `Stress` are squared. Dissimilarities of `AngularRDM` have lost
        their size; whitened ones are no dissimilarities. None takes matrices of dissimilarities as they are.
    units : int or sequence of n int
        Numbers of units by which squared distances are divided, as rsatoolbox does; for `Stress`.
    measure : str, optional
        What to call the dissimilarity; default what the metric says.
    **labels
        ``descriptors``, ``rdm_descriptors`` and ``pattern_descriptors``, as for ``rsatoolbox.rdm.RDMs``.

    Returns
    -------
    rsatoolbox.rdm.RDMs

    Raises
    ------
    ShapeError
        Not square.
    TypeError
        A metric that is not made of dissimilarities.
    ImportError
        rsatoolbox is missing.
    """
    wrong = sorted(set(labels) - set(_LABELS))
    if wrong:
        raise TypeError(f"RDMs have no {wrong[0]!r}. Labels are {', '.join(_LABELS)}.")
    d = _checks.as_activations(as_floats(points), "points").double()
    d = d[None] if d.dim() == 2 else d
    if d.shape[-1] != d.shape[-2]:
        raise ShapeError(
            f"points must be square matrices (n, m, m) of dissimilarities, got {tuple(d.shape)}. "
            "calc_rdm() takes activations."
        )
    if isinstance(metric, Stress):
        _check_plain(metric)
        d = d.square() / _per_network(units, len(d))
        measure = measure or _MEASURES["sqeuclidean"]
    elif metric is not None:
        _check_angular(metric)
        measure = measure or _MEASURES.get(metric.dissimilarity, metric.dissimilarity)
    module = need("rsatoolbox.rdm", "compat", "to_rsatoolbox")
    kept = {name: dict(value) for name, value in labels.items() if value is not None}
    return module.RDMs(as_array(upper_triangle(d)), dissimilarity_measure=measure, **kept)


def from_rsatoolbox(rdms: Any, metric: Metric = None, *, units: int | Sequence[int] = 1) -> Tensor:
    """
    Points that RDMs stand for.

    Parameters
    ----------
    rdms : rsatoolbox.rdm.RDMs
        Or anything with ``dissimilarities`` (n, pairs), ``n_cond`` and ``dissimilarity_measure``.
    metric : Stress or AngularRDM, optional
        Whose points to return. `Stress` takes roots of squared Euclidean distances; `AngularRDM` takes
        dissimilarities as they are, but roots of squared Euclidean ones for "euclidean". None returns the
        square matrices.
    units : int or sequence of n int
        Numbers of units by which rsatoolbox has divided squared distances, for `Stress`. With 1 distances
        are root mean squares over units.

    Returns
    -------
    Tensor, shape (n, m, m), float64
        In the order of the RDMs and of their patterns.

    Raises
    ------
    ShapeError
        Numbers of pairs and patterns that do not fit.
    ValueError
        Missing pairs (nan), or negative squared distances for `Stress`, as crossvalidation makes them.
    TypeError
        A metric that is not made of dissimilarities.
    """
    vectors = torch.as_tensor(as_floats(rdms.dissimilarities)).double()
    m = int(rdms.n_cond)
    if vectors.dim() != 2 or vectors.shape[-1] != m * (m - 1) // 2:
        raise ShapeError(
            f"RDMs of {m} patterns must have {m * (m - 1) // 2} dissimilarities each, got shape "
            f"{tuple(vectors.shape)}. Make them with rsatoolbox.rdm.RDMs."
        )
    missing = int(vectors.isnan().any(-1).sum())
    if missing:
        raise ValueError(
            f"RDMs must be complete, and {missing} of {len(vectors)} have pairs that are nan. Keep the "
            "patterns that all of them have, with subset_pattern()."
        )
    d = vectors.new_zeros(len(vectors), m, m)
    i, j = torch.triu_indices(m, m, 1)
    d[:, i, j] = d[:, j, i] = vectors
    squared = str(getattr(rdms, "dissimilarity_measure", "")) == _MEASURES["sqeuclidean"]
    if metric is None:
        return d
    if isinstance(metric, Stress):
        _check_plain(metric)
        if not squared:
            raise ValueError(
                "Stress compares Euclidean distances, got RDMs of "
                f"{getattr(rdms, 'dissimilarity_measure', None)!r}. Use AngularRDM, or RDMs of method "
                "'euclidean'."
            )
        return _root(d * _per_network(units, len(d)))
    _check_angular(metric)
    if metric.dissimilarity == "euclidean" and squared:
        d = _root(d)
    return metric.embed_dissimilarities(d)


def labels(rdms: Any) -> dict[str, dict[str, Any]]:
    """
    Descriptors of RDMs, to hand them on to `to_rsatoolbox`.

    Parameters
    ----------
    rdms : rsatoolbox.rdm.RDMs

    Returns
    -------
    dict
        With ``descriptors``, ``rdm_descriptors`` and ``pattern_descriptors``.
    """
    return {name: dict(getattr(rdms, name)) for name in _LABELS}


def _root(squares: Tensor) -> Tensor:
    if bool((squares < 0).any()):
        raise ValueError(
            f"squared distances must not be negative to have roots, got {float(squares.min()):.3g}. "
            "Crossvalidated ones can be: compare them by AngularRDM('sqeuclidean')."
        )
    return squares.sqrt()


def _per_network(units: int | Iterable[int], n: int) -> Tensor:
    counts = torch.as_tensor(np.atleast_1d(np.asarray(units)), dtype=torch.float64)
    if counts.dim() != 1 or len(counts) not in (1, n) or bool((counts < 1).any()):
        raise ValueError(
            f"units must be one positive number, or one for each of {n} RDMs, got {units!r}. They are the "
            "numbers of columns of the activations."
        )
    return counts[:, None, None]


def _check_plain(metric: Stress) -> None:
    if metric.rescale or type(metric.embedding.kernel) is not Linear:
        raise TypeError(
            f"RDMs are distances between activations, got Stress({metric.extra_repr()}), whose points are "
            "not. Use Stress()."
        )


def _check_angular(metric: Any) -> None:
    if not isinstance(metric, AngularRDM):
        raise TypeError(
            f"metric must be Stress or AngularRDM, got {type(metric).__name__}. Points of other metrics are "
            "no dissimilarities; hand to_rsatoolbox() matrices of them, and no metric."
        )
