"""Matched units against all permutations, and soft matching against a linear program."""

from __future__ import annotations

import math

import numpy as np
import oracles
import oracles_metrics as om
import pytest
import torch

import repsim_geo as rg

SEEDS = range(5)


def _networks(kind, rng, p, q, m=9):
    x, y = rng.normal(size=(m, p)), rng.normal(size=(m, q))
    if kind == "equal_units":
        x[:], y[:, -1] = x[:, :1], y[:, 0]
    elif kind == "silent_units":
        x[:, : p // 2], y[:, q - q // 2 :] = 0, 0
    elif kind == "constant":
        x = np.ones((m, p))
    elif kind == "opposed":
        y = -np.resize(x, (m, q)) if q != p else -x
    elif kind == "fewer_inputs_than_units":
        x, y = x[:2], y[:2]
    elif kind == "far_from_the_origin":
        x, y = x + 1e3, y - 1e3
    elif kind == "tiny":
        x, y = 1e-8 * x, 1e-8 * y
    elif kind == "huge":
        x, y = 1e8 * x, 1e8 * y
    elif kind == "different_sizes":
        y = 1e-6 * y
    return x, y


KINDS = (
    "ordinary", "equal_units", "silent_units", "constant", "opposed", "fewer_inputs_than_units",
    "far_from_the_origin", "tiny", "huge", "different_sizes",
)  # fmt: skip
# Centering data with an offset of 1e3 costs 3 digits.
LIMIT = {"far_from_the_origin": 1e-12}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [1, 2, 4, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_best_permutation_of_all(kind, p, seed):
    x, y = _networks(kind, np.random.default_rng(seed), p, p)
    cx, cy = oracles.center(x), oracles.center(y)
    limit = LIMIT.get(kind, 1e-14)
    expected = om.permutation_distance_bruteforce(cx, cy)
    assert float(rg.compare(x, y, "permutation")) == pytest.approx(expected, rel=limit)
    if kind != "constant":
        angle = float(rg.compare(x, y, "angular_permutation"))
        # The reference is an arc sine, blunt near pi.
        expected = om.permutation_angle_bruteforce(cx, cy)
        assert angle == pytest.approx(expected, rel=limit if expected < 3 else 1e-7)


@pytest.mark.parametrize(("p", "q"), [(2, 4), (4, 2), (3, 5), (1, 6)])
@pytest.mark.parametrize("seed", SEEDS)
def test_narrow_networks_are_padded_with_silent_units(p, q, seed):
    x, y = _networks("ordinary", np.random.default_rng(seed), p, q)
    x_, y_ = (np.pad(oracles.center(z), ((0, 0), (0, max(p, q) - z.shape[1]))) for z in (x, y))
    expected = om.permutation_distance_bruteforce(x_, y_)
    assert float(rg.compare(x, y, "permutation")) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("seed", SEEDS)
def test_best_permutation_of_nearly_equal_units(gap, seed):
    """Which is best is decided by differences of order gap squared; nearly equal ones cost nearly nothing."""
    rng = np.random.default_rng(seed)
    x = oracles.center(rng.normal(size=(9, 1)) + gap * rng.normal(size=(9, 5)))
    y = x[:, rng.permutation(5)] + gap / 10 * oracles.center(rng.normal(size=(9, 5)))
    found = float(rg.PermutationDistance().dist(torch.tensor(x), torch.tensor(y)))
    assert found == pytest.approx(om.permutation_distance_bruteforce(x, y), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("p", "q"), [(1, 1), (1, 5), (3, 4), (4, 6), (6, 3), (5, 5), (7, 10)])
@pytest.mark.parametrize("seed", SEEDS)
def test_soft_matching_is_the_linear_program(kind, p, q, seed):
    x, y = _networks(kind, np.random.default_rng(seed), p, q)
    limit = LIMIT.get(kind, 1e-13)
    found = float(rg.compare(x, y, "soft_matching"))
    assert found == pytest.approx(om.soft_matching_by_copies(x, y), rel=limit, abs=limit * om.norm(x))
    # Where all costs are nearly the same, the linear program stops within its tolerance of 1e-7 of them.
    limit = 1e-7 if kind == "different_sizes" else limit
    assert found == pytest.approx(om.soft_matching_linprog(x, y), rel=limit, abs=limit * om.norm(x))


@pytest.mark.parametrize(("p", "q"), [(23, 24), (19, 31)])
def test_soft_matching_of_coprime_widths_by_the_network_simplex(p, q):
    """Their least common multiple is beyond what is solved by copies."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, p)), rng.normal(size=(9, q))
    assert math.lcm(p, q) > 512
    assert float(rg.compare(x, y, "soft_matching")) == pytest.approx(
        om.soft_matching_linprog(x, y), rel=1e-13
    )


@pytest.mark.parametrize("method", ["permutation", "angular_permutation", "soft_matching"])
@pytest.mark.parametrize("seed", SEEDS)
def test_float32_loses_nothing_but_rounding(method, seed):
    rng = np.random.default_rng(seed)
    x, y = (z.astype(np.float32) for z in _networks("ordinary", rng, 5, 5))
    cx, cy = (oracles.center(z.astype(float)) for z in (x, y))
    expected = {
        "permutation": om.permutation_distance_bruteforce,
        "angular_permutation": om.permutation_angle_bruteforce,
        "soft_matching": om.soft_matching_linprog,
    }[method](cx, cy)
    d = rg.compare(x, y, method)
    assert d.dtype == torch.float32
    assert float(d) == pytest.approx(expected, rel=4 * float(np.finfo(np.float32).eps))
