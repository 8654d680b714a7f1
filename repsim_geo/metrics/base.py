"""What makes a manifold a representational metric: an embedding, and a card that says what it claims."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from geoopt.manifolds import Scaled
from geoopt.manifolds.base import Manifold
from torch import Tensor, nn

from repsim_geo import _checks
from repsim_geo.errors import NotOnManifoldError, ShapeError
from repsim_geo.invariances import ALL, Invariance
from repsim_geo.manifolds.base import pair_table
from repsim_geo.numerics.tracing import readable

if TYPE_CHECKING:
    from typing_extensions import Self

    from repsim_geo.embeddings.matrix_form import MatrixForm

# Of a point; a mistyped number should not fill the memory.
_MOST_COLUMNS = 2**20


@dataclass(frozen=True)
class MetricCard:
    """
    What a metric says of itself; tables, documentation and tests are made from it.

    Attributes
    ----------
    key : str
        Name in the registry.
    summary : str
        What the distance is, in one line.
    unit : str
    range : tuple of float
        Smallest and largest distance of two data sets.
    invariances : frozenset of Invariance
        What the metric does not notice; all others it does.
    references : tuple of str
        Keys of the bibliography (docs/references.md).
    aliases : tuple of str
        Other names under which the registry finds it.
    """

    key: str
    summary: str
    unit: str
    range: tuple[float, float]
    invariances: frozenset[Invariance]
    references: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ends = self.range if isinstance(self.range, tuple | list) else ()
        if len(ends) != 2 or not all(isinstance(e, Real) for e in ends) or not ends[0] <= ends[1]:
            raise ValueError(
                "range must be the smallest and the largest distance of two data sets, got "
                f"{self.range!r}. Write (0.0, math.inf) where there is no largest one."
            )

    def invariance_names(self) -> str:
        """Invariances in a fixed order, separated by commas."""
        return ", ".join(str(i) for i in ALL if i in self.invariances)

    def range_text(self) -> str:
        """Range as people write it: "0 to π/2"."""
        return f"{_number(self.range[0])} to {_number(self.range[1])}"


def _number(value: float) -> str:
    names = {math.pi: "π", math.pi / 2: "π/2", math.inf: "∞"}
    return names.get(value, f"{value:g}")


def check_width(p: Any, hint: str) -> None:
    """
    Refuse what is no number of columns, or more than any network has units.

    Parameters
    ----------
    p : int or None
    hint : str
        What None does.

    Raises
    ------
    ValueError
    """
    _checks.check_count(p, "p", " of columns", hint)
    if p is not None and p > _MOST_COLUMNS:
        raise ValueError(
            f"p must be at most {_MOST_COLUMNS} columns, got {p}: points are filled up with zeros. {hint}"
        )


def check_networks(reps: Any, metric: str) -> None:
    """
    Refuse what is no list of activations.

    Parameters
    ----------
    reps : sequence of Tensor, shape (*batch, m, d_i)
    metric : str
        Name of the metric, for the message.

    Raises
    ------
    TypeError
        No sequence, or members without rows and columns.
    ShapeError
        Empty.
    """
    several = isinstance(reps, Sequence | Tensor) and not isinstance(reps, str)
    wrong = [x for x in reps if len(getattr(x, "shape", ())) < 2] if several else [reps]
    if wrong:
        raise TypeError(
            f"{metric}.resolve() needs a list of activations (m, d_i), got {_brief(wrong[0])}. Write "
            "metric.resolve([x, y])."
        )
    if len(reps) == 0:
        raise ShapeError(
            f"{metric}.resolve() needs at least one network, got none. Write metric.resolve([x, y]), with "
            "all networks that will be compared."
        )


def _brief(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{value!r:.60}" if shape is None else f"an array of shape {tuple(shape)}"


class RepresentationMetric:
    """
    Mixin of metrics: embeds activations, and compares what it embedded.

    A metric is also the manifold of its points (``dist``, ``geodesic``, ``logmap``, ...). It holds no data.
    """

    embedding: nn.Module
    fewest_rows: int = 2
    constant_is_a_point: bool = False
    # Whether a representation may be repeats (r, m, d) of the same inputs instead of one matrix.
    takes_repeats: bool = False
    # Whether the order of the inputs is arbitrary.
    exchangeable_inputs: bool = True

    @property
    def card(self) -> MetricCard:
        """What this instance claims."""
        raise NotImplementedError(f"{type(self).__name__}.card is not written")

    def embed(self, x: Any) -> Tensor:
        """
        Point of the manifold that a representation is.

        Parameters
        ----------
        x : Tensor or array, shape (*batch, m, d), or (*batch, m, c, h, w)
            Activations: m inputs by d units, float32 or float64. Convolutional ones are flattened.

        Returns
        -------
        Tensor, shape (*batch, *point)
            Differentiable with respect to `x`.

        Raises
        ------
        TypeError
            Not float32 or float64.
        ShapeError
            Too few rows, or no matrix.
        ValueError
            Not finite.
        DegenerateRepresentationError
            Constant, where that is no point of the manifold.
        """
        x = self._checked(x)
        # Half precision has too few digits for points of a manifold.
        with torch.autocast(x.device.type, enabled=False):
            return self.embedding(x)

    def prepare(self, x: Any) -> Tensor:
        """
        Everything that can be done once per network; see ``between``.

        Parameters
        ----------
        x : Tensor or array, shape (*batch, m, d)

        Returns
        -------
        Tensor
        """
        return self.embed(x)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """
        Distance of two prepared representations; equal to ``dist`` of their points.

        Parameters
        ----------
        a, b : Tensor
            As returned by ``prepare``.

        Returns
        -------
        Tensor, shape (*batch)
        """
        return self.dist(a, b)  # type: ignore[attr-defined]

    def between_all(self, a: Tensor, b: Tensor) -> Tensor:
        """
        Distances of all pairs of two stacks of prepared representations.

        Parameters
        ----------
        a : Tensor, shape (n, *prepared)
        b : Tensor, shape (k, *prepared)

        Returns
        -------
        Tensor, shape (n, k)
        """
        return self.cdist(a, b)  # type: ignore[attr-defined]

    def rescaled(self, distances: Tensor) -> Tensor:
        """
        Distances that were computed by a form, in the unit of this metric.

        Parameters
        ----------
        distances : Tensor, any shape

        Returns
        -------
        Tensor
        """
        return distances

    def pair_flops(self, m: int, d: int) -> float:
        """
        Floating-point operations of a distance of two prepared networks, roughly.

        Parameters
        ----------
        m, d : int
            Inputs and units.

        Returns
        -------
        float
            nan if nobody has counted them.
        """
        return math.nan

    def cloud_form(self, widest: int) -> MatrixForm | None:
        """
        Form of the Gram matrix of activations, if distances are those after the best rotation.

        Parameters
        ----------
        widest : int
            Units of the widest network.

        Returns
        -------
        MatrixForm or None
            Then all that counts are the singular values of ``x'y``, and no network needs to be in memory.
        """
        return None

    def matrix_form(self) -> MatrixForm | None:
        """
        How points are (m, m) matrices made entry by entry, if they are: then none needs to be whole.

        Returns
        -------
        MatrixForm or None
        """
        return None

    def resolve(self, reps: Sequence[Tensor]) -> RepresentationMetric:
        """
        Copy whose data-dependent sizes are fixed, so that all of `reps` become points of one manifold.

        Parameters
        ----------
        reps : sequence of Tensor, shape (*batch, m, d_i)

        Returns
        -------
        RepresentationMetric

        Raises
        ------
        TypeError
            No list of activations.
        ShapeError
            None at all.
        """
        check_networks(reps, type(self).__name__)
        return self

    def _copied(self) -> Self:
        """Copy that shares its parts, and can get others; a hundred times faster than copying these."""
        other = copy.copy(self)
        for parts in ("_modules", "_parameters", "_buffers"):
            vars(other)[parts] = dict(vars(self)[parts])
        return other

    def in_image(self, point: Tensor) -> Tensor:
        """
        Whether a point is the embedding of some representation, up to rounding.

        Geodesics between representations can leave the points that representations have; means and optimizers
        too. For kernels other than the linear one, the representation is one in feature space.

        Parameters
        ----------
        point : Tensor, shape (*batch, *point)

        Returns
        -------
        Tensor, shape (*batch), bool

        Raises
        ------
        NotOnManifoldError
            A tensor that is no point at all, such as activations.
        """
        if not isinstance(point, Tensor):
            raise TypeError(
                f"point must be a tensor (*batch, *point), got {type(point).__name__}. Activations become "
                "points with embed(x)."
            )
        manifold: Any = self
        ok, reason = manifold.check_point_on_manifold(point, explain=True, atol=1e-4, rtol=1e-4)
        if not ok:
            raise NotOnManifoldError(
                f"point must lie on the manifold of {type(self).__name__}: {reason}. Use embed(x) or "
                "projx(x)."
            )
        return self._in_image(point)

    def _in_image(self, point: Tensor) -> Tensor:
        """Whether some representation has a point of the manifold; shape (*batch)."""
        raise NotImplementedError(
            f"{type(self).__name__}.in_image is not written; check_point_on_manifold asks less"
        )

    def realize(self, point: Tensor) -> Any:
        """
        Activations whose embedding is a point.

        Parameters
        ----------
        point : Tensor, shape (*batch, *point)
            For which `in_image` holds.

        Returns
        -------
        Tensor, shape (*batch, m, d)
            Centered, in as many units as it takes; up to what the metric does not notice. For kernels other
            than the linear one these are features, with the kernel's values as inner products.

        Raises
        ------
        NotOnManifoldError
            No activations have this point.
        """
        if not bool(self.in_image(point).all()):
            raise NotOnManifoldError(
                f"the point is on the manifold of {type(self).__name__}, but no activations have it: "
                "in_image is False. Only points of data, and what is nearest to them, can be realized."
            )
        with torch.no_grad():
            return self._realize(point)

    def _realize(self, point: Tensor) -> Any:
        """Activations of a point of which it is known that there are some."""
        raise NotImplementedError(f"{type(self).__name__}.realize is not written; nor is it known how")

    def _all(self, point: Tensor) -> Tensor:
        """Yes for every point: shape (*batch)."""
        batch = point.shape[: point.dim() - self.ndim]  # type: ignore[attr-defined]
        return torch.ones(batch, dtype=torch.bool, device=point.device)

    def _checked(self, x: Any) -> Tensor:
        x = _checks.as_activations(x)
        self.check_input(x)
        return x

    def check_input(self, x: Tensor, name: str = "x") -> None:
        """
        Refuse activations that have no point.

        Parameters
        ----------
        x : Tensor, shape (*batch, m, d)
        name : str
            What to call them.

        Raises
        ------
        ShapeError, ValueError, DegenerateRepresentationError
            As `embed`.
        """
        _checks.check_rows(x, self.fewest_rows, type(self).__name__, name)
        if readable(x):
            _checks.check_finite(x, name)
            if not self.constant_is_a_point:
                _checks.check_varies(x, name)


class ScaledMetric(RepresentationMetric):
    """
    A metric inside ``geoopt.Scaled``: the same points, distances multiplied by the scale.

    Parameters
    ----------
    manifold : geoopt.Scaled
        Around a metric.
    """

    def __init__(self, manifold: Manifold):
        self.manifold = manifold
        self._inside: Any = manifold

    @property
    def card(self) -> MetricCard:
        """Card of the metric inside, with its range scaled."""
        card: Any = self.manifold.card
        scale = float(self._factor().detach())
        low, high = card.range
        return replace(card, unit=f"{card.unit}, times {scale:g}", range=(scale * low, scale * high))

    @property
    def takes_repeats(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # asked of the inside
        """Whether the metric inside takes repeats."""
        return self._inside.takes_repeats

    def embed(self, x: Any) -> Tensor:
        """Point of the metric inside; shape (*batch, *point)."""
        return self._inside.embed(x)

    def prepare(self, x: Any) -> Tensor:
        """What the metric inside prepares."""
        return self._inside.prepare(x)

    def cloud_form(self, widest: int) -> MatrixForm | None:
        """That of the metric inside."""
        return self._inside.cloud_form(widest)

    def matrix_form(self) -> MatrixForm | None:
        """That of the metric inside."""
        return self._inside.matrix_form()

    def rescaled(self, distances: Tensor) -> Tensor:
        """Scaled distances; same shape."""
        return self._scale(distances)

    def extra_repr(self) -> str:
        """Scale and metric, for ``repr``."""
        inside = getattr(self.manifold, "base", self.manifold)
        return f"{inside!r}, {float(self._factor().detach()):g}"

    def pair_flops(self, m: int, d: int) -> float:
        """As for the metric inside."""
        return self._inside.pair_flops(m, d)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Scaled distance of two prepared representations; shape (*batch)."""
        return self._scale(self._inside.between(a, b))

    def between_all(self, a: Tensor, b: Tensor) -> Tensor:
        """Scaled distances of two stacks of prepared representations; shape (n, k)."""
        return self._scale(self._inside.between_all(a, b))

    def _scale(self, d: Tensor) -> Tensor:
        return d * self._factor().to(d)

    def _factor(self) -> Tensor:
        """Product of the scales of scaled manifolds in each other."""
        manifold: Any = self.manifold
        factor = manifold.scale
        while isinstance(manifold.base, Scaled):
            manifold = manifold.base
            factor = factor * manifold.scale
        return factor

    def in_image(self, point: Tensor) -> Tensor:
        """Whether the metric inside has this point; shape (*batch)."""
        return self._inside.in_image(point)

    def realize(self, point: Tensor) -> Any:
        """Activations of a point of the metric inside."""
        return self._inside.realize(point)

    def check_input(self, x: Tensor, name: str = "x") -> None:
        """Refuse what the metric inside refuses."""
        self._inside.check_input(x, name)

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Scaled distance of points; shape (*batch)."""
        return self.manifold.dist(x, y, keepdim=keepdim)

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """Scaled distances between two stacks of points; shape (n, k)."""
        return self.manifold.cdist(x, y)

    def resolve(self, reps: Sequence[Tensor]) -> ScaledMetric:
        """Copy that embeds with fixed sizes; the geometry needs none."""
        other = copy.copy(self)
        other._inside = self._inside.resolve(reps)
        return other


class EmbeddedManifold(RepresentationMetric):
    """
    Metric made of any embedding and any manifold.

    Parameters
    ----------
    embedding : nn.Module
        Maps activations (*batch, m, d) to points.
    manifold : geoopt.Manifold
        Needs ``dist``.
    """

    def __init__(self, embedding: nn.Module, manifold: Manifold):
        self.embedding = embedding
        self.manifold = manifold

    constant_is_a_point = True

    def extra_repr(self) -> str:
        """Embedding and manifold, for descriptions."""
        return f"{self.embedding!r}, {self.manifold!r}"

    def dist(self, x: Tensor, y: Tensor, *, keepdim: bool = False) -> Tensor:
        """Distance of points; shape (*batch)."""
        return self.manifold.dist(x, y, keepdim=keepdim)

    def cdist(self, x: Tensor, y: Tensor) -> Tensor:
        """All distances between two stacks of points (n, *point) and (k, *point); shape (n, k)."""
        return pair_table(self.manifold.dist, x, y, self.manifold.ndim)
