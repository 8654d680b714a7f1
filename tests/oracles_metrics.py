"""Reference computations for covariances, subspaces, dissimilarities, matchings and kernels.

Companion of `oracles`, with the same promise: nothing here imports torch or ``repsim_geo``; slow, short, and
from first principles. Where a textbook formula is the quickest reference, a second function gets there by
another road (more digits, a differential equation, a search), and ``test_oracles_metrics.py`` holds the two
together.

=============================  ==========================================  ==================================
quantity                       here                                        second road
=============================  ==========================================  ==================================
affine-invariant distance      generalized eigenvalues                     sqrtm and logm; 60 digits
affine-invariant transport     square root of B A^-1                       Christoffel symbols (DOP853)
log-Euclidean maps             logm of a block triangle, Fréchet of expm   central differences
Bures distance                 trace formula in 60 digits                  search over O(p)
Bures transport                horizontal lifts (DOP853)                   Christoffel symbols on SPD matrices
principal angles               60 digits                                   scipy.linalg.subspace_angles
Grassmann exp, transport       Edelman-Arias-Smith                         expm of a skew matrix
whitened RDM similarities      dense covariance of all pairs               closed form on Gram matrices
permutation distance           all p! permutations                         scipy's assignment
soft matching                  linear program                              assignment of copies
stochastic shape distance      scan of O(2)                                Procrustes; isotropic closed form
kernels                        loops                                       integrals over random features
HSIC                           trace formula                               all quadruples, in fractions
canonical correlations         bases and singular values                   generalized eigenvalue problem
=============================  ==========================================  ==================================

Conventions: ``m`` inputs (rows), ``p`` units (columns), float64 arrays without batch dimensions. ``A, B`` are
symmetric positive-definite n x n matrices, ``U, V, W`` symmetric. Rotations act from the right: x q.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from fractions import Fraction

import mpmath as mp
import numpy as np
import oracles
import scipy.integrate
import scipy.linalg
import scipy.optimize

norm = np.linalg.norm


def sym(a: np.ndarray) -> np.ndarray:
    """Symmetric part of a square matrix."""
    return (a + a.T) / 2


def spd_with_condition(rng: np.random.Generator, n: int, condition: float = 10.0) -> np.ndarray:
    """Random SPD matrix with eigenvalues in geometric progression from 1 to 1/``condition``, shape (n, n)."""
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return sym((q * np.geomspace(1, 1 / condition, n)) @ q.T)


def _integrate(
    slope: Callable[[float, np.ndarray], np.ndarray], start: np.ndarray, rtol: float
) -> np.ndarray:
    """Value at time 1 of ``y' = slope(t, y)`` for arrays, by an 8th-order Runge-Kutta method."""
    shape, size = start.shape, float(norm(start))
    found = scipy.integrate.solve_ivp(
        lambda t, y: slope(t, y.reshape(shape)).ravel(), (0.0, 1.0), start.ravel(),
        method="DOP853", rtol=rtol, atol=rtol * max(size, 1e-300) / 10,
    )  # fmt: skip
    return found.y[:, -1].reshape(shape)


# ----------------------------------------------------------------------------------------------------------
# SPD matrices, affine-invariant metric tr(A^-1 U A^-1 V)
# ----------------------------------------------------------------------------------------------------------


def _roots(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square root of ``A`` and its inverse, by the Schur method."""
    root = np.real(scipy.linalg.sqrtm(A))
    return root, np.linalg.inv(root)


def _logm(A: np.ndarray) -> np.ndarray:
    """Real matrix logarithm. Scipy warns above an estimated error of 1000 eps; tests judge for themselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="logm result may be inaccurate", category=RuntimeWarning)
        return np.real(scipy.linalg.logm(A))


def airm_inner(A: np.ndarray, U: np.ndarray, V: np.ndarray) -> float:
    """``tr(A^-1 U A^-1 V)``."""
    return float(np.trace(np.linalg.solve(A, U) @ np.linalg.solve(A, V)))


def airm_distance(A: np.ndarray, B: np.ndarray) -> float:
    """Root of the sum of squared logarithms of the eigenvalues of the pencil (B, A); dimensionless.

    Absolute error about eps * cond(A) * cond(B) in the smallest eigenvalue: use `airm_distance_mpmath` where
    that product is above 1e6 or so.
    """
    return float(norm(np.log(scipy.linalg.eigh(B, A, eigvals_only=True))))


def airm_distance_sqrtm(A: np.ndarray, B: np.ndarray) -> float:
    """The same as ``|logm(A^-1/2 B A^-1/2)|``."""
    _, inverse = _roots(A)
    return float(norm(_logm(sym(inverse @ B @ inverse))))


def airm_distance_mpmath(A: np.ndarray, B: np.ndarray, dps: int = 60) -> float:
    """The same for the exact matrices that the floats stand for, correctly rounded from ``dps`` digits.

    Good for conditions up to 1e30; the floats have to be positive definite as they stand, else ValueError.
    Only the lower triangles are read.
    """
    with mp.workdps(2 * dps):
        inverse = mp.inverse(mp.cholesky(_mp_symmetric(A)))
        values = mp.eigsy(inverse * _mp_symmetric(B) * inverse.T, eigvals_only=True)
        if min(values) <= 0:
            raise ValueError("B is not positive definite")
        return float(mp.sqrt(mp.fsum(mp.log(value) ** 2 for value in values)))


def airm_exp(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``A^1/2 expm(A^-1/2 W A^-1/2) A^1/2``: end of the geodesic from ``A`` with velocity ``W``."""
    root, inverse = _roots(A)
    return sym(root @ scipy.linalg.expm(sym(inverse @ W @ inverse)) @ root)


def airm_log(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """``A^1/2 logm(A^-1/2 B A^-1/2) A^1/2``."""
    root, inverse = _roots(A)
    return sym(root @ _logm(sym(inverse @ B @ inverse)) @ root)


def airm_geodesic(A: np.ndarray, B: np.ndarray, t: float) -> np.ndarray:
    """``A^1/2 (A^-1/2 B A^-1/2)^t A^1/2``; t = 1/2 is the geometric mean of matrices."""
    root, inverse = _roots(A)
    return sym(root @ np.real(scipy.linalg.fractional_matrix_power(sym(inverse @ B @ inverse), t)) @ root)


def airm_transport(A: np.ndarray, B: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``E W E'`` with ``E = (B A^-1)^1/2``: parallel transport of ``W`` along the geodesic from A to B."""
    E = np.real(scipy.linalg.sqrtm(B @ np.linalg.inv(A)))
    return sym(E @ W @ E.T)


def airm_transport_ode(A: np.ndarray, B: np.ndarray, W: np.ndarray, rtol: float = 1e-12) -> np.ndarray:
    """The same by integrating ``W' = (G' G^-1 W + W G^-1 G') / 2`` along the geodesic G.

    The geodesic equation ``G'' = G' G^-1 G'`` says what the Christoffel symbols are on equal arguments, and
    polarizing it what they are on different ones.
    """
    root, inverse = _roots(A)
    middle = _logm(sym(inverse @ B @ inverse))

    def slope(t, w):
        speed = np.linalg.solve(root, middle @ root)  # G^-1 G' is the same at all times: A^-1/2 middle A^1/2
        return (speed.T @ w + w @ speed) / 2

    return sym(_integrate(slope, W, rtol))


def airm_sectional_curvature(A: np.ndarray, U: np.ndarray, V: np.ndarray, size: float = 0.3) -> float:
    """Curvature of the plane of ``U, V`` at ``A``, from distances in small triangles; error about 1e-7."""
    return oracles.sectional_curvature_from_distances(airm_distance, airm_exp, A, U, V, size)


# ----------------------------------------------------------------------------------------------------------
# SPD matrices, log-Euclidean metric
# ----------------------------------------------------------------------------------------------------------


def dlogm(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Derivative of the matrix logarithm at ``A`` along ``W``.

    The upper right block of ``logm [[A, W], [0, A]]``. For very different sizes of A and W the block is
    scaled first; the derivative is linear in W.
    """
    n, size = len(A), float(norm(W))
    if size == 0:
        return np.zeros_like(A)
    scale = float(norm(A)) / size
    block = np.block([[A, scale * W], [np.zeros_like(A), A]])
    return sym(_logm(block)[:n, n:]) / scale


def dexpm(S: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Derivative of the matrix exponential at ``S`` along ``W``."""
    return sym(scipy.linalg.expm_frechet(S, W, compute_expm=False))


def log_euclidean_inner(A: np.ndarray, U: np.ndarray, V: np.ndarray) -> float:
    """Inner product of the derivatives of the logarithm along ``U`` and ``V``."""
    return float(np.sum(dlogm(A, U) * dlogm(A, V)))


def log_euclidean_distance(A: np.ndarray, B: np.ndarray) -> float:
    """``|logm A - logm B|``; dimensionless."""
    return float(norm(_logm(A) - _logm(B)))


def log_euclidean_exp(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``expm(logm A + Dlog_A[W])``."""
    return sym(scipy.linalg.expm(_logm(A) + dlogm(A, W)))


def log_euclidean_log(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """``Dexp_{logm A}[logm B - logm A]``."""
    start = _logm(A)
    return dexpm(start, _logm(B) - start)


def log_euclidean_geodesic(A: np.ndarray, B: np.ndarray, t: float) -> np.ndarray:
    """``expm((1 - t) logm A + t logm B)``."""
    return sym(scipy.linalg.expm((1 - t) * _logm(A) + t * _logm(B)))


def log_euclidean_transport(A: np.ndarray, B: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``Dexp_{logm B}[Dlog_A[W]]``: the space is flat in the coordinates ``logm``."""
    return dexpm(_logm(B), dlogm(A, W))


def central_difference(f: Callable, x: np.ndarray, w: np.ndarray, h: float = 2e-3) -> np.ndarray:
    """Derivative of ``f`` at ``x`` along ``w``, extrapolated from h, h/2, h/4; h in units of |x|/|w|."""
    h = h * float(norm(x)) / float(norm(w))
    values = [(f(x + h / 2**k * w) - f(x - h / 2**k * w)) / (2 * h / 2**k) for k in range(3)]
    return oracles._richardson(values, first=2, step=2)


# ----------------------------------------------------------------------------------------------------------
# Bures-Wasserstein
# ----------------------------------------------------------------------------------------------------------


def _mp_symmetric(A: np.ndarray):
    """The exact lower triangle, mirrored."""
    n = len(A)
    return mp.matrix([[mp.mpf(float(A[max(i, j), min(i, j)])) for j in range(n)] for i in range(n)])


def _mp_sqrt_trace(M):
    """Sum of the square roots of the eigenvalues; negative ones (rounding) count as zero."""
    return mp.fsum(mp.sqrt(max(value, mp.mpf(0))) for value in mp.eigsy(M, eigvals_only=True))


def bures_distance_mpmath(A: np.ndarray, B: np.ndarray, dps: int = 60) -> float:
    """``sqrt(tr A + tr B - 2 tr (A^1/2 B A^1/2)^1/2)``, correctly rounded from ``dps`` digits.

    Only the lower triangles are read, and eigenvalues that the rounding of a singular matrix to floats has
    made negative count as zero. Such rounding (eps) changes the distance itself by up to sqrt(eps): compare
    at singular matrices through their factors, with `bures_distance_of_factors_mpmath`.
    """
    with mp.workdps(2 * dps):
        P, Q = _mp_symmetric(A), _mp_symmetric(B)
        values, vectors = mp.eigsy(P)
        root = vectors * mp.diag([mp.sqrt(max(value, mp.mpf(0))) for value in values]) * vectors.T
        traces = mp.fsum(P[i, i] + Q[i, i] for i in range(len(A)))
        return float(mp.sqrt(max(traces - 2 * _mp_sqrt_trace(root * Q * root), mp.mpf(0))))


def bures_distance_of_factors_mpmath(x: np.ndarray, y: np.ndarray, dps: int = 60) -> float:
    """Bures distance of ``x x'`` and ``y y'``, ``sqrt(|x|^2 + |y|^2 - 2 |x'y|_*)``, from ``dps`` digits.

    Equal to the size-and-shape distance of ``x`` and ``y`` (used as given, not centered).

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y : ndarray, shape (m, q)
    """
    with mp.workdps(2 * dps):
        P, Q = (mp.matrix([[mp.mpf(float(value)) for value in row] for row in a]) for a in (x, y))
        M = P.T * Q
        M = M.T * M if M.rows >= M.cols else M * M.T
        squares = mp.fsum([v * v for v in P] + [v * v for v in Q])
        return float(mp.sqrt(max(squares - 2 * _mp_sqrt_trace(M), mp.mpf(0))))


def bures_distance_bruteforce(A: np.ndarray, B: np.ndarray) -> float:
    """Least distance ``|F - G q|`` over orthogonal q, with Cholesky factors F, G; by search, n <= 4."""
    return oracles.procrustes_distance_bruteforce(np.linalg.cholesky(A), np.linalg.cholesky(B))


def lyapunov(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The L with ``A L + L A = W``, by the Bartels-Stewart method."""
    return scipy.linalg.solve_continuous_lyapunov(A, W)


def bures_inner(A: np.ndarray, U: np.ndarray, V: np.ndarray) -> float:
    """``tr(L V) / 2`` with ``A L + L A = U``."""
    return float(np.sum(lyapunov(A, U) * V) / 2)


def bures_optimal_map(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The SPD matrix T with ``T A T = B``: ``A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2``."""
    root, inverse = _roots(A)
    return sym(inverse @ np.real(scipy.linalg.sqrtm(sym(root @ B @ root))) @ inverse)


def bures_log(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """``(T - I) A + A (T - I)`` with the optimal map T."""
    L = bures_optimal_map(A, B) - np.eye(len(A))
    return sym(L @ A + A @ L)


def bures_exp(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``(I + L) A (I + L)`` with ``A L + L A = W``; the end of a shortest path if ``I + L`` is positive."""
    T = np.eye(len(A)) + lyapunov(A, W)
    return sym(T @ A @ T)


def bures_geodesic(A: np.ndarray, B: np.ndarray, t: float) -> np.ndarray:
    """``T_t A T_t`` with ``T_t = (1 - t) I + t T``: displacement interpolation."""
    T = (1 - t) * np.eye(len(A)) + t * bures_optimal_map(A, B)
    return sym(T @ A @ T)


def bures_transport(A: np.ndarray, B: np.ndarray, W: np.ndarray, rtol: float = 1e-12) -> np.ndarray:
    """Parallel transport of ``W`` along the geodesic from A to B, by lifting it to square roots.

    The line ``x(t) = (I + t (T - I)) A^1/2`` lifts the geodesic, ``u = L x`` lifts a tangent. The lift is
    parallel iff its derivative is vertical, ``du/dt = x S`` with S skew, and it stays horizontal (x'u
    symmetric) iff ``(x'x) S + S (x'x) = u'v - v'u``, where v is the velocity.
    """
    root, _ = _roots(A)
    velocity = (bures_optimal_map(A, B) - np.eye(len(A))) @ root

    def slope(t, u):
        x = root + t * velocity
        return x @ lyapunov(x.T @ x, u.T @ velocity - velocity.T @ u)

    u = _integrate(slope, lyapunov(A, W) @ root, rtol)
    end = root + velocity
    return u @ end.T + end @ u.T


def bures_transport_christoffel(
    A: np.ndarray, B: np.ndarray, W: np.ndarray, rtol: float = 1e-12
) -> np.ndarray:
    """The same in the coordinates of the SPD matrices: ``W' = L G M + M G L`` along the geodesic G.

    L and M solve the Lyapunov equations of the velocity and of W at G. The geodesic ``A + t W + t^2 L A L``
    has the acceleration ``2 L A L``: minus the Christoffel symbol on equal arguments; polarize.
    """
    identity = np.eye(len(A))
    change = bures_optimal_map(A, B) - identity

    def slope(t, w):
        T = identity + t * change
        G = T @ A @ T
        L, M = lyapunov(G, change @ A @ T + T @ A @ change), lyapunov(G, w)
        return L @ G @ M + M @ G @ L

    return sym(_integrate(slope, W, rtol))


def gaussian_wasserstein_distance(mu: np.ndarray, A: np.ndarray, nu: np.ndarray, B: np.ndarray) -> float:
    """Wasserstein-2 distance of two Gaussians: means and Bures distance by Pythagoras."""
    return math.hypot(float(norm(mu - nu)), bures_distance_mpmath(A, B))


# ----------------------------------------------------------------------------------------------------------
# Subspaces
# ----------------------------------------------------------------------------------------------------------


def principal_angles_mpmath(x: np.ndarray, y: np.ndarray, dps: int = 60) -> np.ndarray:
    """Angles between the column spaces in radians, descending, correctly rounded from ``dps`` digits.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y : ndarray, shape (m, q)
        Independent columns, not necessarily orthonormal; used as given (not centered).

    Returns
    -------
    ndarray, shape (min(p, q),)
    """
    with mp.workdps(2 * dps):
        P, Q = (mp.matrix([[mp.mpf(float(value)) for value in row] for row in a]) for a in (x, y))
        P, Q = (a * mp.inverse(mp.cholesky(a.T * a)).T for a in (P, Q))
        M = P.T * Q
        M = M.T * M if M.rows >= M.cols else M * M.T
        squares = [min(max(c, mp.mpf(0)), mp.mpf(1)) for c in mp.eigsy(M, eigvals_only=True)]
        angles = [mp.atan2(mp.sqrt(1 - c), mp.sqrt(c)) for c in squares]
        # What 2 dps digits leave of an exact zero is a square root of their unit.
        return np.array(
            sorted((float(a) if a > mp.mpf(10) ** (-dps + 5) else 0.0 for a in angles), reverse=True)
        )


def grassmann_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Root of the sum of squared principal angles, by scipy (Knyazev and Argentati's sines); radians."""
    return float(norm(scipy.linalg.subspace_angles(x, y)))


def grassmann_exp(Q: np.ndarray, D: np.ndarray) -> np.ndarray:
    """``Q V cos(S) V' + U sin(S) V'`` for ``D = U S V'``: end of the geodesic from Q, orthonormal columns.

    Parameters
    ----------
    Q, D : ndarray, shape (m, p)
        ``Q'Q = I`` and ``Q'D = 0``.

    References
    ----------
    Edelman, Arias, Smith (1998), The geometry of algorithms with orthogonality constraints, theorem 2.3.
    """
    U, s, Vt = np.linalg.svd(D, full_matrices=False)
    return Q @ Vt.T @ np.diag(np.cos(s)) @ Vt + U @ np.diag(np.sin(s)) @ Vt


def grassmann_log(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """``U arctan(S) V'`` for ``(I - X X') Y (X'Y)^-1 = U S V'``; all angles below a right angle.

    Depends on Y only through its column space.
    """
    L = (Y - X @ (X.T @ Y)) @ np.linalg.inv(X.T @ Y)
    U, s, Vt = np.linalg.svd(L, full_matrices=False)
    return U @ np.diag(np.arctan(s)) @ Vt


def grassmann_transport(Q: np.ndarray, D: np.ndarray, E: np.ndarray) -> np.ndarray:
    """``(-Q V sin(S) U' + U cos(S) U' + I - U U') E``: transport of ``E`` along ``grassmann_exp(Q, t D)``.

    From t = 0 to 1, in the gauge of `grassmann_exp`: a tangent at that very basis.

    References
    ----------
    Edelman, Arias, Smith (1998), theorem 2.4.
    """
    U, s, Vt = np.linalg.svd(D, full_matrices=False)
    along = U.T @ E
    return E - U @ along + (U @ np.diag(np.cos(s)) - Q @ Vt.T @ np.diag(np.sin(s))) @ along


def grassmann_transvection(Q: np.ndarray, D: np.ndarray) -> np.ndarray:
    """The rotation ``expm(D Q' - Q D')`` of the whole space, shape (m, m).

    It moves Q to ``grassmann_exp(Q, D)`` and every tangent at Q to its parallel transport.
    """
    return scipy.linalg.expm(D @ Q.T - Q @ D.T)


# ----------------------------------------------------------------------------------------------------------
# Dissimilarity matrices
# ----------------------------------------------------------------------------------------------------------


def squared_euclidean(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of squared differences; not divided by the number of units (rsatoolbox divides)."""
    return math.fsum((float(s) - float(t)) ** 2 for s, t in zip(a, b, strict=True))


def euclidean(a: np.ndarray, b: np.ndarray) -> float:
    """Euclidean distance."""
    return math.sqrt(squared_euclidean(a, b))


def cosine_dissimilarity(a: np.ndarray, b: np.ndarray) -> float:
    """One minus the cosine."""
    return 1 - float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def correlation_dissimilarity(a: np.ndarray, b: np.ndarray) -> float:
    """One minus Pearson's correlation over units."""
    return cosine_dissimilarity(a - np.mean(a), b - np.mean(b))


def rdm_by_loops(x: np.ndarray, dissimilarity: Callable = squared_euclidean) -> np.ndarray:
    """Dissimilarity of every pair of rows of ``x``, shape (m, m), with a zero diagonal."""
    m = len(x)
    D = np.zeros((m, m))
    for i, j in itertools.combinations(range(m), 2):
        D[i, j] = D[j, i] = dissimilarity(x[i], x[j])
    return D


def upper_triangle(D: np.ndarray) -> np.ndarray:
    """Entries above the diagonal, row by row: (0,1), (0,2), ..., (m-2,m-1)."""
    return np.array([D[i, j] for i, j in itertools.combinations(range(len(D)), 2)])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two vectors."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def rdm_cosine(D: np.ndarray, E: np.ndarray) -> float:
    """Cosine of the upper triangles of two dissimilarity matrices."""
    return cosine(upper_triangle(D), upper_triangle(E))


def rdm_correlation(D: np.ndarray, E: np.ndarray) -> float:
    """Pearson's correlation of the upper triangles."""
    d, e = upper_triangle(D), upper_triangle(E)
    return cosine(d - d.mean(), e - e.mean())


def pair_contrasts(m: int) -> np.ndarray:
    """One row ``e_i - e_j`` for each pair i < j, shape (m(m-1)/2, m), in the order of `upper_triangle`."""
    rows = []
    for i, j in itertools.combinations(range(m), 2):
        contrast = np.zeros(m)
        contrast[i], contrast[j] = 1.0, -1.0
        rows.append(contrast)
    return np.array(rows)


def pair_covariance(sigma: np.ndarray) -> np.ndarray:
    """Covariance of squared distances, up to a factor: ``V_ab = (c_a' sigma c_b)^2`` over all pairs a, b.

    Parameters
    ----------
    sigma : ndarray, shape (m, m)
        Covariance of the noise between inputs.

    References
    ----------
    Diedrichsen, Berlot, Mur, Schütt, Shahbazi, Kriegeskorte (2021), Comparing representational geometries
    using whitened unbiased-distance-matrix similarity; the part of their covariance that does not depend on
    the signal.
    """
    C = pair_contrasts(len(sigma))
    V = np.zeros((len(C), len(C)))
    for a, contrast in enumerate(C):
        V[a] = (C @ (sigma @ contrast)) ** 2
    return V


def whitened_rdm_cosine(D: np.ndarray, E: np.ndarray, sigma: np.ndarray | None = None) -> float:
    """``d' V^-1 e / sqrt(d' V^-1 d  e' V^-1 e)`` with the dense V of all pairs; rsatoolbox's ``cosine_cov``.

    Parameters
    ----------
    D, E : ndarray, shape (m, m), m <= 40 or so
        Squared dissimilarities; may be negative (crossvalidated).
    sigma : ndarray, shape (m, m), optional
        The identity by default; the value is then biased CKA if D and E are squared Euclidean.
    """
    return _whitened_cosine(upper_triangle(D), upper_triangle(E), sigma, len(D))


def whitened_rdm_correlation(D: np.ndarray, E: np.ndarray, sigma: np.ndarray | None = None) -> float:
    """The same after subtracting from each vector its plain mean; rsatoolbox's ``corr_cov``.

    What rsatoolbox 0.3.2 does, for any sigma: ``d - mean(d)`` (ordinary mean over pairs), then `cosine_cov`.
    For sigma = I the vector of ones is an eigenvector of V (value ``2m``), so that this is the projection
    orthogonal to the ones in the metric V^-1, that is, it subtracts the mean of generalized least squares.
    For other sigma it is neither that projection (see `whitened_rdm_correlation_gls`) nor the orthogonal one
    onto vectors of mean zero; it is a projection onto these along the ones. Adding a constant to D or E
    changes nothing.

    How rsatoolbox evaluates V^-1: without sigma by double centering, to rounding; with a matrix sigma by
    conjugate gradients to a relative residual of 1e-5, which leaves the value right to about 1e-5;
    with a vector sigma (variances) by *plain* double centering and division by standard deviations, which is
    not V^-1 of that sigma: pass the diagonal matrix.
    """
    d, e = upper_triangle(D), upper_triangle(E)
    return _whitened_cosine(d - d.mean(), e - e.mean(), sigma, len(D))


def whitened_rdm_correlation_gls(D: np.ndarray, E: np.ndarray, sigma: np.ndarray | None = None) -> float:
    """The same after subtracting the mean of generalized least squares, ``1' V^-1 d / 1' V^-1 1``.

    The projection orthogonal to the ones in the metric V^-1. Equal to `whitened_rdm_correlation` if sigma is
    a multiple of the identity.
    """
    V = pair_covariance(np.eye(len(D)) if sigma is None else sigma)
    d, e = upper_triangle(D), upper_triangle(E)
    weights = np.linalg.solve(V, np.ones(len(V)))
    weights = weights / weights.sum()
    return _whitened_cosine(d - weights @ d, e - weights @ e, sigma, len(D))


def _whitened_cosine(d: np.ndarray, e: np.ndarray, sigma: np.ndarray | None, m: int) -> float:
    inverse = np.linalg.inv(pair_covariance(np.eye(m) if sigma is None else sigma))
    return float(d @ inverse @ e / np.sqrt((d @ inverse @ d) * (e @ inverse @ e)))


# ----------------------------------------------------------------------------------------------------------
# Matchings
# ----------------------------------------------------------------------------------------------------------


def permutation_distance_bruteforce(x: np.ndarray, y: np.ndarray) -> float:
    """Least ``|x - y P|`` over all p! permutations of columns, p <= 7; used as given (not centered).

    Parameters
    ----------
    x, y : ndarray, shape (m, p)
    """
    columns = itertools.permutations(range(x.shape[1]))
    return min(float(norm(x - y[:, list(order)])) for order in columns)


def permutation_angle_bruteforce(x: np.ndarray, y: np.ndarray) -> float:
    """Least angle between ``x`` and ``y P`` over all p! permutations, p <= 7; radians."""
    return permutation_angle_of_chord(permutation_distance_bruteforce(x / norm(x), y / norm(y)))


def permutation_angle_of_chord(chord: float) -> float:
    """Angle between unit vectors from their distance."""
    return 2 * math.asin(min(chord / 2, 1.0))


def column_costs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distance of each column of ``x`` (m, p) from each of ``y`` (m, q), shape (p, q)."""
    return np.array([[squared_euclidean(a, b) for b in y.T] for a in x.T])


def soft_matching_linprog(x: np.ndarray, y: np.ndarray) -> float:
    """Wasserstein-2 distance between the two sets of centered columns, with uniform weights 1/p and 1/q.

    A linear program over p x q transport plans (the last constraint follows from the others and is left out).

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y : ndarray, shape (m, q), p q <= 500 or so

    References
    ----------
    Khosla, Williams (2023), Soft matching distance: a metric on neural representations that captures
    single-neuron tuning.
    """
    costs = column_costs(oracles.center(x), oracles.center(y))
    p, q = costs.shape
    rows = np.kron(np.eye(p), np.ones(q))
    columns = np.kron(np.ones(p), np.eye(q))
    scale = max(float(costs.max()), 1e-300)  # the solver's tolerances are absolute
    found = scipy.optimize.linprog(
        costs.ravel() / scale, A_eq=np.vstack([rows, columns])[:-1],
        b_eq=np.concatenate([np.full(p, 1 / p), np.full(q, 1 / q)])[:-1], method="highs-ds",
    )  # fmt: skip
    return math.sqrt(max(float(np.sum(costs.ravel() * found.x)), 0.0))


def soft_matching_by_copies(x: np.ndarray, y: np.ndarray) -> float:
    """The same by assignment: copies of the columns make both sides equally many (Birkhoff's theorem)."""
    p, q = x.shape[1], y.shape[1]
    count = math.lcm(p, q)
    costs = column_costs(oracles.center(x), oracles.center(y))
    costs = np.repeat(np.repeat(costs, count // p, axis=0), count // q, axis=1)
    rows, columns = scipy.optimize.linear_sum_assignment(costs)
    return math.sqrt(math.fsum(costs[rows, columns]) / count)


# ----------------------------------------------------------------------------------------------------------
# Stochastic shapes
# ----------------------------------------------------------------------------------------------------------


def stochastic_shape_distance_2d(
    mu: np.ndarray, sigma: np.ndarray, nu: np.ndarray, tau: np.ndarray, share: float = 1.0, grid: int = 4000
) -> float:
    """``sqrt((1/m) min_Q sum_i share |mu_i - nu_i Q|^2 + (2 - share) BW^2(sigma_i, Q' tau_i Q))`` for p = 2.

    Scans both components of O(2) and refines around the five lowest grid points of each. For 2 x 2 matrices
    ``tr (A^1/2 B A^1/2)^1/2 = sqrt(tr AB + 2 sqrt(det A det B))``.

    Parameters
    ----------
    mu, nu : ndarray, shape (m, 2)
        Used as given (not centered).
    sigma, tau : ndarray, shape (m, 2, 2)
        Positive semidefinite.
    share : float in [0, 2]
        Williams et al.'s and Duong et al.'s alpha: 2 looks at means only, 0 at covariances only.
    grid : int
        Angles per component.

    Returns
    -------
    float
        Error about 1e-8 at distance zero (a trace formula), 1e-14 relative else.

    References
    ----------
    Duong, Zhou, Nassar, Berman, Olieslagers, Williams (2023), Representational dissimilarity metric spaces
    for stochastic neural networks.
    """
    dets = np.sqrt(np.maximum(np.linalg.det(sigma) * np.linalg.det(tau), 0))
    constant = share * (np.sum(mu**2) + np.sum(nu**2))
    constant += (2 - share) * float(
        np.trace(sigma, axis1=1, axis2=2).sum() + np.trace(tau, axis1=1, axis2=2).sum()
    )

    def objective(angle, mirror):
        c, s = np.cos(angle), np.sin(angle)
        Q = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2) @ np.diag([1.0, mirror])
        overlap = np.einsum("ia,ib,...ba->...", mu, nu, Q)
        rotated = np.swapaxes(Q, -1, -2)[..., None, :, :] @ tau @ Q[..., None, :, :]
        products = np.einsum("iab,...iba->...i", sigma, rotated)
        fidelity = np.sum(np.sqrt(np.maximum(products + 2 * dets, 0)), axis=-1)
        return constant - 2 * share * overlap - 2 * (2 - share) * fidelity

    step = 2 * np.pi / grid
    angles = step * np.arange(grid)
    best = np.inf
    for mirror in (1.0, -1.0):
        values = objective(angles, mirror)
        for start in angles[np.argsort(values)[:5]]:
            found = scipy.optimize.minimize_scalar(
                lambda a, b=mirror: float(objective(np.asarray(a), b)),
                bounds=(start - step, start + step), method="bounded", options={"xatol": 1e-10},
            )  # fmt: skip
            best = min(best, float(found.fun))
    return math.sqrt(max(best, 0.0) / len(mu))


# ----------------------------------------------------------------------------------------------------------
# Kernels
# ----------------------------------------------------------------------------------------------------------


def gram_by_loops(x: np.ndarray, kernel: Callable, y: np.ndarray | None = None) -> np.ndarray:
    """``kernel(x_i, y_j)`` for all rows, shape (m, n); y is x if not given."""
    return np.array([[kernel(a, b) for b in (x if y is None else y)] for a in x])


def rbf(a: np.ndarray, b: np.ndarray, length_scale: float) -> float:
    """``exp(-|a - b|^2 / (2 length_scale^2))``."""
    return math.exp(-squared_euclidean(a, b) / (2 * length_scale**2))


def laplace(a: np.ndarray, b: np.ndarray, length_scale: float) -> float:
    """``exp(-|a - b| / length_scale)`` with the Euclidean norm (scikit-learn sums absolute values)."""
    return math.exp(-euclidean(a, b) / length_scale)


def polynomial(a: np.ndarray, b: np.ndarray, degree: int, gamma: float = 1.0, constant: float = 0.0) -> float:
    """``(gamma <a, b> + constant)^degree``."""
    return (gamma * math.fsum(float(s) * float(t) for s, t in zip(a, b, strict=True)) + constant) ** degree


def arc_cosine(a: np.ndarray, b: np.ndarray, order: int) -> float:
    """Arc-cosine kernel of order 0, 1 or 2: ``|a|^n |b|^n J_n(angle) / pi``; zero vectors only for n > 0.

    References
    ----------
    Cho, Saul (2009), Kernel methods for deep learning.
    """
    size, other = math.hypot(*map(float, a)), math.hypot(*map(float, b))
    if size == 0 or other == 0:
        if order == 0:
            raise ValueError("the arc-cosine kernel of order 0 has no value at zero")
        return 0.0
    t = oracles.angle_mpmath(a, b, dps=30)
    c, s = math.cos(t), math.sin(t)
    J = (math.pi - t, s + (math.pi - t) * c, 3 * s * c + (math.pi - t) * (1 + 2 * c * c))[order]
    return size**order * other**order * J / math.pi


def arc_cosine_integral(a: np.ndarray, b: np.ndarray, order: int, nodes: int = 200) -> float:
    """The same from its definition, twice the mean of ``relu(<w,a>)^n relu(<w,b>)^n`` over Gaussian w.

    (Steps for n = 0.) In the plane of a and b, the radius integrates to a factorial, and the angle runs over
    the arc on which both are positive, by Gauss-Legendre quadrature.
    """
    t = oracles.angle_mpmath(a, b, dps=30)
    x, weights = np.polynomial.legendre.leggauss(nodes)
    low, high = t - math.pi / 2, math.pi / 2  # a at angle 0, b at angle t
    angles = (low + high) / 2 + (high - low) / 2 * x
    values = (np.cos(angles) * np.cos(angles - t)) ** order
    radial = math.gamma(order + 1) * 2**order  # integral of r^(2n+1) exp(-r^2/2)
    integral = (high - low) / 2 * float(weights @ values) * radial / (2 * math.pi)
    return 2 * float(norm(a) * norm(b)) ** order * integral


# ----------------------------------------------------------------------------------------------------------
# HSIC and CKA of kernel matrices
# ----------------------------------------------------------------------------------------------------------


def hsic_biased(K: np.ndarray, L: np.ndarray) -> float | Fraction:
    """``tr(K H L H) / (m - 1)^2``; exact for arrays of `fractions.Fraction`.

    References
    ----------
    Gretton, Bousquet, Smola, Schölkopf (2005), Measuring statistical dependence with Hilbert-Schmidt norms,
    definition 2.
    """
    m = len(K)
    exact = K.dtype == object
    H = np.array([[Fraction(int(i == j)) - Fraction(1, m) for j in range(m)] for i in range(m)], dtype=object)
    H = H if exact else H.astype(float)
    return (K @ H @ L @ H).trace() / (m - 1) ** 2


def hsic_biased_quadruples(K: np.ndarray, L: np.ndarray) -> Fraction:
    """The same: ``m^2/(m-1)^2`` times a mean over all m^4 quadruples of inputs, with repetitions; m <= 8."""
    m = len(K)
    k, ell = oracles.as_fractions(K), oracles.as_fractions(L)
    total = Fraction(0)
    for i, j, q, r in itertools.product(range(m), repeat=4):
        total += k[i, j] * (ell[i, j] + ell[q, r] - 2 * ell[i, q])
    return total / m**4 * Fraction(m * m, (m - 1) ** 2)


def cka_biased(K: np.ndarray, L: np.ndarray) -> float:
    """``HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))`` with `hsic_biased`."""
    return float(hsic_biased(K, L)) / math.sqrt(float(hsic_biased(K, K)) * float(hsic_biased(L, L)))


def cka_unbiased(K: np.ndarray, L: np.ndarray) -> float:
    """The same with the mean over all quadruples of distinct inputs, in exact fractions; 4 <= m <= 9.

    For larger m see `oracles.unbiased_hsic`, the formula of Song et al.
    """
    hsic = oracles.unbiased_hsic_exact
    return float(hsic(K, L)) / math.sqrt(float(hsic(K, K)) * float(hsic(L, L)))


# ----------------------------------------------------------------------------------------------------------
# Canonical correlations
# ----------------------------------------------------------------------------------------------------------


def canonical_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Canonical correlations, descending, shape (min(rank x, rank y),); columns are centered.

    Singular values of ``q'r`` with orthonormal bases q, r of the column spaces; dependent columns drop out.

    References
    ----------
    Björck, Golub (1973), Numerical methods for computing angles between linear subspaces.
    """
    q, r = scipy.linalg.orth(oracles.center(x)), scipy.linalg.orth(oracles.center(y))
    return np.linalg.svd(q.T @ r, compute_uv=False)


def canonical_correlations_eig(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same from ``C_xy C_yy^-1 C_yx a = rho^2 C_xx a``; independent columns; error eps * condition^2."""
    x, y = oracles.center(x), oracles.center(y)
    C = x.T @ y
    squares = scipy.linalg.eigh(C @ np.linalg.solve(y.T @ y, C.T), x.T @ x, eigvals_only=True)
    return np.sqrt(np.clip(squares[::-1][: min(x.shape[1], y.shape[1])], 0, None))


def leading_components(x: np.ndarray, share: float) -> np.ndarray:
    """Scores, shape (m, k), of the fewest principal components that hold ``share`` of the variance."""
    U, s, _ = np.linalg.svd(oracles.center(x), full_matrices=False)
    held = np.cumsum(s**2) / np.sum(s**2)
    k = int(np.argmax(held >= share * (1 - 1e-12))) + 1
    return U[:, :k] * s[:k]


def svcca(x: np.ndarray, y: np.ndarray, share: float = 0.99) -> float:
    """Mean canonical correlation of the leading components.

    References
    ----------
    Raghu, Gilmer, Yosinski, Sohl-Dickstein (2017), SVCCA.
    """
    return float(canonical_correlations(leading_components(x, share), leading_components(y, share)).mean())


def pwcca(x: np.ndarray, y: np.ndarray) -> float:
    """Projection-weighted canonical correlation with the weights of ``x``; not symmetric.

    ``sum_i w_i rho_i / sum_i w_i`` with ``w_i = sum_j |<h_i, x_j>|``, where ``h_i`` are the (unit) canonical
    variates of x and ``x_j`` its centered columns. The authors' program takes the narrower of the two in the
    place of x.

    References
    ----------
    Morcos, Raghu, Bengio (2018), Insights on representational similarity in neural networks with canonical
    correlation.
    """
    x, y = oracles.center(x), oracles.center(y)
    q, r = scipy.linalg.orth(x), scipy.linalg.orth(y)
    U, rho, _ = np.linalg.svd(q.T @ r, full_matrices=False)
    weights = np.array([math.fsum(abs(float(h @ column)) for column in x.T) for h in (q @ U).T])
    return float(weights @ rho / weights.sum())


# ----------------------------------------------------------------------------------------------------------
# Partial whitening
# ----------------------------------------------------------------------------------------------------------


def partially_whitened(
    x: np.ndarray, share: float, covariance: str = "mean", preserve_variance: bool = False
) -> np.ndarray:
    """``x Z`` with ``Z = share I + (1 - share) C^-1/2``, x centered, shape (m, p).

    C is ``x'x`` ("gram", as netrep) or ``x'x / m`` ("mean", as repsim). Directions in which x does not vary
    stay zero.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    share : float in [0, 1]
        Share of *no* whitening: the literature's alpha, 1 minus the package's ``whiten``.
    covariance : {"gram", "mean"}
    preserve_variance : bool
        Multiply Z by the number that restores ``tr(x'x)``, as netrep does. (netrep counts the whitened
        variance of directions without any: with zero columns or rank loss its result is smaller than this
        one.)

    References
    ----------
    Williams, Kunz, Kornblith, Linderman (2021), Generalized shape metrics on neural representations.
    """
    x = oracles.center(x)
    C = x.T @ x / {"gram": 1, "mean": len(x)}[covariance]
    values, vectors = np.linalg.eigh(C)
    varies = values > len(C) * np.finfo(float).eps * values[-1]
    inverse_roots = np.where(varies, 1 / np.sqrt(np.where(varies, values, 1)), 0)
    white = x @ ((vectors * (share + (1 - share) * inverse_roots)) @ vectors.T)
    return white * (norm(x) / norm(white)) if preserve_variance else white
