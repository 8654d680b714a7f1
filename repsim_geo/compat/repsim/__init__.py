"""
Names of repsim (Lange et al. 2023): ``compare``, and the modules that it has.

Put ``repsim_geo.compat.`` before ``repsim`` in the imports of a script, also of ``repsim.metrics``,
``repsim.kernels``, ``repsim.pairwise`` and ``repsim.geometry``; the rest stays. Where numbers differ from
repsim's, the docstring of the metric says why.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from repsim_geo.compat.repsim.metrics import (
    AffineInvariantRiemannian,
    AngularCKA,
    AngularShapeMetric,
    EuclideanShapeMetric,
    RepresentationMetricSpace,
    Stress,
    check_same_inputs,
)
from repsim_geo.errors import UnknownMetricError

__all__ = [
    "AffineInvariantRiemannian",
    "AngularCKA",
    "AngularShapeMetric",
    "EuclideanShapeMetric",
    "RepresentationMetricSpace",
    "Stress",
    "compare",
]

_METHODS: dict[str, type[RepresentationMetricSpace]] = {
    "stress": Stress,
    "angular_cka": AngularCKA,
    "affine_invariant_riemannian": AffineInvariantRiemannian,
    "euclidean_shape_metric": EuclideanShapeMetric,
    "angular_shape_metric": AngularShapeMetric,
}


def compare(
    x: Tensor, y: Tensor, method: RepresentationMetricSpace | str = "stress", **kwargs: Any
) -> Tensor:
    """
    Distance of two representations of the same inputs.

    Parameters
    ----------
    x, y : Tensor or array, shape (m, d_i)
        Other axes than the first are flattened.
    method : str or RepresentationMetricSpace
        "stress", "angular_cka", "affine_invariant_riemannian", "euclidean_shape_metric" or
        "angular_shape_metric".
    **kwargs
        Arguments of the named metric, other than m. Shape metrics keep all units if p is left out.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    UnknownMetricError
        No such name.
    TypeError
        Something that is no metric.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> compare(x, 3 * x)  # one pair of inputs: |1 - 3|
    tensor(2.)
    """
    x, y = check_same_inputs(x, y)
    if isinstance(method, str):
        factory = _METHODS.get(method.lower())
        if factory is None:
            raise UnknownMetricError(
                f"method must be one of {', '.join(_METHODS)}, got {method!r}. repsim_geo.compare knows more."
            )
        if factory in (EuclideanShapeMetric, AngularShapeMetric):
            kwargs.setdefault("p", max(x.shape[-1], y.shape[-1]))
        method = factory(m=x.shape[0], **kwargs)
    elif not isinstance(method, RepresentationMetricSpace):
        raise TypeError(
            f"method must be a name or a metric of repsim_geo.compat.repsim, got {type(method).__name__}. "
            "For the package's own metrics call repsim_geo.compare."
        )
    return method.length(method.neural_data_to_point(x), method.neural_data_to_point(y))
