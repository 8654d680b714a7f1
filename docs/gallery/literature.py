"""
Measures of representational similarity as the literature writes them, a few lines of numpy each.

They are here to be verified: `plot_verification.py` draws what a few of them keep and break, and
`docs/verification.md` reports on all. Every function takes activations (m, d_x) and (m, d_y) of the same
inputs, and returns one number. Similarities are turned into distances as is usual, by 1 minus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# ---------------------------------------------------------------------- what they share


def _centered(x):
    return x - x.mean(0)


def _unit(a):
    """An array of norm one; the zero array has no direction, and that is no fault of a measure."""
    norm = np.linalg.norm(a)
    if norm == 0:
        raise ValueError(
            "activations must vary from input to input, got the same response to all. "
            "Leave out networks that are constant."
        )
    return a / norm


def _unit_gram(x):
    x = _unit(_centered(x))
    return _unit(x @ x.T)


def _basis(x):
    """Orthonormal basis of what the units span; directions that are nothing but rounding do not count."""
    u, s, _ = np.linalg.svd(_unit(_centered(x)), full_matrices=False)
    return u[:, s > s[0] * 1e3 * np.finfo(x.dtype).eps]


# ---------------------------------------------------------------------- dissimilarities


def one_minus_cka(x, y):
    """One minus linear centered kernel alignment (kornblith2019)."""
    return 1 - np.sum(_unit_gram(x) * _unit_gram(y))


def one_minus_rsa(x, y):
    """One minus the Pearson correlation of squared Euclidean distance matrices (kriegeskorte2008)."""
    pairs = np.triu_indices(len(x), 1)
    rdms = [
        np.square(w[:, None] - w[None]).sum(-1)[pairs] for w in (_unit(_centered(x)), _unit(_centered(y)))
    ]
    return 1 - np.sum(_unit(_centered(rdms[0])) * _unit(_centered(rdms[1])))


def one_minus_mean_cca(x, y):
    """One minus the mean canonical correlation (raghu2017, morcos2018)."""
    return 1 - np.linalg.svd(_basis(x).T @ _basis(y), compute_uv=False).mean()


def one_minus_regression(x, y):
    """One minus the share of the variance of y that a linear regression on x explains (kornblith2019)."""
    return 1 - np.square(_basis(x).T @ _unit(_centered(y))).sum()


def squared_bures(x, y):
    """Squared Bures distance of Gram matrices (bhatia2019), which rsatoolbox calls bures_metric."""
    g, h = (_centered(w) @ _centered(w).T for w in (x, y))
    values, vectors = np.linalg.eigh(g)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ h @ root).clip(0)).sum()
    return np.trace(g) + np.trace(h) - 2 * overlap


def squared_procrustes(x, y):
    """Squared distance of unit-norm activations after the best rotation (ding2021)."""
    return 2 - 2 * np.linalg.svd(_unit(_centered(x)).T @ _unit(_centered(y)), compute_uv=False).sum()


def one_minus_mutual_neighbors(x, y, k=3):
    """One minus the share of the k nearest neighbors, by cosine, that two networks agree on (huh2024)."""
    neighbors = []
    for w in (x, y):
        length = np.linalg.norm(w, axis=1, keepdims=True)
        w = w / np.where(length > 0, length, 1)
        cosine = w @ w.T
        np.fill_diagonal(cosine, -np.inf)
        # Which of two equally near inputs comes first must not depend on the last digits of a product.
        order = np.argsort(-cosine.round(9), axis=1, kind="stable")
        neighbors.append(order[:, : min(k, len(w) - 1)])
    return 1 - np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(*neighbors, strict=True)])


# ---------------------------------------------------------------------- metrics


def arccos_cka(x, y):
    """Arc cosine of linear centered kernel alignment (williams2021)."""
    return np.arccos(np.clip(np.sum(_unit_gram(x) * _unit_gram(y)), -1, 1))


def procrustes(x, y):
    """Distance of unit-norm activations after the best rotation (williams2021)."""
    x, y = _unit(_centered(x)), _unit(_centered(y))
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(w, ((0, 0), (0, width - w.shape[1]))) for w in (x, y))
    u, _, vt = np.linalg.svd(y.T @ x)
    return np.linalg.norm(x - y @ (u @ vt))


# ---------------------------------------------------------------------- what they claim


@dataclass(frozen=True)
class LiteratureMeasure:
    """
    A measure and what it claims.

    Attributes
    ----------
    name, title : str
    function : callable
        ``function(x, y)`` of numpy arrays (m, d_x) and (m, d_y).
    invariances : tuple of str or None
        What it says it does not notice; all that does not follow, it notices. None for no claim.
    range : tuple of float
        Smallest and largest value.
    reference : str
        Key in docs/references.md.
    metric : bool
        Whether it is known to be one.
    m, d : int
        Inputs and units of the networks on which it is verified.
    """

    name: str
    title: str
    function: Callable[[np.ndarray, np.ndarray], float]
    invariances: tuple[str, ...] | None
    range: tuple[float, float]
    reference: str
    metric: bool = False
    m: int = 12
    d: int = 4


_SHAPE = ("translation", "isotropic scaling", "rotation and reflection")
_AFFINE = ("invertible affine map",)

MEASURES: tuple[LiteratureMeasure, ...] = (
    LiteratureMeasure("one_minus_cka", "1 − linear CKA", one_minus_cka, _SHAPE, (0, 1), "kornblith2019"),
    LiteratureMeasure("one_minus_rsa", "1 − RSA", one_minus_rsa, _SHAPE, (0, 2), "kriegeskorte2008"),
    LiteratureMeasure(
        "one_minus_mean_cca", "1 − mean CCA", one_minus_mean_cca, _AFFINE, (0, 1), "morcos2018"
    ),
    LiteratureMeasure(
        # Networks of five units span all there is: six inputs less their mean.
        "one_minus_mean_cca_few_inputs",
        "1 − mean CCA, only 6 inputs",
        one_minus_mean_cca,
        _AFFINE,
        (0, 1),
        "morcos2018",
        m=6,
    ),
    # Affine maps of the predictor go unnoticed, those of the predicted do not; a claim is of both.
    LiteratureMeasure(
        "one_minus_regression", "1 − R² of regression", one_minus_regression, _SHAPE, (0, 1), "kornblith2019"
    ),
    LiteratureMeasure(
        "squared_bures",
        "squared Bures distance",
        squared_bures,
        ("translation", "rotation and reflection"),
        (0, np.inf),
        "bhatia2019",
    ),
    LiteratureMeasure(
        "squared_procrustes", "squared Procrustes distance", squared_procrustes, _SHAPE, (0, 2), "ding2021"
    ),
    LiteratureMeasure(
        "one_minus_mutual_neighbors",
        "1 − mutual 3-NN overlap",
        one_minus_mutual_neighbors,
        ("isotropic scaling", "rotation and reflection"),
        (0, 1),
        "huh2024",
    ),
    LiteratureMeasure(
        "arccos_cka",
        "arc cosine of linear CKA",
        arccos_cka,
        _SHAPE,
        (0, np.pi / 2),
        "williams2021",
        metric=True,
    ),
    LiteratureMeasure(
        "procrustes", "Procrustes distance", procrustes, _SHAPE, (0, 2**0.5), "williams2021", metric=True
    ),
)
