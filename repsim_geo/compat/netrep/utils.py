"""Functions with the names of ``netrep.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from repsim_geo.compat._arrays import as_array, as_floats, as_matrix, as_pair
from repsim_geo.compat.netrep.metrics import LinearMetric
from repsim_geo.embeddings.activations import Whiten
from repsim_geo.errors import DegenerateRepresentationError
from repsim_geo.manifolds.actions import Orthogonal, Permutation
from repsim_geo.manifolds.bures import BuresWassersteinSPD
from repsim_geo.manifolds.sphere import UnitSphere

_GROUPS = {"orth": Orthogonal, "perm": Permutation}


def align(X: Any, Y: Any, group: str = "orth") -> np.ndarray:
    """
    Matrix that brings the first of two matrices as close as possible to the second, ``X @ T``.

    Parameters
    ----------
    X, Y : array-like, shape (m, d)
    group : "orth", "perm" or "identity"

    Returns
    -------
    ndarray, shape (d, d)
        netrep returns a sparse matrix for "perm" and "identity".

    Examples
    --------
    >>> import numpy as np
    >>> align(np.eye(2), np.eye(2)[::-1]).round(6)
    array([[0., 1.],
           [1., 0.]])
    """
    a, b = as_pair(X, Y, "align()")
    check_group(group)
    if group == "identity":
        return np.eye(a.shape[-1])
    return as_array(_GROUPS[group]().align(b, a).rotation)


def check_group(group: str) -> None:
    """
    Refuse groups that netrep does not have.

    Parameters
    ----------
    group : str

    Raises
    ------
    ValueError
    """
    if group not in (*_GROUPS, "identity"):
        raise ValueError(f"group must be 'orth', 'perm' or 'identity', got {group!r}. Rotations are 'orth'.")


def angular_distance(X: Any, Y: Any) -> float:
    """
    Angle between two matrices as they are, in radians.

    Parameters
    ----------
    X, Y : array-like, shape (m, d)

    Returns
    -------
    float
        From 0 to pi.

    Examples
    --------
    >>> import numpy as np
    >>> angular_distance(np.eye(2), -3 * np.eye(2))
    3.1415...
    """
    a, b = as_pair(X, Y, "angular_distance()")
    for x, name in ((a, "X"), (b, "Y")):
        if not bool(x.any()):
            raise DegenerateRepresentationError(
                f"{name} is zero, and an angle needs a direction. Leave this network out."
            )
    sphere = UnitSphere(2)
    return float(sphere.dist(sphere.projx(a), sphere.projx(b)))


def whiten(X: Any, alpha: float, preserve_variance: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """
    Partially whitened activations, and the map that whitens.

    Parameters
    ----------
    X : array-like, shape (m, d)
        Centered, if whitening is to make covariances isotropic.
    alpha : float
        From 0 (all whitened) to 1 (nothing).
    preserve_variance : bool

    Returns
    -------
    ndarray, shape (m, d)
    ndarray, shape (d, d)

    Examples
    --------
    >>> import numpy as np
    >>> whiten(np.diag([4.0, 2.0]), 0.5, preserve_variance=False)[0]
    array([[2.5, 0. ],
           [0. , 1.5]])
    """
    x = as_matrix(X, "X")
    white = Whiten(1 - alpha, "gram", preserve_variance=preserve_variance)(x)
    return as_array(white), as_array(LinearMetric(alpha)._whitener(x, white))


def sq_bures_metric(A: Any, B: Any) -> float:
    """
    Squared Bures distance of two covariances.

    Parameters
    ----------
    A, B : array-like, shape (d, d)
        Symmetric positive semidefinite.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> sq_bures_metric(np.diag([1.0, 4.0]), np.diag([4.0, 4.0]))
    1.0
    """
    a, b = (torch.as_tensor(as_floats(m)) for m in (A, B))
    return float(BuresWassersteinSPD().dist2(a, b))
