"""Metrics by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from geoopt.manifolds import Scaled
from geoopt.manifolds.base import Manifold
from torch import nn

from repsim_geo.errors import UnknownMetricError
from repsim_geo.metrics.affine_invariant import AffineInvariant
from repsim_geo.metrics.angular_cka import AngularCKA
from repsim_geo.metrics.angular_rdm import AngularRDM
from repsim_geo.metrics.base import EmbeddedManifold, MetricCard, RepresentationMetric, ScaledMetric
from repsim_geo.metrics.bures_wasserstein import BuresWasserstein
from repsim_geo.metrics.linear_subspace import LinearSubspace
from repsim_geo.metrics.log_euclidean import LogEuclidean
from repsim_geo.metrics.permutation import AngularPermutation, PermutationDistance
from repsim_geo.metrics.shape import AngularShape, SizeAndShape
from repsim_geo.metrics.soft_matching import SoftMatching
from repsim_geo.metrics.stochastic_shape import StochasticShape
from repsim_geo.metrics.stress import Stress

Method = str | RepresentationMetric | tuple[nn.Module, Manifold]


@dataclass(frozen=True)
class _Entry:
    factory: Callable[..., RepresentationMetric]
    card: MetricCard


_ENTRIES: dict[str, _Entry] = {}
_SCORES = ("hsic", "svcca", "pwcca", "nbs", "canonical_correlations")


def register_metric(key: str, factory: Callable[..., RepresentationMetric]) -> None:
    """
    Make a metric known by name to `compare`, `pairwise` and `available_metrics`.

    Parameters
    ----------
    key : str
        Lower case with underscores; must be new.
    factory : callable
        Returns the metric; its keyword arguments are the options.

    Raises
    ------
    ValueError
        If the name is taken or empty.
    TypeError
        If calling the factory without arguments does not give a metric with a card.

    Examples
    --------
    >>> from functools import partial
    >>> register_metric("procrustes_10", partial(SizeAndShape, p=10))
    >>> "procrustes_10" in available_metrics()
    True
    >>> del _ENTRIES["procrustes_10"]
    """
    if not isinstance(key, str) or not _normal(key):
        raise ValueError(f"a metric's name must be a nonempty string, got {key!r}.")
    if _normal(key) in _names():
        raise ValueError(f"a metric called {key!r} exists already. Choose another name.")
    try:
        card = factory().card
    except Exception as error:
        raise TypeError(
            f"the factory of {key!r} must give a metric with a card when called without arguments; it raised "
            f"{type(error).__name__}: {error}. Give defaults to its arguments, with functools.partial."
        ) from error
    _ENTRIES[_normal(key)] = _Entry(factory, card)


def available_metrics() -> dict[str, MetricCard]:
    """
    Card of every registered metric with its default options, by name.

    Returns
    -------
    dict from str to MetricCard

    Examples
    --------
    >>> available_metrics()["angular_cka"].unit
    'radians'
    """
    return {key: entry.card for key, entry in _ENTRIES.items()}


def options_of(key: str) -> list[str]:
    """
    Names of the options of a registered metric.

    Parameters
    ----------
    key : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> options_of("stress")
    ['kernel', 'rescale']
    """
    return _options(_ENTRIES[key].factory)


def metrics_table() -> str:
    """
    Table of all registered metrics in Markdown, from their cards.

    Returns
    -------
    str
        One row a metric: name, what the distance is, unit, range, and what it does not notice.

    Examples
    --------
    >>> print(metrics_table().splitlines()[0])
    | name | distance | unit | range | does not notice |
    """
    rows = ["| name | distance | unit | range | does not notice |", "|---|---|---|---|---|"]
    rows += [
        f"| `{key}` | {card.summary} | {card.unit} | {card.range_text()} | {card.invariance_names()} |"
        for key, card in available_metrics().items()
    ]
    return "\n".join(rows)


def as_metric(method: Method, **options: Any) -> RepresentationMetric:
    """
    Metric from a name, a metric, or a pair of embedding and manifold.

    Parameters
    ----------
    method : str, RepresentationMetric or (nn.Module, geoopt.Manifold)
    **options
        For a name: keyword arguments of the metric.

    Returns
    -------
    RepresentationMetric

    Raises
    ------
    UnknownMetricError
        No such name; suggests the nearest.
    TypeError
        An option that the metric does not have, or something that is no metric.
    """
    if isinstance(method, str):
        return _by_name(method, options)
    if options:
        raise TypeError(
            f"options {sorted(options)} apply only to a metric given by name, got {type(method).__name__}. "
            "Give them to the constructor of the metric instead."
        )
    if isinstance(method, tuple) and len(method) == 2 and isinstance(method[1], Manifold):
        return EmbeddedManifold(*method)
    if isinstance(method, type):
        raise TypeError(
            f"method must be a metric, got the class {method.__name__}. Call it: {method.__name__}()."
        )
    if isinstance(method, Scaled) and hasattr(method, "embed"):
        return ScaledMetric(method)
    if not isinstance(method, Scaled) and all(
        hasattr(method, name) for name in ("embed", "prepare", "between", "resolve")
    ):
        return method  # type: ignore[return-value]
    raise TypeError(
        "method must be a metric's name, a metric, or a pair (embedding, manifold), "
        f"got {type(method).__name__}. Known names: {', '.join(_ENTRIES)}."
    )


def _by_name(name: str, options: dict[str, Any]) -> RepresentationMetric:
    names = _names()
    key = names.get(_normal(name))
    if key is None:
        # Names that end like the wanted one are likelier than those that are merely as long.
        known = [*_ENTRIES, *names]
        near = [n for n in known if _normal(name) in n] or difflib.get_close_matches(
            _normal(name), known, n=1
        )
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if _normal(name) in _SCORES:
            raise UnknownMetricError(
                f"{name!r} is a similarity score, not a distance: call repsim_geo.{_normal(name)}(x, y). "
                f"Known distances: {', '.join(_ENTRIES)}."
            )
        raise UnknownMetricError(f"no metric called {name!r}.{hint} Known: {', '.join(_ENTRIES)}.")
    factory = _ENTRIES[key].factory
    known = _options(factory)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f"{key} has no option {unknown[0]!r}. Its options: {', '.join(known) or 'none'}. "
            "Remove it, or choose another metric."
        )
    return factory(**options)


def _names() -> dict[str, str]:
    names = {_normal(alias): key for key, entry in _ENTRIES.items() for alias in entry.card.aliases}
    return names | {key: key for key in _ENTRIES}


def _normal(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _options(factory: Callable[..., RepresentationMetric]) -> list[str]:
    fixed = factory.keywords if isinstance(factory, partial) else {}
    return [name for name in inspect.signature(factory).parameters if name not in fixed]


register_metric("angular_cka", AngularCKA)
register_metric("angular_cka_debiased", partial(AngularCKA, debiased=True))
register_metric("angular_rdm", AngularRDM)
register_metric("stress", Stress)
register_metric("size_and_shape", SizeAndShape)
register_metric("angular_shape", AngularShape)
register_metric("affine_invariant", AffineInvariant)
register_metric("log_euclidean", LogEuclidean)
register_metric("bures_wasserstein", BuresWasserstein)
register_metric("linear_subspace", LinearSubspace)
register_metric("permutation", PermutationDistance)
register_metric("angular_permutation", AngularPermutation)
register_metric("soft_matching", SoftMatching)
register_metric("stochastic_shape", StochasticShape)
