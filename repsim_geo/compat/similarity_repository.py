"""
Measures under the identifiers of similarity-repository (Cloos et al. 2024).

An identifier reads ``measure/{repository}/{measure}``; the name of the measure says what is computed, down to
the estimator: ``cka-kernel=linear-hsic=song-distance=angular``. Ours are ``measure/repsim_geo/...``, for the
names of the collection that this package covers, and ``repsim_geo/{metric}`` for every metric of
`available_metrics`.

Covered: CKA of linear, RBF and Laplace kernels by the estimators ``gretton`` and ``song``; Procrustes and
normalized Bures similarity; shape and permutation metrics; canonical correlations, SVCCA by variance, PWCCA;
RSA by cosine, Pearson and their whitened forms. Not covered: ``lange`` CKA, rank comparisons of RDMs,
nearest neighbors, regressions, topology, and whatever a name leaves open, such as ``svcca-score``.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable
from functools import partial
from typing import Any

import repsim_geo.registry as registry
from repsim_geo import scores
from repsim_geo.compare import compare
from repsim_geo.compat._arrays import as_pair
from repsim_geo.errors import UnknownMetricError
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.laplace import Laplace
from repsim_geo.kernels.rbf import RBF

Measure = Callable[..., float]
_PREFIX = "measure/repsim_geo/"


def measure(identifier: str) -> Measure:
    """
    Measure of an identifier.

    Parameters
    ----------
    identifier : str
        ``measure/repsim_geo/{name}``, ``repsim_geo/{metric}``, or only the name of a measure. Parameters may
        have values: ``shape_metric-alpha=0.5-distance=angular``, ``svcca-var=0.95-score``.

    Returns
    -------
    callable
        From two arrays (m, d_i) to a number. Parameters without a value are keyword arguments, with a
        default: ``alpha=1.0``, ``sigma=1.0``, ``var=0.99``.

    Raises
    ------
    UnknownMetricError
        Nothing of that name; suggests the nearest.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([[1.0], [-1.0], [0.0], [0.0]]), np.array([[0.0], [0.0], [1.0], [-1.0]])
    >>> measure("measure/repsim_geo/cka-kernel=linear-hsic=gretton-distance=angular")(x, y)
    1.5707...
    """
    known = _table()
    for name in (identifier, _PREFIX + identifier):
        if name in known:
            return known[name]
        for pattern, found in known.items():
            values = _values(pattern, name)
            if values:
                return partial(found, **values)
    near = difflib.get_close_matches(
        identifier.removeprefix(_PREFIX), [name.removeprefix(_PREFIX) for name in known], n=1
    )
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownMetricError(
        f"no measure called {identifier!r}.{hint} measures() has all {len(known)}; those of other "
        "repositories are in similarity-repository itself."
    )


def measures(pattern: str = "*") -> dict[str, Measure]:
    """
    All measures whose identifier matches a pattern.

    Parameters
    ----------
    pattern : str
        With ``*`` for anything, as in ``"measure/*/procrustes-*"``.

    Returns
    -------
    dict from identifier to callable

    Examples
    --------
    >>> sorted(measures("measure/*/nbs-*"))
    ['measure/repsim_geo/nbs-distance=angular', 'measure/repsim_geo/nbs-score']
    """
    return {name: found for name, found in _table().items() if fnmatch.fnmatchcase(name, pattern)}


def register(add: Callable[[str, Measure], Any]) -> list[str]:
    """
    Hand all measures to a registry, such as that of similarity-repository: ``register(similarity.register)``.

    Parameters
    ----------
    add : callable
        Called with every identifier and its measure.

    Returns
    -------
    list of str
        What was registered.

    Examples
    --------
    >>> table = {}
    >>> names = register(table.__setitem__)
    >>> names == list(table), "repsim_geo/stress" in table
    (True, True)
    """
    known = _table()
    for name, found in known.items():
        add(name, found)
    return list(known)


# ---------------------------------------------------------------------------------------------------------
# What the names mean
# ---------------------------------------------------------------------------------------------------------


def _distance(X: Any, Y: Any, method: str, **options: Any) -> float:
    x, y = as_pair(X, Y, "the measure")
    return float(compare(x, y, method, **options))


def _cosine(X: Any, Y: Any, method: str, **options: Any) -> float:
    x, y = as_pair(X, Y, "the measure")
    return float(compare(x, y, method, **options).cos())


def _squared(X: Any, Y: Any, method: str) -> float:
    return _distance(X, Y, method) ** 2


def _score(X: Any, Y: Any, score: Callable[..., Any], **options: Any) -> float:
    return float(score(*as_pair(X, Y, "the measure"), **options))


def _one_minus(X: Any, Y: Any, score: Callable[..., Any]) -> float:
    return 1 - _score(X, Y, score)


def _mean_correlation(x: Any, y: Any) -> Any:
    return scores.canonical_correlations(x, y).mean(-1)


def _mean_squared_correlation(x: Any, y: Any) -> Any:
    return scores.canonical_correlations(x, y).square().mean(-1)


def _cka(
    X: Any, Y: Any, sigma: float = 1.0, *, kernel: Callable[[float], Kernel], angle: bool, debiased: bool
) -> float:
    if angle:
        return _distance(X, Y, "angular_cka", kernel=kernel(sigma), debiased=debiased)
    return _score(X, Y, scores.cka, kernel=kernel(sigma), debiased=debiased)


def _shape(X: Any, Y: Any, alpha: float = 1.0, *, method: str, cosine: bool = False) -> float:
    """As netrep whitens."""
    options: Any = {"whiten": 1 - alpha, "cov": "gram", "preserve_variance": True}
    return (_cosine if cosine else _distance)(X, Y, method, **options)


def _svcca(X: Any, Y: Any, var: float = 0.99) -> float:
    return _score(X, Y, scores.svcca, variance=var)


def _table() -> dict[str, Measure]:
    named = {_PREFIX + name: found for name, found in _standard().items()}
    return named | {
        f"repsim_geo/{key}": partial(_distance, method=key) for key in registry.available_metrics()
    }


def _standard() -> dict[str, Measure]:
    """Measures by the standard names; braces mark parameters."""
    table: dict[str, Measure] = {}
    for hsic, debiased in (("gretton", False), ("song", True)):
        name = f"cka-kernel=linear-hsic={hsic}"
        table[f"{name}-score"] = partial(_score, score=scores.cka, debiased=debiased)
        table[f"{name}-distance=angular"] = partial(_distance, method="angular_cka", debiased=debiased)
        for label, kernel in (("rbf", RBF), ("laplace", Laplace)):
            name = f"cka-kernel=({label}-sigma={{sigma}})-hsic={hsic}"
            for ending, angle in (("score", False), ("distance=angular", True)):
                table[f"{name}-{ending}"] = partial(_cka, kernel=kernel, angle=angle, debiased=debiased)
    table["cka-kernel=linear-hsic=gretton-distance=one_minus_score"] = partial(_one_minus, score=scores.cka)
    for name in ("procrustes", "nbs"):
        table[f"{name}-distance=angular"] = partial(_distance, method="angular_shape")
        table[f"{name}-score"] = partial(_score, score=scores.nbs)
    table["procrustes-distance=euclidean"] = partial(_distance, method="size_and_shape")
    table["procrustes-distance=squared_euclidean"] = partial(_squared, method="size_and_shape")
    name = "shape_metric-alpha={alpha}"
    table[f"{name}-distance=angular"] = partial(_shape, method="angular_shape")
    table[f"{name}-distance=euclidean"] = partial(_shape, method="size_and_shape")
    table[f"{name}-score"] = partial(_shape, method="angular_shape", cosine=True)
    table["permutation_metric-distance=angular"] = partial(_distance, method="angular_permutation")
    table["permutation_metric-distance=euclidean"] = partial(_distance, method="permutation")
    table["cca-score"] = partial(_score, score=_mean_correlation)
    table["cca-squared_score"] = partial(_score, score=_mean_squared_correlation)
    table["svcca-var={var}-score"] = _svcca
    table["pwcca-score"] = partial(_score, score=scores.pwcca)
    table["pwcca-distance=one_minus_score"] = partial(_one_minus, score=scores.pwcca)
    rdms = (
        ("squared_euclidean", "sqeuclidean"),
        ("euclidean", "euclidean"),
        ("correlation", "correlation"),
        ("cosine", "cosine"),
    )
    comparisons = (
        ("cosine", False, False),
        ("pearson", True, False),
        ("cosine_cov", False, True),
        ("corr_cov", True, True),
    )
    for rdm, dissimilarity in rdms:
        for comparison, centered, whitened in comparisons:
            table[f"rsa-rdm={rdm}-compare={comparison}"] = partial(
                _cosine,
                method="angular_rdm",
                dissimilarity=dissimilarity,
                centered=centered,
                whitened=whitened,
            )
    return table


def _values(pattern: str, name: str) -> dict[str, float]:
    """Value of the one parameter of a pattern, if a name has it: ``alpha={alpha}`` and ``alpha=0.5``."""
    if "{" not in pattern:
        return {}
    before, _, rest = pattern.partition("{")
    parameter, _, after = rest.partition("}")
    said = name[len(before) : len(name) - len(after)]
    if not (name.startswith(before) and name.endswith(after) and said):
        return {}
    try:
        return {parameter: float(said)}
    except ValueError:
        return {}
