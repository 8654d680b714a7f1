"""CKA of all inputs from minibatches: an estimate without the bias of small batches, and a training loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from repsim_geo import _checks
from repsim_geo.embeddings.gram import nothing_left
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.kernels.base import Kernel
from repsim_geo.kernels.linear import as_kernel
from repsim_geo.metrics.angular_cka import AngularCKA
from repsim_geo.numerics.alignment import working_precision
from repsim_geo.numerics.angles import angle_from_chords, squared_angle_from_chords
from repsim_geo.numerics.norms import safe_sqrt
from repsim_geo.numerics.tracing import readable
from repsim_geo.recipes.representation_loss import as_batch, checked_margin, hinge
from repsim_geo.scores import Kernels, hsic


@dataclass(frozen=True)
class CKAEstimate:
    """
    CKA of all inputs, and how well it is known.

    Attributes
    ----------
    cka : Tensor, shape ()
        Debiased: near zero for unrelated networks, however wide they are; from -1 to 1.
    standard_error : Tensor, shape ()
        Of `cka`; nan after a single batch.
    angle : Tensor, shape ()
        The arc cosine of `cka`, in radians.
    angle_standard_error : Tensor, shape ()
        In radians; nan after a single batch.
    n_batches, n_rows : int
        Batches and inputs so far.
    """

    cka: Tensor
    standard_error: Tensor
    angle: Tensor
    angle_standard_error: Tensor
    n_batches: int
    n_rows: int


class _Statistics(nn.Module):
    """Unbiased estimates of HSIC from a batch, with kernels under which they all estimate the same."""

    def __init__(self, kernel: Kernels):
        super().__init__()
        pair = kernel if isinstance(kernel, tuple | list) else (kernel, kernel)
        if len(pair) != 2:
            raise ValueError(
                f"kernel must be one kernel for both representations, or a pair, got {len(pair)} of them. "
                "Leave it out for the linear kernel."
            )
        self.kernels = nn.ModuleList(as_kernel(k) for k in pair)
        self.metric = AngularCKA(debiased=True)
        self._fixed = False

    def forward(self, x: Any, y: Any) -> Tensor:
        """HSIC of the two, of the first with itself and of the second with itself; shape (3,)."""
        x, y = as_batch(x, "activations", self.metric), as_batch(y, "target", self.metric)
        y = y.to(x.dtype)
        _checks.check_pair(x, y, "CKA from minibatches", ("activations", "target"))
        k, l = self.kernels  # noqa: E741
        with torch.autocast(x.device.type, enabled=False):
            a, b = working_precision(x), working_precision(y)
            if not self._fixed:
                for kernel, w in ((k, a), (l, b)):
                    _check_fixed(kernel, w.detach())  # type: ignore[arg-type]
                self._fixed = True
            pairs = ((a, b, k, l), (a, a, k, k), (b, b, l, l))
            return torch.stack([hsic(u, v, (p, q), debiased=True) for u, v, p, q in pairs])  # type: ignore[arg-type]


class MinibatchCKA(nn.Module):
    """
    CKA over a whole data set, from batches that are seen once and forgotten.

    Parameters
    ----------
    kernel : Kernel or pair of kernels, optional
        One for both representations, or one for each; default `Linear`. Of fixed length.

    Attributes
    ----------
    rows, sums, moments : Tensor, shapes (), (3,) and (3, 3)
        Numbers of inputs m of all batches, added up; their statistics h = (HSIC(x, y), HSIC(x, x),
        HSIC(y, y)) times m; and ``m**2 h h'``. All that is kept.
    n_batches : Tensor, shape ()

    Notes
    -----
    CKA is a ratio, and the mean of the ratios of batches is not the ratio of all data: it is larger, the
    smaller the batches. The three statistics of which it is made do have unbiased estimates, the U-statistics
    of Song et al. (2007), whose mean over all batches of a data set is *exactly* that of the whole.
    So these are averaged, and the ratio is taken once, as Nguyen, Raghu and Kornblith (2021) do:

    ``CKA = A / sqrt(B C)`` with ``(A, B, C) = sum_b m_b h_b / sum_b m_b``.

    As an inner product of U-centered Gram matrices, added up over batches with the same weights, it is a
    cosine: never above one. The ratio itself has a bias that falls like one over the number of batches.

    Standard error: to first order the error of the ratio is the weighted mean of the batches' influences,
    ``l_b = (h_xy - CKA (h_xx sqrt(C/B) + h_yy sqrt(B/C)) / 2) / sqrt(B C)``, so that its variance is
    ``k / (k - 1) sum_b m_b**2 l_b**2 / (sum_b m_b)**2`` after k batches (delta method; for equal batches the
    infinitesimal jackknife). It is that of batches drawn at random and apart from each other, and so of the
    CKA of all inputs that could have been drawn. One pass over a data set in random order is of that kind:
    for the CKA of that very data set, of which nothing is left to chance but who shares a batch with whom, it
    is too large. From ten batches on it is good to ten percent or so.

    A kernel whose length follows the distances of its inputs (a median rule) is another kernel in each batch,
    and their statistics have no common meaning: it is refused. Take the length from a large sample once.

    Two estimates of disjoint data are combined by adding up all attributes.

    Delicate: near a CKA of one the angle has half of the digits.

    References
    ----------
    Nguyen, Raghu and Kornblith 2021; Song et al. 2007.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> estimator = MinibatchCKA()
    >>> for _ in range(50):  # wide unrelated layers on batches of 16
    ...     x, y = torch.randn(2, 16, 100, generator=generator)
    ...     _ = estimator.update(x, y)
    >>> estimate = estimator.compute()
    >>> bool(estimate.cka.abs() < 3 * estimate.standard_error), bool(estimate.standard_error < 0.02)
    (True, True)
    """

    def __init__(self, kernel: Kernels = None):
        super().__init__()
        self.statistics = _Statistics(kernel)
        self.rows: Tensor
        self.sums: Tensor
        self.moments: Tensor
        self.n_batches: Tensor
        self.register_buffer("rows", torch.zeros((), dtype=torch.int64))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("sums", torch.zeros(3, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(3, 3, dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Any, y: Any) -> MinibatchCKA:
        """
        Take in one batch.

        Parameters
        ----------
        x, y : Tensor or array, shape (m, d), or (m, c, h, w)
            Activations on the same inputs, at least 4; numbers of units may differ.

        Returns
        -------
        MinibatchCKA
            Itself.

        Raises
        ------
        ShapeError, TypeError, ValueError
            As `hsic`; a kernel whose length follows the data.
        DegenerateRepresentationError
            A layer that gives the same for all inputs, such as a dead one.
        """
        h = self.statistics(x, y).to(self.sums)
        m = len(x)
        h *= m
        self.rows += m
        self.n_batches += 1
        self.sums += h
        self.moments += torch.outer(h, h)
        return self

    def compute(self) -> CKAEstimate:
        """
        Estimate from all batches so far.

        Returns
        -------
        CKAEstimate

        Raises
        ------
        ValueError
            No batch yet.
        DegenerateRepresentationError
            All inputs of a representation are equally far from each other.
        """
        k = int(self.n_batches)
        if k == 0:
            raise ValueError("MinibatchCKA.compute() needs a batch, got none. Call update(x, y) first.")
        h = self.sums / self.rows
        cka = cosine(h)
        slope = _cosine_slope(h) / self.rows
        # The slope is orthogonal to the sums (the ratio does not see a common factor), so that the squares
        # need no centering.
        variance = (slope @ self.moments @ slope).clamp_min(0) * (k / (k - 1) if k > 1 else math.nan)
        error = variance.sqrt()
        sine = safe_sqrt(1 - cka.square())
        steep = sine > 0
        angle_error = torch.where(steep, error / torch.where(steep, sine, 1.0), error)
        return CKAEstimate(cka, error, _angle(cka), angle_error, k, int(self.rows))

    def reset(self) -> None:
        """Forget all batches."""
        for buffer in (self.rows, self.n_batches, self.sums, self.moments):
            buffer.zero_()


class MinibatchCKALoss(nn.Module):
    """
    Angular CKA of all inputs as a training loss, whose gradient is right in expectation over minibatches.

    Parameters
    ----------
    kernel : Kernel or pair of kernels, optional
        One for the layer and its target, or one for each; default `Linear`. Of fixed length.
    away : bool
        Move away from the target, up to the margin, instead of towards it.
    margin : float
        Angle from which on there is no push, in radians; only with `away`. Default pi/2, unrelated.
    squared : bool
        As in `RepresentationLoss`: the squared angle, or the square of what is missing to the margin.
    momentum : float
        Share of the running averages that each batch leaves in place, from 0 to below 1: they look back
        ``1 / (1 - momentum)`` batches or so.

    Attributes
    ----------
    averages : Tensor, shape (3,)
        Running sums of HSIC(x, y), HSIC(x, x) and HSIC(y, y), detached.
    weight : Tensor, shape ()
        Of the batches in them; approaches one.

    Notes
    -----
    Let (A, B, C) be the expected U-statistics of HSIC of a batch, which are those of all data, and ``f`` the
    loss as a function of ``c = A / sqrt(B C)``, such as ``acos(c)**2``. The gradient that is wanted is
    ``f'(c) (c_A grad A + c_B grad B)``, where

    ``c_A = 1 / sqrt(B C)``, ``c_B = -c / (2 B)``, ``c_C = -c / (2 C)``.

    A batch gives unbiased estimates h of all of A, B, C *and of their gradients*, but a function of a noisy h
    is biased. So the factors come from running averages a, and only h carries the gradient of the batch:

    ``loss = f(c(a)) + f'(c(a)) [c_A(a), c_B(a), c_C(a)] . (h - a)``,

    the expansion of the loss at the averages, to first order. The averages are those of *earlier* batches,
    which know nothing of this one: factor and gradient are independent, and the expectation of their
    product is the product of expectations. What is left is the curvature of f times the variance of the
    averages, and their delay if the network changes fast. The first batch of all finds no averages and
    counts by its own ratio.

    The value is an unbiased estimate as well, of first order, and as noisy as one batch; it may be negative.
    `estimate` is steadier. A layer whose scale changes by a large factor within the time of the averages
    confuses them: reduce `momentum`.

    In evaluation mode (``loss.eval()``) the averages stay as they are.

    No gradient reaches the target. Statistics are computed in float64, under ``torch.autocast`` too. Kernels
    whose length follows the batch are refused, as in `MinibatchCKA`.

    References
    ----------
    Nguyen, Raghu and Kornblith 2021; Song et al. 2007.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(32, 10, requires_grad=True)
    >>> loss = MinibatchCKALoss()
    >>> bool(loss(x, x).detach().abs() < 1e-6)  # the angle of a layer with itself
    True
    """

    def __init__(
        self,
        kernel: Kernels = None,
        *,
        away: bool = False,
        margin: float | None = None,
        squared: bool = True,
        momentum: float = 0.9,
    ):
        super().__init__()
        if isinstance(momentum, bool) or not (isinstance(momentum, Real) and 0 <= momentum < 1):
            raise ValueError(
                f"momentum must be a number from 0 to below 1, got {momentum!r}. 0.9 looks back ten batches."
            )
        _checks.check_flag(away, "away")
        _checks.check_flag(squared, "squared")
        self.statistics = _Statistics(kernel)
        self.away = away
        self.margin = checked_margin(margin, away, math.pi / 2)
        self.squared = squared
        self.momentum = momentum
        self.averages: Tensor
        self.weight: Tensor
        self.register_buffer("averages", torch.zeros(3, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))

    def forward(self, activations: Tensor, target: Any) -> Tensor:
        """
        Loss of one batch.

        Parameters
        ----------
        activations : Tensor, shape (m, d), or (m, c, h, w)
        target : Tensor or array, shape (m, e), or (m, c, h, w)
            Activations of another network on the same inputs, one-hot labels (as floats), ...

        Returns
        -------
        Tensor, shape ()
            Squared radians, or radians if not `squared`.

        Raises
        ------
        ShapeError, TypeError, ValueError
            As `hsic`; a kernel whose length follows the data.
        DegenerateRepresentationError
            A layer that gives the same for all inputs, such as a dead one.
        """
        h = self.statistics(activations, target.detach() if isinstance(target, Tensor) else target)
        earlier = self.averages / self.weight if bool(self.weight > 0) else None
        if self.training:
            with torch.no_grad():
                self.averages.lerp_(h.detach().to(self.averages), 1 - self.momentum)
                self.weight.lerp_(torch.ones_like(self.weight), 1 - self.momentum)
        loss = self._function(cosine(h)) if earlier is None else self._expanded(earlier.to(h), h)
        return loss.to(torch.promote_types(activations.dtype, torch.float32))

    def _expanded(self, a: Tensor, h: Tensor) -> Tensor:
        """The loss at the statistics h, by its value and slope at a."""
        with torch.inference_mode(False), torch.enable_grad():
            a = a.clone().requires_grad_()
            value = self._function(cosine(a))
            (slope,) = torch.autograd.grad(value, a)
        return value.detach() + slope @ (h - a.detach())

    @property
    def estimate(self) -> Tensor:
        """Angle in radians by the running averages; shape (). nan before the first batch."""
        return _angle(cosine(self.averages)) if bool(self.weight > 0) else self.weight * math.nan

    def _function(self, c: Tensor) -> Tensor:
        if self.away:
            return hinge(_angle(c), self.margin, self.squared)
        return squared_angle_from_chords(*_chords(c)) if self.squared else _angle(c)

    def extra_repr(self) -> str:
        """Parameters, for ``repr``."""
        direction = f"away=True, margin={self.margin:.4g}" if self.away else "away=False"
        return f"{direction}, squared={self.squared}, momentum={self.momentum}"


def cosine(h: Tensor) -> Tensor:
    """CKA from HSIC(x, y), HSIC(x, x) and HSIC(y, y), shape (3,); refused where one of the latter is zero."""
    xy, xx, yy = h
    if readable(h) and not bool((h[1:] > 0).all()):
        raise DegenerateRepresentationError(nothing_left("a Gram matrix after U-centering"))
    return xy / (xx.sqrt() * yy.sqrt())


def _cosine_slope(h: Tensor) -> Tensor:
    """Derivative of `cosine`; shape (3,)."""
    _, xx, yy = h
    c = cosine(h)
    return torch.stack((1 / (xx.sqrt() * yy.sqrt()), -c / (2 * xx), -c / (2 * yy)))


def _chords(c: Tensor) -> tuple[Tensor, Tensor]:
    """Squared lengths of difference and sum of two unit vectors, from their cosine."""
    return (2 - 2 * c).clamp_min(0), (2 + 2 * c).clamp_min(0)


def _angle(c: Tensor) -> Tensor:
    return angle_from_chords(*_chords(c))


def _check_fixed(kernel: Kernel, x: Tensor) -> None:
    """Refuse a kernel for which the Gram matrix of some inputs is not a block of that of all."""
    with torch.no_grad():
        block, alone = kernel.squared_distances(x)[..., :-1, :-1], kernel.squared_distances(x[..., :-1, :])
        if bool((block - alone).abs().max() > 1e-6 * block.abs().max()):
            raise ValueError(
                f"the kernel must be the same in all batches, got {kernel}, whose length follows the inputs. "
                "Give it a fixed length_scale, such as the median distance in a large sample."
            )
