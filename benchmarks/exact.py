"""
The geometry of every space in sixty digits, from textbook formulas: what `accuracy.py` measures against.

Nothing here imports torch or ``repsim_geo``. Matrices are numpy arrays of mpmath numbers, one point at a
time, slow and short. The formulas are deliberately not those of the library wherever there is another road:
square roots in place of Cholesky factors, tangents and arc tangents in place of aligned frames, enumeration
in place of assignment, and a Taylor series of the whole transported matrix.

A float stands for the nearest element of the space: `point` makes centered, hollow and symmetric matrices,
unit norms and orthonormal frames exactly so, and `vector` makes vectors exactly tangent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

DIGITS = 60
Array = np.ndarray

# Eigenvalues below this share of the largest are exact zeros that sixty digits have rounded. (Floats that are
# not zero differ from it by at least the square of their own rounding.)
_ZERO = mp.mpf(10) ** -45


def exact(a: Any) -> Array:
    """The very numbers that floats are, as an array of mpmath numbers."""
    a = np.asarray(a, dtype=float)
    return np.array([mp.mpf(float(value)) for value in a.ravel()], dtype=object).reshape(a.shape)


def norm(a: Array) -> Any:
    return mp.sqrt(np.sum(a * a))


def sym(a: Array) -> Array:
    return (a + a.T) / 2


def eig(a: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors in columns, of a symmetric matrix."""
    values, vectors = mp.eigsy(mp.matrix(a.tolist()))
    return np.array(list(values), dtype=object), np.array(vectors.tolist(), dtype=object)


def spectral(f: Callable, a: Array) -> Array:
    values, basis = eig(a)
    return (basis * np.array([f(value) for value in values], dtype=object)) @ basis.T


def derivative(f: Callable, slope: Callable, a: Array, e: Array) -> Array:
    """Derivative of ``spectral(f, a)`` in the direction e. Half of sixty digits may cancel in a quotient."""
    values, basis = eig(a)
    size = max(abs(value) for value in values)

    def difference(s: Any, t: Any) -> Any:
        return slope(s) if abs(s - t) <= mp.mpf(10) ** -30 * size else (f(s) - f(t)) / (s - t)

    differences = np.array([[difference(s, t) for t in values] for s in values], dtype=object)
    return basis @ (differences * (basis.T @ e @ basis)) @ basis.T


def sylvester(s: Array, c: Array) -> Array:
    """The ``a`` with ``s a + a s = c``, zero where the equation does not determine it."""
    values, basis = eig(s)
    return basis @ _quotient(basis.T @ c @ basis, values) @ basis.T


def _quotient(c: Array, values: Array) -> Array:
    sums = values[:, None] + values[None, :]
    known = sums > _ZERO * values[-1]
    return np.where(known, c, mp.mpf(0)) / np.where(known, sums, mp.mpf(1))


# ---------------------------------------------------------------------- linear subspaces


def constraints(subspace: str, shape: tuple[int, ...]) -> list[Array]:
    """What is zero on a subspace: a list of matrices that are orthogonal to it."""

    def unit(i: int, j: int) -> Array:
        return np.array([[float((a, b) == (i, j)) for b in range(shape[1])] for a in range(shape[0])])

    if subspace == "Everything":
        return []
    if subspace == "ColumnCentered":
        return [sum((unit(i, j) for i in range(shape[0])), np.zeros(shape)) for j in range(shape[1])]
    n = range(shape[0])
    symmetric = [unit(i, j) - unit(j, i) for i in n for j in range(i)]
    diagonal = [unit(i, i) for i in n]
    rows = [sum((unit(i, j) for j in n), np.zeros(shape)) for i in n]
    extra = {
        "DoubleCentered": rows,
        "UCentered": rows + diagonal,
        "Hollow": diagonal,
        "HollowCentered": [*diagonal, np.ones(shape)],
        "TraceFree": [*rows, np.eye(shape[0])],
    }
    return symmetric + extra[subspace]


def projector(subspace: str, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Orthogonal projection, by Gram and Schmidt on the constraints."""
    basis: list[Array] = []
    for c in constraints(subspace, shape):
        rest = exact(c).ravel()
        for b in basis:
            rest = rest - (b @ rest) * b
        if norm(rest) > _ZERO:
            basis.append(rest / norm(rest))
    if not basis:
        return lambda a: a
    stacked = np.stack(basis)
    return lambda a: a - (stacked.T @ (stacked @ a.ravel())).reshape(a.shape)


# ---------------------------------------------------------------------- spaces


class Space:
    """Points, vectors, and what depends on them. A subclass writes the first block; the rest follows."""

    def linear(self, a: Array) -> Array:
        """Nearest element of the linear space in which points and vectors live."""
        raise NotImplementedError

    point: Callable
    vector: Callable
    inner: Callable
    exp: Callable
    log: Callable
    transport: Callable
    curvature: Callable

    def projected(self, a: Array) -> Array:
        return self.point(a)

    def dist(self, x: Array, y: Array) -> Any:
        u = self.log(x, y)
        return mp.sqrt(self.inner(x, u, u))


def _area(inner: Callable, u: Array, v: Array) -> Any:
    return inner(u, u) * inner(v, v) - inner(u, v) ** 2


def _dot(u: Array, v: Array) -> Any:
    return np.sum(u * v)


class FlatSpace(Space):
    def __init__(self, subspace: str, shape: tuple[int, ...], weight: float = 1.0):
        self.linear, self.weight = projector(subspace, shape), mp.mpf(weight)
        self.point = self.linear

    def vector(self, x: Array, u: Array) -> Array:
        return self.linear(u)

    def inner(self, x: Array, u: Array, v: Array) -> Any:
        return self.weight * _dot(u, v)

    def exp(self, x: Array, u: Array) -> Array:
        return x + u

    def log(self, x: Array, y: Array) -> Array:
        return y - x

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        return v

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        return mp.mpf(0)


class Sphere(Space):
    def __init__(self, subspace: str, shape: tuple[int, ...]):
        self.linear = projector(subspace, shape)

    def point(self, a: Array) -> Array:
        a = self.linear(a)
        return a / norm(a)

    def vector(self, x: Array, u: Array) -> Array:
        u = self.linear(u)
        return u - _dot(x, u) * x

    def inner(self, x: Array, u: Array, v: Array) -> Any:
        return _dot(u, v)

    def exp(self, x: Array, u: Array) -> Array:
        a = norm(u)
        return x if a == 0 else mp.cos(a) * x + mp.sin(a) / a * u

    def log(self, x: Array, y: Array) -> Array:
        rest = y - _dot(x, y) * x
        sine = norm(rest)
        return rest if sine == 0 else mp.atan2(sine, _dot(x, y)) / sine * rest

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        """Rotation of the plane of the great circle; what is orthogonal to it stays."""
        u = self.log(x, y)
        a = norm(u)
        if a == 0:
            return v
        along = _dot(u, v) / a
        return v + along * ((mp.cos(a) - 1) * u / a - mp.sin(a) * x)

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        return mp.mpf(1)


class Shapes(Space):
    """A flat space or a sphere of matrices modulo O(p) or SO(p)."""

    def __init__(self, total: FlatSpace | Sphere, special: bool):
        self.total, self.special = total, special
        self.linear, self.point, self.inner, self.exp = total.linear, total.point, total.inner, total.exp

    def vector(self, x: Array, u: Array) -> Array:
        u = self.total.vector(x, u)
        return u - x @ sylvester(x.T @ x, x.T @ u - u.T @ x)

    def rotation(self, x: Array, y: Array) -> Array:
        """Polar factor of ``y'x``, ``M (M'M)^(-1/2)``, on the directions that both shapes have."""
        M = y.T @ x
        values, basis = eig(M.T @ M)
        roots = [1 / mp.sqrt(value) if value > _ZERO * values[-1] else mp.mpf(0) for value in values]
        if self.special and mp.det(mp.matrix(M.tolist())) < 0:
            roots[0] = -roots[0]
        return M @ (basis * np.array(roots, dtype=object)) @ basis.T

    def log(self, x: Array, y: Array) -> Array:
        return self.total.log(x, y @ self.rotation(x, y))

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        q = self.rotation(x, y)
        return self.carry(x, self.total.log(x, y @ q), v) @ q.T

    def carry(self, x: Array, u: Array, v: Array) -> Array:
        """Transport along the geodesic with velocity u."""
        values, basis = eig(x.T @ x)
        basis = basis[:, values > _ZERO * values[-1]]  # shortest paths stay in the directions that x has
        x, u, v = x @ basis, u @ basis, v @ basis
        carry = _carry_on_line if isinstance(self.total, FlatSpace) else _carry_on_circle
        return carry(x, u, v) @ basis.T

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        """O'Neill: three quarters of the squared vertical part of the bracket of horizontal fields."""
        vertical = x @ sylvester(x.T @ x, 2 * (v.T @ u - u.T @ v))
        return self.total.curvature(x, u, v) + mp.mpf(3) / 4 * _dot(vertical, vertical) / _area(_dot, u, v)


class Matchings(Space):
    """A flat space or a sphere of matrices modulo permutations of the columns, by enumeration."""

    def __init__(self, total: FlatSpace | Sphere):
        self.total = total
        for name in ("linear", "point", "vector", "inner", "exp", "curvature"):
            setattr(self, name, getattr(total, name))

    def order(self, x: Array, y: Array) -> list[int]:
        costs = [[float(np.sum((a - b) ** 2)) for b in y.T] for a in x.T]
        orders = itertools.permutations(range(len(costs)))
        return list(min(orders, key=lambda order: sum(costs[i][j] for i, j in enumerate(order))))

    def log(self, x: Array, y: Array) -> Array:
        return self.total.log(x, y[:, self.order(x, y)])

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        order = self.order(x, y)
        moved = np.empty_like(v)
        moved[:, order] = self.total.transport(x, y[:, order], v)
        return moved


class Symmetric(Space):
    """What the spaces of positive definite matrices share."""

    def linear(self, a: Array) -> Array:
        return sym(a)

    def point(self, a: Array) -> Array:
        return sym(a)

    def vector(self, x: Array, u: Array) -> Array:
        return sym(u)

    def projected(self, a: Array) -> Array:
        return spectral(abs, sym(a))


class AffineInvariant(Symmetric):
    """Everything as seen from the identity: congruences with the square root of x."""

    def _roots(self, x: Array) -> tuple[Array, Array]:
        return spectral(mp.sqrt, x), spectral(lambda value: 1 / mp.sqrt(value), x)

    def inner(self, x: Array, u: Array, v: Array) -> Any:
        _, inverse = self._roots(x)
        return _dot(inverse @ u @ inverse, inverse @ v @ inverse)

    def exp(self, x: Array, u: Array) -> Array:
        root, inverse = self._roots(x)
        return root @ spectral(mp.exp, sym(inverse @ u @ inverse)) @ root

    def log(self, x: Array, y: Array) -> Array:
        root, inverse = self._roots(x)
        return root @ spectral(mp.log, sym(inverse @ y @ inverse)) @ root

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        root, inverse = self._roots(x)
        E = root @ spectral(mp.sqrt, sym(inverse @ y @ inverse)) @ inverse
        return E @ v @ E.T

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        _, inverse = self._roots(x)
        a, b = inverse @ u @ inverse, inverse @ v @ inverse
        bracket = a @ b - b @ a
        return -_dot(bracket, bracket) / 4 / _area(_dot, a, b)


class LogEuclidean(Symmetric):
    """The vector space of logarithms, there and back by derivatives."""

    def _down(self, x: Array, u: Array) -> Array:
        return derivative(mp.log, lambda value: 1 / value, x, u)

    def _up(self, x: Array, w: Array) -> Array:
        return derivative(mp.exp, mp.exp, spectral(mp.log, x), w)

    def inner(self, x: Array, u: Array, v: Array) -> Any:
        return _dot(self._down(x, u), self._down(x, v))

    def exp(self, x: Array, u: Array) -> Array:
        return spectral(mp.exp, spectral(mp.log, x) + self._down(x, u))

    def log(self, x: Array, y: Array) -> Array:
        return self._up(x, spectral(mp.log, y) - spectral(mp.log, x))

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        return self._up(y, self._down(x, v))

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        return mp.mpf(0)


class Bures(Symmetric):
    """Shapes of square matrices f, seen through ``f f'``."""

    def __init__(self, shape: tuple[int, ...]):
        self.factors = Shapes(FlatSpace("Everything", shape), special=False)

    def _lift(self, x: Array, u: Array) -> tuple[Array, Array]:
        f = spectral(mp.sqrt, x)
        return f, sylvester(x, u) @ f

    def inner(self, x: Array, u: Array, v: Array) -> Any:
        return _dot(sylvester(x, u), v) / 2

    def exp(self, x: Array, u: Array) -> Array:
        moved = np.eye(len(x), dtype=int) + sylvester(x, u)
        return moved @ x @ moved

    def log(self, x: Array, y: Array) -> Array:
        """``(T - 1) x + x (T - 1)`` with the optimal map ``T = x^-1/2 (x^1/2 y x^1/2)^1/2 x^-1/2``."""
        root, inverse = spectral(mp.sqrt, x), spectral(lambda value: 1 / mp.sqrt(value), x)
        change = (inverse @ spectral(mp.sqrt, sym(root @ y @ root)) @ inverse - np.eye(len(x), dtype=int)) @ x
        return change + change.T

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        (f, w), (_, along) = self._lift(x, v), self._lift(x, self.log(x, y))
        half = (f + along) @ self.factors.carry(f, along, w).T
        return half + half.T

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        (f, a), (_, b) = self._lift(x, u), self._lift(x, v)
        return self.factors.curvature(f, a, b)


class Subspaces(Space):
    """Orthonormal frames up to rotation; the formulas of Edelman, Arias and Smith."""

    def __init__(self, subspace: str, shape: tuple[int, ...]):
        self.linear = projector(subspace, shape)

    def point(self, a: Array) -> Array:
        a = self.linear(a)
        return a @ spectral(lambda value: 1 / mp.sqrt(value), a.T @ a)

    def vector(self, x: Array, u: Array) -> Array:
        u = self.linear(u)
        return u - x @ (x.T @ u)

    def inner(self, x: Array, u: Array, v: Array) -> Any:
        return _dot(u, v)

    def exp(self, x: Array, u: Array) -> Array:
        return x @ spectral(lambda s: mp.cos(_root(s)), u.T @ u) + u @ spectral(
            lambda s: mp.sin(_root(s)) / _root(s) if _root(s) else mp.mpf(1), u.T @ u
        )

    def log(self, x: Array, y: Array) -> Array:
        """Tangents of the principal angles become the angles."""
        slope = (y - x @ (x.T @ y)) @ np.array(
            mp.inverse(mp.matrix((x.T @ y).tolist())).tolist(), dtype=object
        )
        return slope @ spectral(
            lambda s: mp.atan(_root(s)) / _root(s) if _root(s) else mp.mpf(1), slope.T @ slope
        )

    def transport(self, x: Array, y: Array, v: Array) -> Array:
        """Rotation of the whole space in the planes of x and u, on to the frame y."""
        u = self.log(x, y)
        sine = spectral(lambda s: mp.sin(_root(s)) / _root(s) if _root(s) else mp.mpf(1), u.T @ u)
        cosine = spectral(lambda s: (1 - mp.cos(_root(s))) / s if _root(s) else mp.mpf(1) / 2, u.T @ u)
        along = u.T @ v
        return (v - x @ sine @ along - u @ cosine @ along) @ (self.exp(x, u).T @ y)

    def curvature(self, x: Array, u: Array, v: Array) -> Any:
        """Squares of the two halves of the bracket, as large matrices."""
        outside, inside = u @ v.T - v @ u.T, u.T @ v - v.T @ u
        return (_dot(outside, outside) + _dot(inside, inside)) / 2 / _area(_dot, u, v)


def _root(square: Any) -> Any:
    """Root of a sum of squares, in which less than sixty digits of one count as zero."""
    return mp.sqrt(square) if square > mp.mpf(10) ** -50 else mp.mpf(0)


# ---------------------------------------------------------------------- transport of shapes

_TRANSPORT_DIGITS = 25


def _carry_on_line(x: Array, v: Array, u: Array) -> Array:
    """
    Transport of u along ``g = x + t v``, t from 0 to 1, by Taylor steps of the equation itself.

    ``V' = g A`` with ``S A + A S = V'v - v'V`` and ``S = g'g`` (primes on the right transpose). All of V is
    expanded, in the eigenbasis of S, with a quarter of the radius of convergence a step.
    """
    left = mp.mpf(1)
    while left > 0:
        h = min(left, 1 / (4 * _rate(x, v)))
        u = _taylor(x, h * v, u)
        x, left = x + h * v, left - h
    return u


def _carry_on_circle(x: Array, v: Array, u: Array) -> Array:
    """The same along a great circle: a cone is flat along its rays, so an arc a is a line of length tan a."""
    left = norm(v)
    if left == 0:
        return u
    v = v / left
    along = _dot(u, v)
    u = u - along * v
    while left > 0:
        arc = min(left, mp.atan(1 / (4 * _rate(x, v))))
        u = _taylor(x, mp.tan(arc) * v, u)
        x, v, left = mp.cos(arc) * x + mp.sin(arc) * v, mp.cos(arc) * v - mp.sin(arc) * x, left - arc
    return u + along * v


def _rate(x: Array, v: Array) -> Any:
    """Bound of the reciprocal of the time at which ``x + t v`` could lose rank, t complex."""
    values, basis = eig(x.T @ x)
    scaled = v @ basis / np.array([mp.sqrt(value) for value in values], dtype=object)
    return norm(scaled) + mp.mpf(10) ** -40


def _taylor(x: Array, v: Array, u: Array) -> Array:
    values, basis = eig(x.T @ x)
    x, v, u = x @ basis, v @ basis, u @ basis
    n, w = x.T @ v, v.T @ v
    total, term, small = u, u, mp.mpf(10) ** -_TRANSPORT_DIGITS * norm(u)
    turn = before = np.zeros_like(n) * mp.mpf(0)
    k = quiet = 0
    while quiet < 3:
        c = term.T @ v
        shift = 2 * n @ turn + w @ before
        rhs = c - c.T - shift + shift.T  # the transpose of n a is minus a n
        turn, before = _quotient(rhs, values), turn
        k += 1
        term = (x @ turn + v @ before) / k
        total = total + term
        quiet = quiet + 1 if norm(term) <= small else 0
    return total @ basis.T
