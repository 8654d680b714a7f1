"""Functions on many networks, with the names of ``netrep.multiset``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from repsim_geo.compat._arrays import as_array, as_matrix
from repsim_geo.compat.netrep._pairs import all_pairs
from repsim_geo.compat.netrep.utils import align, check_group
from repsim_geo.errors import ShapeError
from repsim_geo.manifolds.actions import Orthogonal, Permutation
from repsim_geo.manifolds.flat import Flat
from repsim_geo.manifolds.quotient import Quotient
from repsim_geo.stats.frechet import FrechetMean


def pairwise_distances(
    metric: Any,
    traindata: Sequence[Any],
    testdata: Sequence[Any] | None = None,
    verbose: bool = True,
    enable_caching: bool = False,
) -> Any:
    """
    Distances of all pairs of networks.

    Parameters
    ----------
    metric : object with ``fit`` and ``score``
    traindata : sequence of n networks
    testdata : sequence of n networks, optional
        Evaluate the alignments of `traindata` on these too.
    verbose, enable_caching : bool
        Taken for the sake of scripts, and not used.

    Returns
    -------
    ndarray, shape (n, n), or a pair of these if there is `testdata`

    Examples
    --------
    >>> import numpy as np
    >>> from repsim_geo.compat.netrep.metrics import LinearCKA
    >>> x, y = np.array([[1.0], [-1.0], [0.0], [0.0]]), np.array([[0.0], [0.0], [1.0], [-1.0]])
    >>> pairwise_distances(LinearCKA(), [x, y, x], verbose=False).round(4)
    array([[0.    , 1.5708, 0.    ],
           [1.5708, 0.    , 1.5708],
           [0.    , 1.5708, 0.    ]])
    """
    train, test = all_pairs(metric, traindata, testdata)
    return train if testdata is None else (train, test)


def cross_distances(
    metric: Any,
    Xs: Sequence[Any],
    Ys: Sequence[Any],
    Xs_test: Sequence[Any] | None = None,
    Ys_test: Sequence[Any] | None = None,
    verbose: bool = True,
) -> Any:
    """
    Distances of every network of one list to every one of another.

    Parameters
    ----------
    metric : object with ``fit`` and ``score``
    Xs : sequence of n networks
    Ys : sequence of k networks
    Xs_test, Ys_test : sequences of as many networks, optional
        Evaluate the alignments on these too.
    verbose : bool
        Taken for the sake of scripts, and not used.

    Returns
    -------
    ndarray, shape (n, k), or a pair of these if there are tests
    """
    if (Xs_test is None) != (Ys_test is None):
        given, other = ("Xs_test", "Ys_test") if Ys_test is None else ("Ys_test", "Xs_test")
        raise ValueError(f"both lists need test data, got {given} alone. Pass {other} too, or neither.")
    train, test = all_pairs(metric, Xs, Xs_test, (Ys, Ys_test))
    return train if Xs_test is None else (train, test)


def frechet_mean(
    Xs: Sequence[Any],
    group: str = "orth",
    random_state: Any = None,
    tol: float | None = None,
    max_iter: int = 100,
    warmstart: Any = None,
    verbose: bool = False,
    method: str = "streaming",
    return_aligned_Xs: bool = False,
) -> Any:
    """
    Mean of networks under the Euclidean distance after the best alignment: `FrechetMean`.

    Parameters
    ----------
    Xs : sequence of n arrays, shape (m, d)
        As they are: center them to ignore shifts.
    group : "orth", "perm" or "identity"
    random_state, method, verbose
        Taken for the sake of scripts, and not used: the mean does not depend on an order of the networks, and
        nothing is printed.
    tol : float, optional
        Norm of the gradient at which to stop; None goes on to rounding. netrep stops at steps of 1e-3.
    max_iter : int
    warmstart : array-like, shape (m, d), optional
        Where to begin.
    return_aligned_Xs : bool
        Return the networks too, each aligned to the mean.

    Returns
    -------
    ndarray, shape (m, d), or a pair of it and a list of n arrays

    Notes
    -----
    Closer to the minimum than netrep's "streaming", and no array is written to, as its "full_batch" does.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[2.0, 0.0], [0.0, 1.0]])
    >>> mean = frechet_mean([x, -x, x[:, ::-1]])  # one network, and copies that are turned
    >>> (mean @ mean.T).round(6)
    array([[4., 0.],
           [0., 1.]])
    """
    points = [as_matrix(x, "Xs") for x in Xs]
    if len({p.shape for p in points}) > 1:
        raise ShapeError(
            "networks must have one shape (m, d) to have a mean, got "
            f"{sorted({tuple(p.shape) for p in points})}. Pad the narrower ones with silent units."
        )
    check_group(group)
    stack = torch.stack(points)
    if group == "identity":
        mean = stack.mean(0)
    else:
        space = Quotient(Flat(2), Orthogonal() if group == "orth" else Permutation())
        init: Any = "medoid" if warmstart is None else as_matrix(warmstart, "warmstart").to(stack)
        mean = FrechetMean(space, tol=tol, max_iter=max_iter, init=init).fit(stack).mean_
    result = as_array(mean)
    if not return_aligned_Xs:
        return result
    return result, [as_array(x) @ align(x, result, group) for x in points]


def euclidean_tangent_space(Xs: Sequence[Any], Xbar: Any, group: str = "orth") -> np.ndarray:
    """
    What is left of a reference after subtracting every network, aligned to it.

    Parameters
    ----------
    Xs : sequence of n arrays, shape (m, d)
    Xbar : array-like, shape (m, d)
        The reference, such as a mean.
    group : "orth", "perm" or "identity"

    Returns
    -------
    ndarray, shape (n, m, d)
        Minus the logarithms ``logmap(Xbar, X)`` of the shape space: the sign is netrep's.
    """
    reference = as_array(as_matrix(Xbar, "Xbar"))
    moved = [as_array(as_matrix(x, "Xs")) @ align(x, reference, group) for x in Xs]
    return np.stack([reference - x for x in moved])
