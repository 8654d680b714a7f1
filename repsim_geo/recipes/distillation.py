"""Several teachers, one student: the Fréchet mean of their layers as a target of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repsim_geo import _checks
from repsim_geo.errors import ShapeError
from repsim_geo.recipes.representation_loss import RepresentationLoss, geometry
from repsim_geo.registry import Method, as_metric
from repsim_geo.stats.frechet import FrechetMean


@dataclass(frozen=True)
class TeacherMean:
    """
    Fréchet mean of the layers of several teachers, with its certificate.

    Attributes
    ----------
    metric : RepresentationMetric
        With its sizes fixed for these teachers.
    point : Tensor, shape (*point)
        The mean.
    certificate : FrechetMean
        What is known of it: ``converged_``, ``gradient_norm_``, ``error_bound_``, ``unique_``, ``variance_``.
    distances : Tensor, shape (n,)
        From the mean to each teacher, in the unit of the metric.
    """

    metric: Any
    point: Tensor
    certificate: FrechetMean
    distances: Tensor

    def loss(self, **options: Any) -> RepresentationLoss:
        """
        Loss that pulls a layer to the mean: ``loss(activations, rows=rows)``.

        Parameters
        ----------
        **options
            Of `RepresentationLoss`, such as ``squared=False``.

        Returns
        -------
        RepresentationLoss
        """
        return RepresentationLoss(self.metric, point=self.point, **options)


def mean_of_teachers(
    teachers: Sequence[Any], method: Method = "angular_cka", *, weights: Any = None, **options: Any
) -> TeacherMean:
    """
    Fréchet mean of the activations of several networks on the same inputs.

    Parameters
    ----------
    teachers : sequence of Tensor or array, shape (n_inputs, d_i)
        One layer of each teacher on all training inputs, in one order; numbers of units may differ.
    method : str, metric, or (nn.Module, geoopt.Manifold)
    weights : array-like, shape (n,), optional
        How much each teacher counts, such as its accuracy; equal by default.
    **options
        Keyword arguments of the named metric.

    Returns
    -------
    TeacherMean

    Raises
    ------
    ShapeError
        No teachers, or different numbers of inputs.
    TypeError, ValueError, DegenerateRepresentationError
        As `compare`; wrong weights.

    Warns
    -----
    ConvergenceWarning
        The mean was not found to its tolerance.

    Notes
    -----
    The mean has no units and is no network: for `AngularCKA` it is a Gram matrix, to which a student of any
    width can be compared. ``MinibatchCKALoss()(x, metric.realize(mean.point)[rows])`` pulls to it without the
    bias of small batches. A point of n inputs may take ``n**2`` numbers: draw a sample of the inputs where
    these are too many.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0], [-1.0], [0.0], [0.0]])
    >>> y = torch.tensor([[0.0], [0.0], [1.0], [-1.0]])
    >>> mean = mean_of_teachers([x, y])
    >>> mean.distances  # half of a right angle from either
    tensor([0.7854, 0.7854])
    >>> mean.certificate.unique_
    True
    """
    if isinstance(teachers, str) or not isinstance(teachers, Sequence | Tensor):
        raise TypeError(
            "teachers must be a list of activations (n_inputs, d_i), got "
            f"{type(teachers).__name__}. Pass one layer of each teacher, [x, y]."
        )
    if len(teachers) == 0:
        raise ShapeError(
            "mean_of_teachers() needs at least one teacher, got none. Pass a list of activations."
        )
    metric: Any = as_metric(method, **options)
    with torch.no_grad():
        xs = [_checks.as_activations(x, f"teachers[{i}]") for i, x in enumerate(teachers)]
        for i, x in enumerate(xs):
            _checks.check_pair(xs[0], x, "mean_of_teachers()", ("teachers[0]", f"teachers[{i}]"))
            metric.check_input(x, f"teachers[{i}]")
        metric = metric.resolve(xs)
        points = torch.stack([metric.embed(x) for x in xs])
        manifold = geometry(metric)
        mean = FrechetMean(manifold).fit(points, weights)
        return TeacherMean(metric, mean.mean_, mean, manifold.dist(points, mean.mean_))
