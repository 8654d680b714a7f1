"""Reference computations for the tests: slow, short, and written from first principles.

Nothing here imports torch or ``repsim_geo``. Where the library has a closed form, the oracle minimizes,
integrates, enumerates or counts instead, so that agreement means something:

===========================  =====================================  ==========================================
quantity                     library                                here
===========================  =====================================  ==========================================
unbiased HSIC, debiased CKA  U-centering projector                  Song's formula; all 4-tuples in fractions
Procrustes distance          SVD                                    BFGS and Newton over the rotation group
parallel transport, shapes   power series on so(p)                  full m x p ODE (DOP853); pole ladder
vertical projection          eigenbasis division                    least squares on a basis of so(p)
Fréchet means                Karcher flow                           minimization of the variance
sphere exp, transport        closed forms                           power series of a rotation, 60 digits
dimensions                   formulas                               rank of the projector
curvature                    O'Neill formula                        distances of small hinges
cut time                     eigenvalues                            bisection on "is this still minimal?"
===========================  =====================================  ==========================================

Conventions: ``m`` inputs (rows), ``p`` units (columns), float64 arrays without batch dimensions. Shapes are
used *as given*: call `center` first if the columns should have zero mean. The group acts from the right: x q.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import mpmath as mp
import numpy as np
import scipy.integrate
import scipy.linalg
import scipy.optimize

# ----------------------------------------------------------------------------------------------------------
# Golden numbers
# ----------------------------------------------------------------------------------------------------------

GOLDEN = {
    # CKA family (columns centered; "lange" = zero the diagonal after double centering, repsim's default)
    "biased_cka": 0.557613256612,
    "unbiased_cka": 0.513456489506,
    "lange_cka": 0.513946366160,
    "angular_cka": 0.979288557815,  # arccos(biased_cka), radians
    # Procrustes family, O(p), columns centered, no 1/sqrt(m)
    "size_and_shape": 30.083272229053,
    "angular_shape": 0.743276476121,  # radians
    "nbs": 0.736255310606,  # cos(angular_shape)
    "unit_chord": 0.726284640336,  # sqrt(2 - 2 nbs)
    "bures_squared_over_p": 90.5003268,
    "size_and_shape_squared": 905.003268,
    # partial whitening d = share + (1 - share) * eig**(-1/2), share = 1/2 or 0
    "angular_shape_half_whitened_mean_cov": 0.743626,  # eig of x'x/m, as repsim
    "size_and_shape_half_whitened_mean_cov": 25.8447,
    "size_and_shape_whitened_mean_cov": 23.1942,
    "angular_shape_half_whitened_gram_cov": 0.742966,  # eig of x'x, then the trace is restored, as netrep
    "size_and_shape_half_whitened_gram_cov": 30.0737,
    "size_and_shape_whitened_gram_cov": 30.3216,
    # canonical correlations
    "cca_mean_rho": 0.7310139588,
    "cca_angle": 0.7509896032,  # arccos(cca_mean_rho) = angular shape after full whitening, radians
    "cca_mean_rho2": 0.5453963322,
    "cca_mean_rho2_uncentered": 0.5431238559,
    # symmetric positive-definite matrices
    "affine_invariant_cov": 2.463729480371,  # covariances x'x/(m-1)
    # dissimilarity matrices
    "stress": 2.193490403639,  # root mean square over i<j of differences of Euclidean distances
    "stress_median_lower": 0.2105146,  # each RDM divided by its lower median (torch.median)
    "stress_median": 0.2104964,  # ... by its ordinary median
    "rdm_cosine": 0.92777055,  # squared Euclidean RDMs
    "rdm_correlation": 0.50623211,
    "rdm_spearman": 0.49296470,
    "rdm_kendall_tau": 0.34015475,
    "rdm_correlation_whitened": 0.51319938,
    "rdm_cosine_whitened": 0.55761326,  # equals biased_cka
    "distance_correlation": 0.79924619,  # sqrt(dCov2 / sqrt(dVar2 dVar2)), biased
    # permutations instead of rotations
    "permutation_angle": 0.7622249565,
    "permutation_distance": 30.6689223636,
    "soft_matching": 9.6983648052,  # permutation_distance / sqrt(p)
}
"""Published and reproduced values for `golden_pair`; every digit is confirmed in ``test_oracles.py``."""


def golden_pair() -> tuple[np.ndarray, np.ndarray]:
    """Two correlated Gaussian representations: the pair of Kornblith et al.'s public CKA demo notebook.

    Returns
    -------
    x, y : ndarray, shape (100, 10)
        Not centered.
    """
    rs = np.random.RandomState(1337)
    x = rs.randn(100, 10)
    y = rs.randn(100, 10) + x
    return x, y


def center(x: np.ndarray) -> np.ndarray:
    """Subtract the mean of every column of ``x``, shape (m, p)."""
    return x - x.mean(axis=0, keepdims=True)


# ----------------------------------------------------------------------------------------------------------
# HSIC and CKA
# ----------------------------------------------------------------------------------------------------------


def unbiased_hsic(K: np.ndarray, L: np.ndarray) -> float | Fraction:
    """Unbiased estimate of the Hilbert-Schmidt independence criterion, by Song et al.'s formula.

    With ``A`` and ``B`` the kernel matrices without their diagonals,
    ``(tr(AB) + sum(A) sum(B) / ((m-1)(m-2)) - 2 sum(AB) / (m-2)) / (m(m-3))``.

    Parameters
    ----------
    K, L : ndarray, shape (m, m), m >= 4
        Symmetric kernel matrices, centered or not. Arrays of `fractions.Fraction` (dtype object) are
        evaluated exactly.

    Returns
    -------
    float or Fraction

    References
    ----------
    Song, Smola, Gretton, Bedo, Borgwardt (2012), Feature selection via dependence maximization, JMLR,
    equation 5 (also ICML 2007).
    """
    m = len(K)
    if m < 4:
        raise ValueError(f"unbiased HSIC needs at least 4 inputs: got {m}")
    A, B = K.copy(), L.copy()
    for i in range(m):
        A[i, i] = A[i, i] * 0
        B[i, i] = B[i, i] * 0
    AB = A @ B
    total = AB.trace() + A.sum() * B.sum() / ((m - 1) * (m - 2)) - 2 * AB.sum() / (m - 2)
    return total / (m * (m - 3))


def unbiased_hsic_exact(K: np.ndarray, L: np.ndarray) -> Fraction:
    """Unbiased HSIC as a U-statistic: the mean over all 4-tuples of distinct inputs, in exact fractions.

    The population value is ``E K(X,X') L(Y,Y') + E K E L - 2 E_xy [E K(x,X') E L(y,Y'')]``; with distinct
    ``i, j, q, r`` every ``K_ij (L_ij + L_qr - 2 L_iq)`` has that expectation, so their mean is unbiased.

    Parameters
    ----------
    K, L : ndarray, shape (m, m), 4 <= m <= about 9
        Symmetric. Floats are taken at their exact binary value.

    Returns
    -------
    Fraction
        Costs m(m-1)(m-2)(m-3) exact products: 10 ms at m=6, 50 ms at m=9.
    """
    m = len(K)
    if m < 4:
        raise ValueError(f"unbiased HSIC needs at least 4 inputs: got {m}")
    k, ell = as_fractions(K), as_fractions(L)
    total, count = Fraction(0), 0
    for i, j, q, r in itertools.permutations(range(m), 4):
        total += k[i, j] * (ell[i, j] + ell[q, r] - 2 * ell[i, q])
        count += 1
    return total / count


def as_fractions(A: np.ndarray) -> np.ndarray:
    """The exact rational value of every entry, as an object array of the same shape."""
    return np.vectorize(lambda a: a if isinstance(a, Fraction) else Fraction(float(a)), otypes=[object])(A)


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Ratio of unbiased HSICs with linear kernels, in [-1, 1].

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y : ndarray, shape (m, q)
        m >= 4. Centered here for the digits only: the value does not depend on it.
    """
    x, y = center(x), center(y)
    K, L = x @ x.T, y @ y.T
    return unbiased_hsic(K, L) / math.sqrt(unbiased_hsic(K, K) * unbiased_hsic(L, L))


def biased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Cosine of doubly centered Gram matrices, ``tr(KHLH) / sqrt(tr(KHKH) tr(LHLH))``, in [0, 1].

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y : ndarray, shape (m, q)

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton (2019), equations 3 and 4.
    """
    m = len(x)
    H = np.eye(m) - np.ones((m, m)) / m
    K, L = x @ x.T, y @ y.T

    def hsic(P, Q):
        return np.trace(P @ H @ Q @ H) / (m - 1) ** 2

    return float(hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L)))


def u_centering_least_squares(A: np.ndarray) -> np.ndarray:
    """Nearest symmetric matrix with zero diagonal and zero row sums, by least squares on an explicit basis.

    The basis consists of alternating 4-cycles ``E_ab - E_bc + E_cd - E_da`` of the complete graph (``E_ij``
    is the symmetric unit matrix of the pair i, j): every vertex gets +1 and -1, so rows sum to zero. Anchored
    at the vertices 0, 1, 2 there are m(m-3)/2 of them, each with an edge that no later one has, hence a
    basis.

    Parameters
    ----------
    A : ndarray, shape (m, m), m >= 4
        Any square matrix; its skew part is orthogonal to the space and drops out.

    Returns
    -------
    ndarray, shape (m, m)
    """
    m = len(A)
    cycles = [(i, j, 0, 1) for i in range(3, m) for j in range(i + 1, m)]
    cycles += [(2, j, 0, 1) for j in range(3, m)] + [(1, j, 0, 2) for j in range(3, m)]
    basis = np.zeros((len(cycles), m, m))
    for E, (a, b, c, d) in zip(basis, cycles, strict=True):
        for sign, i, j in ((1, a, b), (-1, b, c), (1, c, d), (-1, d, a)):
            E[i, j] += sign
            E[j, i] += sign
    columns = basis.reshape(len(cycles), -1).T
    weights = np.linalg.lstsq(columns, np.asarray(A, dtype=float).ravel(), rcond=None)[0]
    return (columns @ weights).reshape(m, m)


# ----------------------------------------------------------------------------------------------------------
# Dissimilarities and kernels by loops
# ----------------------------------------------------------------------------------------------------------


def stress_by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square over pairs i<j of ``|x_i - x_j| - |y_i - y_j|`` (Euclidean distances, not squared).

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y : ndarray, shape (m, q)
    """
    squares = [(math.dist(x[i], x[j]) - math.dist(y[i], y[j])) ** 2 for i in range(len(x)) for j in range(i)]
    return math.sqrt(math.fsum(squares) / len(squares))


def rbf_gram_by_loops(x: np.ndarray, length_scale: float) -> np.ndarray:
    """Gram matrix of ``exp(-|x_i - x_j|^2 / (2 length_scale^2))``.

    repsim writes ``exp(-d^2 / l^2)`` without the 1/2; its ``l`` is ``length_scale * sqrt(2)``.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    length_scale : float
        Same unit as ``x``.

    Returns
    -------
    ndarray, shape (m, m)
    """
    rows = [[float(a) for a in row] for row in x]
    return np.array([[math.exp(-sum((a - b) ** 2 for a, b in zip(r, s, strict=True)) / (2 * length_scale**2))
                      for s in rows] for r in rows])  # fmt: skip


# ----------------------------------------------------------------------------------------------------------
# Procrustes by search
# ----------------------------------------------------------------------------------------------------------


def skew_basis(p: int) -> np.ndarray:
    """Basis ``e_i e_j' - e_j e_i'`` (i<j) of the skew p x p matrices, shape (p(p-1)/2, p, p)."""
    pairs = list(itertools.combinations(range(p), 2))
    basis = np.zeros((len(pairs), p, p))
    for E, (i, j) in zip(basis, pairs, strict=True):
        E[i, j], E[j, i] = 1.0, -1.0
    return basis


def procrustes_rotation_bruteforce(
    x: np.ndarray, y: np.ndarray, group: str = "O", n_starts: int = 6, seed: int = 0
) -> np.ndarray:
    """Element ``q`` of O(p) or SO(p) that minimizes ``|x - y q|``, by numerical optimization.

    From ``n_starts`` random rotations (times a reflection, for the other component of O(p)): BFGS over ``a``
    in ``q = q0 expm(A(a))``, then Newton steps re-centered at the current ``q``. No singular value
    decomposition.

    Parameters
    ----------
    x, y : ndarray, shape (m, p), p <= 4 or so
    group : {"O", "SO"}
    n_starts : int
        Starts per component.
    seed : int

    Returns
    -------
    ndarray, shape (p, p)
        Orthogonal to 1e-14. Not unique where the minimum is not.
    """
    if group not in ("O", "SO"):
        raise ValueError(f"group must be 'O' or 'SO': got {group!r}")
    p = x.shape[1]
    M = y.T @ x  # |x - yq|^2 = const - 2 <M, q>
    rng = np.random.default_rng(seed)
    basis = skew_basis(p)
    mirror = np.diag([1.0] * (p - 1) + [-1.0])
    scale = max(float(np.linalg.norm(M)), np.finfo(float).tiny)
    best, best_value = np.eye(p), -np.inf
    for component in (np.eye(p), mirror) if group == "O" else (np.eye(p),):
        for start in range(n_starts if p > 1 else 1):
            q = component if start == 0 else component @ scipy.linalg.expm(_random_skew(p, rng))
            q = _climb(M / scale, q, basis)
            value = float(np.sum(M * q))
            if value > best_value:
                best, best_value = q, value
    return best


def _random_skew(p: int, rng: np.random.Generator) -> np.ndarray:
    A = rng.normal(size=(p, p)) * np.pi
    return (A - A.T) / 2


def _climb(M: np.ndarray, q: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Local maximum of <M, q> over the component of q."""
    if len(basis) == 0:
        return q
    N = q.T @ M

    def negative(a):
        A = np.tensordot(a, basis, 1)
        # d<N, expm A>[E] = <L(A', N), E> with L the Frechet derivative of expm; A' = -A.
        E, G = scipy.linalg.expm_frechet(-A, N)
        return -np.sum(N * E.T), -np.tensordot(basis, G, 2)

    a = scipy.optimize.minimize(
        negative, np.zeros(len(basis)), jac=True, method="BFGS", options={"gtol": 1e-7}
    ).x
    q = q @ scipy.linalg.expm(np.tensordot(a, basis, 1))
    for _ in range(4):  # Newton: quadratic, from 1e-7 to rounding
        N = q.T @ M
        gradient = np.tensordot(basis, N, 2)
        products = np.einsum("kij,ljh->klih", basis, basis)
        hessian = np.tensordot((products + products.transpose(1, 0, 2, 3)) / 2, N, 2)
        step = -np.linalg.lstsq(hessian, gradient, rcond=1e-8)[0]
        if np.linalg.norm(step) > 1e-3:
            break
        q = q @ scipy.linalg.expm(np.tensordot(step, basis, 1))
    for _ in range(2):  # expm of a long skew matrix is orthogonal to 1e-12 only
        q = (q + np.linalg.inv(q).T) / 2
    return q


def procrustes_distance_bruteforce(
    x: np.ndarray, y: np.ndarray, group: str = "O", n_starts: int = 6, seed: int = 0
) -> float:
    """Size-and-shape distance ``min_q |x - y q|``, by numerical search over the group.

    Parameters
    ----------
    x, y : ndarray, shape (m, p)
        Used as given (not centered). Accurate to 1e-14 (|x| + |y|) for p <= 4, also near zero.
    group : {"O", "SO"}
    n_starts, seed : int
        See `procrustes_rotation_bruteforce`.
    """
    return float(np.linalg.norm(x - y @ procrustes_rotation_bruteforce(x, y, group, n_starts, seed)))


def angular_procrustes_bruteforce(
    x: np.ndarray, y: np.ndarray, group: str = "O", n_starts: int = 6, seed: int = 0
) -> float:
    """Kendall shape distance: smallest angle between ``x`` and ``y q``, in radians, by search over the group.

    Parameters
    ----------
    x, y : ndarray, shape (m, p)
        Nonzero, used as given (not centered), of any norm. Accurate to 1e-13 for p <= 4.
    group : {"O", "SO"}
    n_starts, seed : int
        See `procrustes_rotation_bruteforce`.
    """
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    z = y @ procrustes_rotation_bruteforce(x, y, group, n_starts, seed)
    return float(2 * np.arctan2(np.linalg.norm(x - z), np.linalg.norm(x + z)))


def procrustes_rotation_svd(x: np.ndarray, y: np.ndarray, group: str = "O") -> np.ndarray:
    """The same minimizer by singular values, for use inside other oracles.

    `test_oracles.py` checks it against `procrustes_rotation_bruteforce`.

    References
    ----------
    Schönemann (1966), A generalized solution of the orthogonal Procrustes problem; Kabsch (1976) for SO.
    """
    A, _, Bt = np.linalg.svd(y.T @ x)
    if group == "SO" and np.linalg.det(A @ Bt) < 0:
        A = A.copy()
        A[:, -1] *= -1
    return A @ Bt


# ----------------------------------------------------------------------------------------------------------
# Shapes: projections and transport
# ----------------------------------------------------------------------------------------------------------


def vertical_projection_lstsq(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Part of ``w`` along the orbit of ``x`` under rotations, by least squares over a basis of so(p).

    The orbit's tangent space is ``{x A : A skew}``. Works at any rank of ``x`` (minimum-norm solution), with
    fewer rows than columns, and for p = 1 (zero).

    Parameters
    ----------
    x, w : ndarray, shape (m, p)

    Returns
    -------
    ndarray, shape (m, p)
    """
    basis = skew_basis(x.shape[1])
    if len(basis) == 0:
        return np.zeros_like(w)
    columns = np.stack([(x @ E).ravel() for E in basis], axis=1)
    weights = np.linalg.lstsq(columns, w.ravel(), rcond=1e-12)[0]
    return (columns @ weights).reshape(w.shape)


def horizontal_projection_lstsq(x: np.ndarray, w: np.ndarray, kendall: bool = False) -> np.ndarray:
    """``w`` minus its vertical part, and minus its part along ``x`` if ``kendall``; same shapes as above."""
    w = w - vertical_projection_lstsq(x, w)
    return w - np.sum(x * w) / np.sum(x * x) * x if kendall else w


def shape_geodesic(
    x: np.ndarray, v: np.ndarray, t: float, kendall: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity at time ``t`` of the horizontal geodesic: a straight line, or a great circle.

    Parameters
    ----------
    x, v : ndarray, shape (m, p)
        Start and horizontal initial velocity; with ``kendall``, ``|x| = 1`` and ``<x, v> = 0``.
    """
    if not kendall:
        return x + t * v, v
    speed = float(np.linalg.norm(v))
    if speed == 0:
        return x, v
    c, s = np.cos(speed * t), np.sin(speed * t)
    return c * x + s * v / speed, c * v - speed * s * x


def shape_transport_ode(
    x: np.ndarray, v: np.ndarray, u: np.ndarray, kendall: bool = False, rtol: float = 1e-12
) -> np.ndarray:
    """Parallel transport in the shape space, by integrating the full m x p differential equation.

    Along the horizontal geodesic ``g(t)`` from ``x``, a horizontal field V is parallel in the quotient iff
    its derivative in the total space is vertical, ``V' = g A`` (plus ``-<V, g'> g`` on the sphere).
    Differentiating the horizontality condition ``g^T V = V^T g`` fixes the skew matrix A:
    ``S A + A S = V^T g' - g'^T V`` with ``S = g^T g``. That equation is solved as a dense system on so(p).

    Parameters
    ----------
    x, v, u : ndarray, shape (m, p)
        Point, initial velocity, and transported vector; v and u horizontal at x (with ``kendall`` also
        orthogonal to x, ``|x| = 1``). u may have a component along v.
    kendall : bool
        Unit sphere / O(p) instead of Euclidean space / O(p).
    rtol : float
        Relative tolerance of DOP853; the result's relative error is about that (measured against tighter runs
        and against the power series of geometry.md, up to a condition number 1e4 of x).

    Returns
    -------
    ndarray, shape (m, p)
        The transported vector at ``shape_geodesic(x, v, 1)``, horizontal there, in that point's gauge.

    References
    ----------
    Kim, Dryden, Le, Severn (2021), Smoothing splines on Riemannian manifolds, JRSS B; Guigui, Maignant,
    Trouvé, Pennec (2021), Parallel transport on Kendall shape spaces.
    """
    p = x.shape[1]
    basis = skew_basis(p)
    if len(basis):
        # The skew part of S E + E S, read off in coordinates: a (q, q) matrix that is linear in S.
        upper = np.triu_indices(p, 1)

    def slope(t, state):
        V = state.reshape(x.shape)
        g, dg = shape_geodesic(x, v, t, kendall)
        out = np.zeros_like(V)
        if len(basis):
            S, C = g.T @ g, V.T @ dg - dg.T @ V
            system = (S @ basis + basis @ S)[:, upper[0], upper[1]].T
            a = np.linalg.lstsq(system, C[upper], rcond=1e-13)[0]
            out += g @ np.tensordot(a, basis, 1)
        if kendall:
            out -= np.sum(V * dg) * g
        return out.ravel()

    atol = rtol * 1e-2 * max(float(np.abs(u).max()), np.finfo(float).tiny)
    solution = scipy.integrate.solve_ivp(slope, (0.0, 1.0), u.ravel(), method="DOP853", rtol=rtol, atol=atol)
    if not solution.success:
        raise RuntimeError(solution.message)
    return solution.y[:, -1].reshape(x.shape)


def shape_exp(x: np.ndarray, v: np.ndarray, kendall: bool = False) -> np.ndarray:
    """End of the horizontal geodesic from ``x`` with velocity ``v``."""
    return shape_geodesic(x, v, 1.0, kendall)[0]


def shape_log(x: np.ndarray, y: np.ndarray, kendall: bool = False) -> np.ndarray:
    """Horizontal vector at ``x`` that points to the representative of ``y`` nearest to ``x``."""
    y = y @ procrustes_rotation_svd(x, y)
    if not kendall:
        return y - x
    d = y - x
    d = d - np.sum(x * d) * x
    size = float(np.linalg.norm(d))
    angle = 2 * np.arctan2(np.linalg.norm(x - y), np.linalg.norm(x + y))
    return d * (angle / size) if size > 0 else d


def shape_transport_pole_ladder(
    x: np.ndarray, v: np.ndarray, u: np.ndarray, kendall: bool = False, rungs: int = 8, levels: int = 5
) -> np.ndarray:
    """Parallel transport in the shape space from exp and log alone: an extrapolated pole ladder.

    One rung: shoot u from the current point, reflect the end through the midpoint of the piece of geodesic,
    read the vector off at the next point and flip its sign. The ladder is run with u and -u (the half
    difference drops even terms), with the vector shrunk in proportion to the rung and to the distance from
    the singular shapes, on 1, 2, 4, ... times the least number of rungs, and extrapolated in even powers of
    the rung length. No differential equation, no Sylvester equation.

    Parameters
    ----------
    x, v, u : ndarray, shape (m, p)
        As in `shape_transport_ode`.
    kendall : bool
    rungs : int
        Least number of rungs; multiplied (at most by 16) by the length of v over the smallest nonzero
        singular value along the way.
    levels : int
        Number of doublings, plus one.

    Returns
    -------
    ndarray, shape (m, p)
        Relative error below 1e-9 up to condition number 100 of x (often 1e-11), 1e-7 at 1e4.

    References
    ----------
    Lorenzi, Pennec (2014), Efficient parallel transport of deformations; Guigui, Pennec (2022), Numerical
    accuracy of ladder schemes.
    """
    size = float(np.linalg.norm(u))
    if size == 0:
        return u.copy()
    values = np.array([np.linalg.svd(shape_geodesic(x, v, t, kendall)[0], compute_uv=False)
                       for t in np.linspace(0, 1, 33)])  # fmt: skip
    reach = float(values[values > 1e-9 * values.max()].min())  # injectivity radius along the way
    rungs = rungs * int(np.clip(np.ceil(np.linalg.norm(v) / reach), 1, 16))
    unit = rungs * reach / 8 * u / size

    def ladder(n, sign):
        w = sign * unit / n
        for k in range(n):
            here, middle, there = (shape_geodesic(x, v, (k + f) / n, kendall)[0] for f in (0.0, 0.5, 1.0))
            end = shape_exp(here, w, kendall)
            end = shape_exp(middle, -shape_log(middle, end, kendall), kendall)
            w = -shape_log(there, end, kendall)
        return sign * w * n

    table = [(ladder(rungs * 2**k, 1.0) + ladder(rungs * 2**k, -1.0)) / 2 for k in range(levels)]
    return _richardson(table, first=2, step=2) * (size / float(np.linalg.norm(unit)))


def _richardson(values: list, first: int, step: int):
    """Limit of values at step sizes h, h/2, h/4, ... with an error series in h^first, h^(first+step), ..."""
    order = first
    while len(values) > 1:
        values = [(2**order * b - a) / (2**order - 1) for a, b in itertools.pairwise(values)]
        order += step
    return values[0]


def cut_time_bruteforce(
    x: np.ndarray, v: np.ndarray, kendall: bool = False, group: str = "O", t_max: float = 1e6
) -> float:
    """Largest t for which the horizontal geodesic from ``x`` along ``v`` is a shortest path on [0, t].

    A bisection on the definition: the piece up to t is minimal iff no rotation brings its end closer to
    ``x``, that is, iff the best alignment of the end gains nothing over the identity.

    Parameters
    ----------
    x, v : ndarray, shape (m, p)
        Point and horizontal velocity. With ``kendall``, ``|x| = 1`` and ``<x, v> = 0``; t is then an angle
        divided by ``|v|``.
    kendall : bool
    group : {"O", "SO"}
    t_max : float
        In units of ``|x| / |v|``; a line that is minimal up to there counts as minimal forever.

    Returns
    -------
    float
        ``inf`` if always minimal. Relative error about 1e-14 (|x| / s)^2, s the smallest nonzero singular
        value of x: a rotation gains that little just after the cut.
    """
    size, speed = float(np.linalg.norm(x)), float(np.linalg.norm(v))

    def minimal(t):
        g = shape_geodesic(x, v, t, kendall)[0]
        gain = np.sum(x * (g @ procrustes_rotation_svd(x, g, group))) - np.sum(x * g)
        return gain <= 1e-14 * size * float(np.linalg.norm(g))

    if kendall:
        low, high = 0.0, np.pi / speed  # beyond half a great circle nothing is minimal
    else:
        low, high = 0.0, size / speed
        while minimal(high):
            low, high = high, 2 * high
            if high > t_max * size / speed:
                return np.inf
    if minimal(high):
        return high
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if minimal(middle) else (low, middle)
    return low


# ----------------------------------------------------------------------------------------------------------
# Fréchet means by minimization
# ----------------------------------------------------------------------------------------------------------


class BruteForceMean(NamedTuple):
    """Minimum of the weighted variance, and where it is attained."""

    objective: float
    mean: np.ndarray


def _weights(n: int, weights) -> np.ndarray:
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    return weights / weights.sum()


def frechet_mean_bruteforce_sphere(points: np.ndarray, weights: np.ndarray | None = None) -> BruteForceMean:
    """Minimize ``sum_i w_i angle(q, points_i)^2`` over unit vectors q (weights normalized to sum 1).

    BFGS in the coordinates of the tangent space at each start (every point, and the normalized average), with
    complex-step gradients, then a root search of the gradient in re-centered coordinates.

    Parameters
    ----------
    points : ndarray, shape (n, D) with n, D <= 30 or so, or (n, m, m)
        Unit vectors; trailing dimensions are flattened, so the sphere has dimension D - 1. For a sphere in a
        subspace nothing needs to be done: the mean of points in a subspace is searched, and found, in it if
        the points lie in an open half sphere.
    weights : ndarray, shape (n,), optional
        Nonnegative.

    Returns
    -------
    BruteForceMean
        ``objective`` accurate to 1e-14, ``mean`` (trailing shape of ``points``) to 1e-10 where the minimum is
        non-degenerate.
    """
    w = _weights(len(points), weights)
    flat = points.reshape(len(points), -1).astype(float)

    def variance(c, base, frame):  # c: (..., D-1), possibly complex
        r2 = np.sum(c * c, axis=-1, keepdims=True)
        r = np.where(r2 == 0, 0, np.sqrt(r2 + (r2 == 0)))
        sinc = np.where(r2 == 0, 1, np.sin(r) / np.where(r == 0, 1, r))
        q = np.cos(r) * base + sinc * (c @ frame)
        difference, total = q[..., None, :] - flat, q[..., None, :] + flat
        squares = np.sum(difference**2, axis=-1), np.sum(total**2, axis=-1)
        angle = 2 * np.arctan(np.sqrt(squares[0] + 0j) / np.sqrt(squares[1] + 0j))
        return np.sum(w * angle**2, axis=-1)

    def gradient(c, base, frame):
        h = 1e-30
        return variance(c + 1j * h * np.eye(len(c)), base, frame).imag / h

    def move(c, base, frame):
        r = np.linalg.norm(c)
        q = np.cos(r) * base + np.sinc(r / np.pi) * (c @ frame)
        return q / np.linalg.norm(q)

    average = w @ flat
    starts = list(flat) + ([average / np.linalg.norm(average)] if np.linalg.norm(average) > 1e-8 else [])
    best = None
    for base in starts:
        for _ in range(2):
            frame = scipy.linalg.null_space(base[None]).T
            c = scipy.optimize.minimize(
                lambda c, b=base, f=frame: variance(c, b, f).real, np.zeros(len(frame)), method="BFGS",
                jac=lambda c, b=base, f=frame: gradient(c, b, f), options={"gtol": 1e-10},
            ).x  # fmt: skip
            base = move(c, base, frame)
        value = float(variance(np.zeros(len(frame)), base, frame).real)
        if best is None or value < best[0] - 1e-13:
            best = value, base
    value, base = best
    frame = scipy.linalg.null_space(base[None]).T
    c = scipy.optimize.root(gradient, np.zeros(len(frame)), args=(base, frame), tol=1e-14).x
    if np.linalg.norm(c) < 1e-4:  # a polish, not a jump to another critical point
        base = move(c, base, frame)
    value = float(variance(np.zeros(len(frame)), base, scipy.linalg.null_space(base[None]).T).real)
    return BruteForceMean(value, base.reshape(points.shape[1:]))


def frechet_mean_bruteforce_shapes(
    points: np.ndarray,
    weights: np.ndarray | None = None,
    kendall: bool = False,
    group: str = "O",
    n_starts: int = 6,
    seed: int = 0,
) -> BruteForceMean:
    """Minimize the weighted mean of squared Procrustes distances over all m x p arrays.

    L-BFGS on the m*p entries from every data point and ``n_starts`` random ones, then Newton steps with a
    difference quotient of the gradient (rotations of the mean are flat directions; least squares ignores
    them).

    Parameters
    ----------
    points : ndarray, shape (n, m, p), m*p <= 60 or so
        Used as given (not centered). With ``kendall`` every point is scaled to unit norm.
    weights : ndarray, shape (n,), optional
        Nonnegative; normalized to sum 1, so that ``objective`` is the Fréchet variance (multiply by n for the
        sum of squares).
    kendall : bool
        Squared angles between unit-norm shapes instead of squared size-and-shape distances.
    group : {"O", "SO"}
    n_starts, seed : int

    Returns
    -------
    BruteForceMean
        ``mean`` is one representative, defined up to the group; compare by distance. Accurate to 1e-9
        (relative) if the minimum is non-degenerate; with p < m - 1 local minima exist and only the starts
        guard against them.
    """
    w = _weights(len(points), weights)
    points = np.asarray(points, dtype=float)
    if kendall:
        points = points / np.linalg.norm(points, axis=(1, 2), keepdims=True)
    shape = points.shape[1:]

    def objective(flat):
        z = flat.reshape(shape)
        size = np.linalg.norm(z)
        x = z / size if kendall else z
        value, slope = 0.0, np.zeros(shape)
        for weight, y in zip(w, points, strict=True):
            y = y @ procrustes_rotation_svd(x, y, group)
            if kendall:
                angle = 2 * np.arctan2(np.linalg.norm(x - y), np.linalg.norm(x + y))
                value += weight * angle**2
                slope -= weight * 2 * (angle / np.sin(angle) if angle > 1e-8 else 1.0) * y
            else:
                value += weight * np.sum((x - y) ** 2)
                slope += weight * 2 * (x - y)
        if kendall:
            slope = (slope - np.sum(slope * x) * x) / size
        return value, slope.ravel()

    rng = np.random.default_rng(seed)
    typical = np.sqrt(np.mean(points**2))
    best = None
    for start in [*points, *(typical * rng.normal(size=(n_starts, *shape)))]:
        found = scipy.optimize.minimize(objective, start.ravel(), jac=True, method="L-BFGS-B",
                                        options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-10})  # fmt: skip
        if best is None or found.fun < best.fun - 1e-12 * typical**2:
            best = found
    z = best.x
    for _ in range(3):
        if kendall:
            z = z / np.linalg.norm(z)
        h = 1e-5 * np.linalg.norm(z) / np.sqrt(z.size)
        jacobian = np.stack(
            [(objective(z + h * e)[1] - objective(z - h * e)[1]) / (2 * h) for e in np.eye(z.size)]
        )
        step = -np.linalg.lstsq((jacobian + jacobian.T) / 2, objective(z)[1], rcond=1e-6)[0]
        if np.linalg.norm(step) > 1e-3 * np.linalg.norm(z):
            break
        z = z + step
    if kendall:
        z = z / np.linalg.norm(z)
    return BruteForceMean(float(objective(z)[0]), z.reshape(shape))


# ----------------------------------------------------------------------------------------------------------
# Unit sphere in 60 digits
# ----------------------------------------------------------------------------------------------------------


def _mp_vector(a: np.ndarray) -> list:
    return [mp.mpf(float(value)) for value in np.ravel(a)]


def _mp_unit(a: list) -> list:
    size = mp.sqrt(mp.fdot(a, a))
    return [value / size for value in a]


def _mp_tangent(x: list, v: list) -> list:
    c = mp.fdot(x, v)
    return [b - c * a for a, b in zip(x, v, strict=True)]


def _to_float(a: list, shape: tuple) -> np.ndarray:
    return np.array([float(value) for value in a]).reshape(shape)


def _mp_rotate(x: list, v: list, w: list) -> list:
    """Power series of expm(v x' - x v') applied to w: the rotation of x along v, for v orthogonal to x."""
    term, total, k = list(w), list(w), 0
    while True:
        k += 1
        along_x, along_v = mp.fdot(x, term), mp.fdot(v, term)
        term = [(along_x * b - along_v * a) / k for a, b in zip(x, v, strict=True)]
        total = [a + b for a, b in zip(total, term, strict=True)]
        if mp.fdot(term, term) <= mp.eps**2 * mp.fdot(total, total) and k > 4:
            return total


def angle_mpmath(a: np.ndarray, b: np.ndarray, dps: int = 60) -> float:
    """Angle between two vectors in radians, in [0, pi], correctly rounded from ``dps`` digits.

    ``atan2(sqrt(|a|^2 |b|^2 - <a,b>^2), <a,b>)`` with twice the digits. The vectors are normalized in that
    precision: the answer is the angle between the directions of the given floats, not an effect of their
    rounding.

    Parameters
    ----------
    a, b : ndarray, same shape, nonzero
        Flattened.
    """
    with mp.workdps(2 * dps):
        x, y = _mp_vector(a), _mp_vector(b)
        c, xx, yy = mp.fdot(x, y), mp.fdot(x, x), mp.fdot(y, y)
        return float(mp.atan2(mp.sqrt(max(xx * yy - c * c, mp.mpf(0))), c))


def sphere_exp_mpmath(x: np.ndarray, v: np.ndarray, dps: int = 60) -> np.ndarray:
    """End of the great circle from ``x`` with velocity ``v``, by the power series of a rotation.

    The one-parameter group ``expm(t (v x' - x v'))`` moves x along the great circle at speed |v|.

    Parameters
    ----------
    x, v : ndarray, same shape
        Point (normalized here, in ``dps`` digits) and tangent (projected here).

    Returns
    -------
    ndarray, same shape, correctly rounded
    """
    with mp.workdps(dps + 10):
        base = _mp_unit(_mp_vector(x))
        return _to_float(_mp_rotate(base, _mp_tangent(base, _mp_vector(v)), base), np.shape(x))


def sphere_log_mpmath(a: np.ndarray, b: np.ndarray, dps: int = 60) -> np.ndarray:
    """Tangent vector at ``a`` whose great circle reaches ``b`` at time 1, of length equal to their angle.

    Parameters
    ----------
    a, b : ndarray, same shape
        Nonzero, normalized here in ``dps`` digits; exactly opposite vectors raise ValueError.

    Returns
    -------
    ndarray, same shape, correctly rounded
    """
    with mp.workdps(2 * dps):
        x, y = _mp_unit(_mp_vector(a)), _mp_unit(_mp_vector(b))
        w = _mp_tangent(x, y)
        size, c = mp.sqrt(mp.fdot(w, w)), mp.fdot(x, y)
        if size < mp.mpf(10) ** (-dps):
            if c < 0:
                raise ValueError("the logarithm of an antipode is not unique")
            return np.zeros(np.shape(a))
        factor = mp.atan2(size, c) / size
        return _to_float([factor * value for value in w], np.shape(a))


def sphere_transport_mpmath(x: np.ndarray, v: np.ndarray, u: np.ndarray, dps: int = 60) -> np.ndarray:
    """Parallel transport of ``u`` along the great circle from ``x`` with velocity ``v``, from time 0 to 1.

    The rotation of `sphere_exp_mpmath` applied to u: transvections of a symmetric space transport parallelly.

    Parameters
    ----------
    x, v, u : ndarray, same shape
        Point (normalized here) and tangents (projected here), in ``dps`` digits.

    Returns
    -------
    ndarray, same shape, correctly rounded
    """
    with mp.workdps(dps + 10):
        base = _mp_unit(_mp_vector(x))
        velocity, vector = (_mp_tangent(base, _mp_vector(a)) for a in (v, u))
        return _to_float(_mp_rotate(base, velocity, vector), np.shape(x))


# ----------------------------------------------------------------------------------------------------------
# Dimension and curvature
# ----------------------------------------------------------------------------------------------------------


def numerical_rank_dimension(
    project: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], rtol: float = 1e-8
) -> int:
    """Rank of a linear map given as a function on arrays of ``shape``: the dimension of a projector's range.

    Parameters
    ----------
    project : callable
        Linear; called once for every unit array.
    shape : tuple of int
    rtol : float
        Singular values below ``rtol`` times the largest, or below 1e-12, count as zero.
    """
    size = math.prod(shape)
    columns = []
    for k in range(size):
        unit = np.zeros(size)
        unit[k] = 1.0
        columns.append(np.ravel(project(unit.reshape(shape))))
    values = np.linalg.svd(np.stack(columns, axis=1), compute_uv=False)
    return int(np.sum(values > max(rtol * values[0], 1e-12)))


def quotient_dimension(m: int, p: int, kendall: bool = False, seed: int = 0) -> int:
    """Dimension of centered m x p arrays modulo rotations, as the rank of the horizontal projector.

    Parameters
    ----------
    m, p : int
    kendall : bool
        Unit-norm shapes (one dimension less).
    seed : int
        Of the random Gaussian point at which the rank is counted.
    """
    x = center(np.random.default_rng(seed).normal(size=(m, p)))
    x = x / np.linalg.norm(x)
    return numerical_rank_dimension(lambda w: horizontal_projection_lstsq(x, center(w), kendall), (m, p))


def sectional_curvature_from_distances(
    dist: Callable[[np.ndarray, np.ndarray], float],
    exp: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    size: float = 0.3,
    levels: int = 4,
) -> float:
    """Sectional curvature of the plane of ``u, v`` at ``x``, from the lengths of small hinges alone.

    For short tangents a and b, ``dist(exp a, exp b)^2 = |a - b|^2 - K |a ^ b|^2 / 3 + (fifth order)``. Norms
    are measured as distances from x too, so no inner product is needed. The four hinges (+-a, +-b) are
    averaged to drop odd orders, and the result is extrapolated from legs ``size / 2^k`` (times u and v) in
    even powers.

    Parameters
    ----------
    dist, exp : callable
        ``dist(y, z)`` and ``exp(x, w)`` on arrays like ``x``.
    x, u, v : ndarray
        Point and two independent tangents (horizontal, for a quotient), of length about 1 or less.
    size : float
        ``size * (|u| + |v|)`` has to stay below the injectivity radius and the scale of the curvature.
    levels : int
        Number of leg lengths.

    Returns
    -------
    float
        With distances accurate to rounding, orthonormal u, v and the defaults, the error is about 1e-7 or
        less for curvatures of order 1: truncation scales as size^8, rounding as 1e-16 (2^levels / size)^2.
    """

    def norm2(w):
        return (dist(x, exp(x, size * w)) / size) ** 2

    uu, vv, minus, plus = norm2(u), norm2(v), norm2(u - v), norm2(u + v)
    area2 = uu * vv - ((plus - minus) / 4) ** 2  # |u ^ v|^2, the inner product by polarization

    def estimate(h):
        excess = [s * s - dist(exp(x, a * h * u), exp(x, b * h * v)) ** 2
                  for a, b, s in ((1, 1, h * minus**0.5), (-1, -1, h * minus**0.5),
                                  (1, -1, h * plus**0.5), (-1, 1, h * plus**0.5))]  # fmt: skip
        return 3 * float(np.mean(excess)) / (area2 * h**4)

    return float(_richardson([estimate(size / 2**k) for k in range(levels)], first=2, step=2))
