"""Metrics by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from geoopt.manifolds.base import Manifold
from torch import nn

from repsim_geo.errors import UnknownMetricError
from repsim_geo.metrics.angular_cka import AngularCKA
from repsim_geo.metrics.base import EmbeddedManifold, MetricCard, RepresentationMetric
from repsim_geo.metrics.shape import AngularShape, SizeAndShape
from repsim_geo.metrics.stress import Stress

Method = str | RepresentationMetric | tuple[nn.Module, Manifold]

_FACTORIES: dict[str, Callable[..., RepresentationMetric]] = {
    "angular_cka": AngularCKA,
    "angular_cka_debiased": partial(AngularCKA, debiased=True),
    "stress": Stress,
    "size_and_shape": SizeAndShape,
    "angular_shape": AngularShape,
}


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
        If the name is taken.

    Examples
    --------
    >>> from functools import partial
    >>> register_metric("procrustes_10", partial(SizeAndShape, p=10))
    >>> del _FACTORIES["procrustes_10"]
    """
    if _normal(key) in _names():
        raise ValueError(f"a metric called {key!r} exists already. Choose another name.")
    _FACTORIES[_normal(key)] = factory


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
    return {key: factory().card for key, factory in _FACTORIES.items()}


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
    if all(hasattr(method, name) for name in ("embed", "prepare", "between", "resolve")):
        return method  # type: ignore[return-value]
    raise TypeError(
        "method must be a metric's name, a metric, or a pair (embedding, manifold), "
        f"got {type(method).__name__}. Known names: {', '.join(_FACTORIES)}."
    )


def _by_name(name: str, options: dict[str, Any]) -> RepresentationMetric:
    names = _names()
    key = names.get(_normal(name))
    if key is None:
        # Names that end like the wanted one are likelier than those that are merely as long.
        near = [n for n in names if _normal(name) in n] or difflib.get_close_matches(
            _normal(name), names, n=1
        )
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownMetricError(f"no metric called {name!r}.{hint} Known: {', '.join(_FACTORIES)}.")
    factory = _FACTORIES[key]
    known = _options(factory)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f"{key} has no option {unknown[0]!r}. Its options: {', '.join(known) or 'none'}. "
            "Remove it, or choose another metric."
        )
    return factory(**options)


def _names() -> dict[str, str]:
    names = {key: key for key in _FACTORIES}
    for key, card in available_metrics().items():
        names.update({_normal(alias): key for alias in card.aliases if _normal(alias) not in names})
    return names


def _normal(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _options(factory: Callable[..., RepresentationMetric]) -> list[str]:
    fixed = factory.keywords if isinstance(factory, partial) else {}
    return [name for name in inspect.signature(factory).parameters if name not in fixed]
