"""What the laws of networks are asked of: any function that compares activations."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import numpy as np
import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor

from repsim_geo._checks import check_flag
from repsim_geo.invariances import Invariance, closure, invariance
from repsim_geo.verify.networks import NetworkScene
from repsim_geo.verify.statements import provides

Distance = Callable[[Any, Any], Any]


class Measure:
    """
    A function of two sets of activations, called on batches of draws.

    Parameters
    ----------
    function : callable
        ``d(x, y)`` for activations (m, d_x) and (m, d_y) of the same inputs; returns one number.
    invariances : iterable of Invariance or str, or None
        What it claims not to notice; with these, all that follow. None for no claim.
    range : tuple of float, or None
        Smallest and largest value that it claims.
    backend : {"torch", "numpy"} or None
        What it is called with. None to find out: torch if it then returns a tensor.
    batched : bool
        Whether it takes batches (draws, m, d) and returns (draws).
    exchangeable : bool
        Whether the order of the inputs is arbitrary.
    """

    def __init__(
        self,
        function: Distance,
        *,
        invariances: Iterable[Invariance | str] | None = None,
        range: tuple[float, float] | None = None,
        backend: str | None = None,
        batched: bool = False,
        exchangeable: bool = True,
    ):
        if backend not in (None, "torch", "numpy"):
            raise ValueError(
                f"backend must be 'torch', 'numpy' or None, got {backend!r}. None finds out by a call."
            )
        if not callable(function):
            raise TypeError(
                f"a distance must be a function d(x, y) of activations, got {function!r}. A metric has "
                "check_metric()."
            )
        _check_claims(invariances, range)
        check_flag(batched, "batched")
        self.function = function
        self.claims = None if invariances is None else closure(*map(invariance, invariances))
        self.range = range
        self.batched = batched
        self.exchangeable = exchangeable
        self.backend = backend or _backend(function)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """
        Distances of draws, in float64.

        Parameters
        ----------
        x, y : Tensor, shape (draws, m, d_i)

        Returns
        -------
        Tensor, shape (draws)
        """
        if self.batched:
            # Copies: what a function does to its arguments must not reach the scene.
            return _number(self.function(x.clone(), y.clone()), len(x))
        return torch.stack([self.one(a, b) for a, b in zip(x, y, strict=True)])

    resolution: float = 0.0
    """Distance below which there is nothing but rounding: that of angles and logarithms is absolute."""

    def at(self, scene: NetworkScene) -> Measure:
        """The measure of the networks of a scene; a plain function is the same everywhere."""
        return self

    def elsewhere(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances of networks that are in no scene; shape (draws)."""
        return self(x, y)

    def one(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of two networks (m, d_i), in float64; a tensor without axes."""
        if self.backend == "numpy":
            return _number(self.function(x.detach().numpy().copy(), y.detach().numpy().copy()), None)
        return _number(self.function(x.clone(), y.clone()), None)

    def between(self, scene: NetworkScene, pair: str) -> Tensor:
        """
        Distances of two networks of a scene, computed once.

        Parameters
        ----------
        scene : NetworkScene
        pair : str
            Such as "x y"; "x x" is a network and a copy of it.

        Returns
        -------
        Tensor, shape (draws)
        """
        if pair not in scene.known:
            first, second = (getattr(scene, name) for name in pair.split())
            with torch.no_grad():
                scene.known[pair] = self(first, second)
        return scene.known[pair]

    def unit(self, scene: NetworkScene) -> Tensor:
        """What a large distance is in a scene: residuals are relative to it; shape (draws)."""
        if "unit" not in scene.known:
            d = [self._ordinary(scene), *(self.between(scene, pair) for pair in ("x y", "y z", "x z"))]
            largest = torch.stack(d).abs().nan_to_num(0.0, 0.0, 0.0).amax(0).clamp_min(self.resolution)
            scene.known["unit"] = torch.where(largest > 0, largest, 1.0)
        return scene.known["unit"]

    def _ordinary(self, scene: NetworkScene) -> Tensor:
        """Distance of ordinary networks, zero where these are refused; shape (draws)."""
        m = scene.x.shape[-2]
        # Some measures know how many inputs there are.
        for networks in (scene.ordinary, tuple(w[:, :m] for w in scene.ordinary)):
            try:
                with torch.no_grad():
                    return self.elsewhere(*networks)
            except ValueError:
                continue
        return scene.x.new_zeros(len(scene.x), dtype=torch.float64)

    def provides(self, need: str) -> bool:
        """
        Whether something holds that a law needs.

        Parameters
        ----------
        need : str
            "claims NAME", "disclaims NAME", "range", "batched", "gradients" or "exchangeable".

        Returns
        -------
        bool
        """
        kind, _, name = need.partition(":")
        if kind in ("claims", "disclaims"):
            names = None if self.claims is None else {str(i) for i in self.claims}
            return names is not None and (name.replace("_", " ") in names) == (kind == "claims")
        return {
            "range": self.range is not None,
            "batched": self.batched,
            "gradients": self.backend == "torch",
            "exchangeable": self.exchangeable,
        }[kind]


class EmbeddedMeasure(Measure):
    """
    The distance of a metric, or of a pair of embedding and manifold, as a measure of activations.

    Parameters
    ----------
    metric : RepresentationMetric or (nn.Module, geoopt.Manifold)
    """

    def __init__(self, metric: Any):
        self.metric = self.free = metric
        _check_metric(metric)
        self.paired = isinstance(metric, tuple)
        card = None if self.paired else metric.card
        if card is not None and card.unit.startswith(("radians", "dimensionless")):
            self.resolution = 1e3 * torch.finfo(torch.float64).eps
        super().__init__(
            self._distance,
            invariances=None if card is None else card.invariances,
            range=None if card is None else card.range,
            backend="torch",
            batched=not getattr(metric, "takes_repeats", False),
            exchangeable=getattr(metric, "exchangeable_inputs", True),
        )

    def at(self, scene: NetworkScene) -> EmbeddedMeasure:
        """The same, with the sizes fixed that depend on data, so that all networks are of one manifold."""
        if self.paired:
            return self
        return self._fixed(scene.x, scene.y, scene.z)

    def elsewhere(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances of networks of widths of their own; shape (draws)."""
        return self(x, y) if self.paired else self._fixed(x, y)(x, y)

    def _fixed(self, *networks: Tensor) -> EmbeddedMeasure:
        fixed = EmbeddedMeasure(self.free.resolve([w if self.batched else w[0] for w in networks]))
        fixed.free = self.free
        return fixed

    @property
    def manifold(self) -> Any:
        """Where the points are."""
        return self.metric[1] if self.paired else self.metric

    def embed(self, x: Tensor) -> Tensor:
        """Points of a batch of networks (draws, m, d); shape (draws, *point)."""
        embed = self.metric[0] if self.paired else self.metric.embed
        return embed(x) if self.batched else torch.stack([embed(w) for w in x])

    def points(self, scene: NetworkScene) -> tuple[Tensor, Tensor, Tensor]:
        """Points of the three networks of a scene."""
        return self.embed(scene.x), self.embed(scene.y), self.embed(scene.z)

    def _distance(self, x: Tensor, y: Tensor) -> Tensor:
        if self.paired:
            return self.manifold.dist(self.metric[0](x), self.metric[0](y))
        for network, name in ((x, "x"), (y, "y")):
            self.metric.check_input(network, name)
        return self.metric.between(self.metric.prepare(x), self.metric.prepare(y))

    def provides(self, need: str) -> bool:
        """Whether something holds that a law needs; also "geodesic", "prepare" and "table"."""
        if need == "geodesic":
            return provides(self.manifold, "geodesic") or provides(self.manifold, "logmap")
        if need == "prepare":
            return not self.paired
        if need == "table":
            return not self.paired and self.batched
        return super().provides(need)


def name_instead(name: str) -> str:
    """What to say where a metric is given by its name."""
    return (
        f"give the metric itself, such as AngularCKA(), not the name {name!r}; names are for "
        "compare() and the command line."
    )


def _check_metric(metric: Any) -> None:
    if isinstance(metric, str):
        raise TypeError(name_instead(metric))
    if isinstance(metric, tuple):
        good = len(metric) == 2 and callable(metric[0]) and isinstance(metric[1], Manifold)
    else:
        good = not inspect.isclass(metric) and hasattr(metric, "embed") and hasattr(metric, "card")
    if not good:
        raise TypeError(
            "metric must be a metric, such as AngularCKA(), or a pair (embedding, manifold), got "
            f"{' '.join(repr(metric).split())}. A class has to be called; a manifold alone has "
            "check_manifold(), and a function check_distance()."
        )


def _check_claims(invariances: Any, range: Any) -> None:
    if isinstance(invariances, str) or not (invariances is None or isinstance(invariances, Iterable)):
        raise TypeError(
            f"invariances must be a list of names, got {invariances!r}. Write ['isotropic scaling'], or "
            "leave them out for no claim."
        )
    if range is None:
        return
    ends = tuple(range) if isinstance(range, tuple | list) else ()
    numbers = [e for e in ends if isinstance(e, Real) and not math.isnan(e)]
    if len(ends) != 2 or len(numbers) != 2 or ends[0] > ends[1]:
        raise ValueError(
            f"range must be the smallest and the largest distance, got {range!r}. Write (0.0, math.inf) for "
            "distances without a largest one."
        )


def _backend(function: Distance) -> str:
    """Answer "torch" for functions that return tensors when given tensors, "numpy" for others."""
    x, y = torch.randn(2, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    try:
        if isinstance(function(x, y), Tensor):
            return "torch"
    except Exception:
        return "numpy"
    try:
        function(x.numpy(), y.numpy())
    except Exception:
        return "torch"
    return "numpy"


def _number(value: Any, draws: int | None) -> Tensor:
    """The result of a measure in float64, shape (draws) or ()."""
    if isinstance(value, np.generic | np.ndarray | float | int | complex):
        value = torch.as_tensor(np.asarray(value))
    if not isinstance(value, Tensor):
        raise TypeError(
            f"a distance must be one number, got {type(value).__name__}. Return a float, or a tensor."
        )
    if value.numel() != (draws or 1):
        raise TypeError(
            f"a distance must be one number for each pair, got shape {tuple(value.shape)}. Take the mean, or "
            "the sum, of what it has too many."
        )
    if value.is_complex():
        raise TypeError("a distance must be a real number, got a complex one. Take its real part.")
    return value.reshape(() if draws is None else (draws,)).double()
