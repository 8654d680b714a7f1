"""A training loss that moves a layer of a network towards, or away from, a target representation."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from geoopt.manifolds.base import Manifold
from torch import Tensor, nn

from repsim_geo import _checks
from repsim_geo.errors import NotOnManifoldError, ShapeError
from repsim_geo.metrics.base import RepresentationMetric
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.tracing import readable
from repsim_geo.registry import Method, as_metric

Restriction = Callable[[Tensor, Tensor], Tensor]

# Rows of a point and the point of the rows are the same if their distance is below this share of what one
# row more or less can do.
_SAME = 1e-6


class RepresentationLoss(nn.Module):
    """
    Distance of a layer from a target, as a loss for ordinary training with minibatches.

    The metric is computed on the rows (inputs) of the batch. Add the result to the loss of the task, with a
    factor that says how much it counts.

    Parameters
    ----------
    method : str, metric, or (nn.Module, geoopt.Manifold)
        Name of a metric (see `available_metrics`), a metric, or an embedding with a manifold.
    point : Tensor, shape (*point), optional
        Target for all calls: a point of the metric, such as a Fréchet mean, that describes all training
        inputs. Without it, each call brings its own target activations.
    away : bool
        Move away from the target, up to the margin, instead of towards it.
    margin : float, optional
        Distance from which on there is no push; only with `away`. Default: the largest distance that data can
        have, where there is one (pi/2 for `AngularCKA`).
    squared : bool
        Towards: the squared distance instead of the distance. Away: the square of what is missing to the
        margin, ``max(margin - distance, 0)**2``, instead of that.
    **options
        Keyword arguments of the named metric.

    Raises
    ------
    ValueError
        A margin that is no positive number, or without `away`; or none, where distances have no largest one.
    NotOnManifoldError
        `point` is none.
    UnknownMetricError, TypeError
        No such metric or option.

    Notes
    -----
    Unit: squared unit of the metric, or its unit if not `squared`.

    No gradient reaches the target. To move two networks towards each other, add the loss of either to the
    other.

    The distance is computed in float32 at least, under ``torch.autocast`` too: activations in half precision
    are converted first, and their gradients afterwards.

    Derivatives: finite everywhere, with the exceptions in docs/numerics.md. The squared distance is smooth at
    zero; the distance has a kink there, where its gradient is taken as zero. So is that of `away`: nothing
    leaves a target on which it lies exactly, and the first step has to come from the loss of the task.
    Gradient penalties, which differentiate twice, work where second derivatives of embeddings are promised.

    A distance on a batch is a biased estimate of the distance on all inputs: CKA of unrelated layers is far
    from zero if they have more units than the batch has rows, and so less is left to push apart.
    `MinibatchCKALoss` has no such bias.

    A point that describes all inputs is restricted to the rows of the batch: a matrix over pairs of inputs to
    its block, a matrix with a row for each input to these rows, and is projected to the manifold: it is
    centered and scaled anew. For kernels of fixed length, distances of inputs, and shapes without whitening
    this is exactly the point of the rows alone. Where it is not (lengths and whitening that follow the data,
    ridges, covariances of units) the first batch raises a TypeError, and ``metric.realize(point)[rows]``, or
    the activations themselves, are the target to take.

    References
    ----------
    Kornblith et al. 2019; Hadsell, Chopra and LeCun 2006.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0], [-1.0], [0.0], [0.0]], requires_grad=True)
    >>> y = torch.tensor([[0.0], [0.0], [1.0], [-1.0]])
    >>> RepresentationLoss(squared=False)(x, y)
    tensor(1.5708, grad_fn=<AddBackward0>)
    >>> RepresentationLoss(away=True, margin=2.0, squared=False)(x, y) + torch.pi / 2
    tensor(2., grad_fn=<AddBackward0>)
    """

    point: Tensor | None

    def __init__(
        self,
        method: Method = "angular_cka",
        *,
        point: Tensor | None = None,
        away: bool = False,
        margin: float | None = None,
        squared: bool = True,
        **options: Any,
    ):
        super().__init__()
        self.metric: Any = as_metric(method, **options)
        if not isinstance(self.metric, nn.Module):
            # A pair is no module: its parts move and are saved with the loss all the same.
            self.parts = nn.ModuleList(
                part for part in vars(self.metric).values() if isinstance(part, nn.Module)
            )
        _checks.check_flag(away, "away")
        _checks.check_flag(squared, "squared")
        self.away = away
        self.margin = checked_margin(margin, away, _largest_distance(self.metric))
        self.squared = squared
        self.register_buffer("point", None if point is None else self._checked_point(point))
        self._restriction: Restriction | None = None

    def forward(self, activations: Tensor, target: Any = None, *, rows: Any = None) -> Tensor:
        """
        Loss of one batch.

        Parameters
        ----------
        activations : Tensor, shape (m, d), or (m, c, h, w)
            Of the layer, on the m inputs of the batch. Other axes, such as tokens, have to be flattened to
            inputs or to units first.
        target : Tensor or array, shape (m, e), or (m, c, h, w)
            Activations of another network on the same inputs, one-hot labels (as floats), or any other
            description of the inputs. Not with a `point`.
        rows : Tensor of int, shape (m,), optional
            Only with a `point`: which of the inputs of the point those of the batch are; all in order by
            default.

        Returns
        -------
        Tensor, shape ()

        Raises
        ------
        ShapeError
            Rows that do not fit each other, too few of them, wrong axes.
        DegenerateRepresentationError
            A layer that gives the same for all inputs, such as a dead one.
        TypeError
            A target and a point, or none of them; a metric whose points cannot be restricted to rows.
        ValueError
            Not finite, or on different devices.
        """
        x = as_batch(activations, "activations", self.metric)
        if (target is None) == (self.point is None) or (rows is not None and self.point is None):
            raise TypeError(
                "a loss with a point takes loss(activations, rows=rows), and a loss without one takes "
                f"loss(activations, target): got {'no ' if self.point is None else 'a '}point, "
                f"{'no ' if target is None else 'a '}target and {'no ' if rows is None else ''}rows. Give "
                "the activations of another network as target, or the loss a point."
            )
        with torch.autocast(x.device.type, enabled=False):
            if self.point is not None:
                return self._loss(self.metric, self.metric.embed(x), self._target_point(x, self.point, rows))
            y = as_batch(target, "target", self.metric).detach().to(x.dtype)
            _checks.check_pair(
                x, y, "RepresentationLoss", ("activations", "target"), batched=not self.metric.takes_repeats
            )
            self.metric.check_input(y, "target")
            metric = self.metric.resolve([x, y])
            return self._loss(metric, metric.embed(x), metric.embed(y))

    def _loss(self, metric: Any, a: Tensor, b: Tensor) -> Tensor:
        manifold = geometry(metric)
        if self.away:
            return hinge(manifold.dist(a, b), self.margin, self.squared)
        return manifold.dist2(a, b) if self.squared else manifold.dist(a, b)

    def _target_point(self, x: Tensor, point: Tensor, rows: Any) -> Tensor:
        """The point, or what it says of the rows of a batch."""
        point = point.to(x)
        if rows is None:
            own = self.metric.embed(x.detach()).shape
            if own != point.shape:
                raise ShapeError(
                    f"activations must describe the inputs of the point: their point has shape {tuple(own)}, "
                    f"that of the loss {tuple(point.shape)}. For a batch, pass rows=, its inputs' indices."
                )
            return point
        if self._restriction is None:
            self._restriction = restriction(self.metric, x.detach())
        rows = self._checked_rows(rows, x, point)
        return geometry(self.metric).projx(self._restriction(point, rows))

    def _checked_rows(self, rows: Any, x: Tensor, point: Tensor) -> Tensor:
        try:
            rows = torch.as_tensor(rows, device=x.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"rows must be {x.shape[-2]} indices, one for each row of activations, got {rows!r}. Let the "
                "data loader return the index of each input."
            ) from error
        n, m = point.shape[-2], x.shape[-2]
        if rows.is_floating_point() or rows.dtype == torch.bool or rows.shape != (m,):
            raise ShapeError(
                f"rows must be {m} indices, one for each row of activations, got {rows.dtype} of shape "
                f"{tuple(rows.shape)}. Let the data loader return the index of each input."
            )
        if readable(rows) and (int(rows.min()) < 0 or int(rows.max()) >= n):
            raise ShapeError(
                f"rows must be from 0 to {n - 1}, the inputs of the point, got {int(rows.min())} to "
                f"{int(rows.max())}. Number the inputs as they were when the point was made."
            )
        return rows

    def _checked_point(self, point: Tensor) -> Tensor:
        if not isinstance(point, Tensor):
            raise TypeError(
                f"point must be a tensor (*point), got {type(point).__name__}. Take metric.embed(x), or the "
                "mean_ of FrechetMean."
            )
        manifold: Any = geometry(self.metric)
        ok, reason = manifold.check_point_on_manifold(point, explain=True, atol=1e-4, rtol=1e-4)
        if not ok:
            raise NotOnManifoldError(
                f"point must lie on the manifold of {type(self.metric).__name__}: {reason}. Activations are "
                "no point: give them to the call, loss(activations, target)."
            )
        return point.detach().as_subclass(Tensor).clone()

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        direction = f"away=True, margin={self.margin:.4g}" if self.away else "away=False"
        return f"{direction}, squared={self.squared}"


def block_of_pairs(point: Tensor, rows: Tensor) -> Tensor:
    """From a matrix over pairs of inputs (n, n), that over pairs of some of them (m, m)."""
    return point[..., rows, :][..., rows]


def some_rows(point: Tensor, rows: Tensor) -> Tensor:
    """From a matrix with a row for each input (n, p), those of some inputs (m, p)."""
    return point[..., rows, :]


def restriction(metric: Any, x: Tensor) -> Restriction:
    """
    Function that takes from a point of many inputs what it says of some, before it is projected.

    Parameters
    ----------
    metric : RepresentationMetric
        Needs ``projx``, or a manifold that has it.
    x : Tensor, shape (m, d)
        Activations like those that will be compared. The function is tried out on all rows but one.

    Returns
    -------
    callable
        From a point and rows, shape (m,), to a matrix that ``projx`` makes a point.

    Raises
    ------
    TypeError
        The point of some rows does not follow from that of all.
    ShapeError
        No row to spare.

    Notes
    -----
    Centering takes from a Gram matrix a number for each row and one for each column. A block of it keeps
    those of its own, which centering the block removes: what is left is the centered Gram matrix of the
    inputs of the block, of which the projection makes a unit vector. U-centering likewise.

    Examples
    --------
    >>> import torch
    >>> from repsim_geo import AngularCKA
    >>> metric, x, rows = AngularCKA(), torch.randn(9, 3), torch.tensor([5, 0, 3, 8])
    >>> block = restriction(metric, x)(metric.embed(x), rows)
    >>> bool(metric.dist(metric.projx(block), metric.embed(x[rows])) < 1e-5)
    True
    """
    _checks.check_rows(x, metric.fewest_rows + 1, "the first batch of a loss with a point", "activations")
    with torch.no_grad():
        x = working_precision(x)
        m = x.shape[-2]
        whole, part, other = (metric.embed(w) for w in (x, x[..., :-1, :], x[..., 1:, :]))
        take = None
        if whole.shape[-2:] == (m, m) and part.shape[-2:] == (m - 1, m - 1):
            take = block_of_pairs
        elif part.shape[-2:] == (m - 1, whole.shape[-1]):
            take = some_rows
        if take is not None:
            guess = geometry(metric).projx(take(whole, torch.arange(m - 1, device=x.device)))
            if bool(metric.dist(guess, part) <= _SAME * metric.dist(other, part)):
                return take
    raise TypeError(
        f"points of {type(metric).__name__}, as it is here, cannot be restricted to rows: what they say of "
        "some inputs depends on the others. Use a loss without a point, and metric.realize(point)[rows] as "
        "its target; or a fixed length_scale, no whitening, no truncation, no ridge."
    )


def as_batch(x: Any, name: str, metric: RepresentationMetric) -> Tensor:
    """
    Activations of one network on a batch of inputs, in float32 at least, refused where they have no point.

    Parameters
    ----------
    x : Tensor or array, shape (m, d), or (m, c, h, w)
    name : str
        What to call it in messages.
    metric : RepresentationMetric

    Returns
    -------
    Tensor, shape (m, d)
    """
    if not isinstance(x, Tensor):
        try:
            x = torch.as_tensor(x)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"{name} must be a tensor or an array of numbers with shape (m, d), got {type(x).__name__}: "
                f"{error}. Give the activations of a layer on the inputs of the batch."
            ) from error
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    if x.dim() in (3, 5) and not metric.takes_repeats:
        raise ShapeError(
            f"{name} must have shape (m, d), or (m, c, h, w), for one network and m inputs, got "
            f"{tuple(x.shape)}. Flatten further axes, such as tokens, to units: x.flatten(1); or to inputs: "
            "x.flatten(0, 1)."
        )
    x = _checks.as_activations(x, name)
    metric.check_input(x, name)
    return x


def hinge(distance: Tensor, margin: float, squared: bool) -> Tensor:
    """What a distance lacks to the margin, or its square; zero beyond."""
    missing = (margin - distance).clamp_min(0)
    return missing.square() if squared else missing


def checked_margin(margin: float | None, away: bool, largest: float) -> float:
    """The margin, or the largest distance; refused where it makes no sense."""
    if margin is not None and not away:
        raise ValueError(f"margin goes with away=True, got {margin!r} with away=False. Leave it out.")
    if margin is None:
        if away and largest == math.inf:
            raise ValueError(
                "margin must be given for a metric without a largest distance, got None. Take a distance "
                "in the unit of the metric, such as that of two networks that are far apart."
            )
        return largest
    if isinstance(margin, bool) or not (isinstance(margin, Real) and 0 < margin < math.inf):
        raise ValueError(
            f"margin must be a positive distance, got {margin!r}. Leave it out for the largest there is."
        )
    return float(margin)


def geometry(metric: Any) -> Manifold:
    """The manifold of a metric, which most metrics are themselves."""
    return getattr(metric, "manifold", metric)


def _largest_distance(metric: RepresentationMetric) -> float:
    """Of data, if the metric says it; of points, if the manifold does."""
    try:
        return metric.card.range[1]
    except NotImplementedError:
        return getattr(geometry(metric), "diameter", math.inf)
