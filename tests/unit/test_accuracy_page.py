"""The tables of docs/numerics.md: their script runs, and what it measures against is right."""

from pathlib import Path

import mpmath as mp
import numpy as np
import oracles
import oracles_metrics
import pytest

from repsim_geo.verify.tolerance import tolerance

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")


@pytest.fixture
def accuracy(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import accuracy  # pyright: ignore[reportMissingImports]  # found on the path just made

    with mp.workdps(accuracy.exact.DIGITS):
        yield accuracy


def test_page_has_one_place_for_the_tables(accuracy):
    assert PAGE.count(accuracy.BEGIN) == PAGE.count(accuracy.END) == 1
    assert 0 < PAGE.index(accuracy.BEGIN) < PAGE.index("### At a glance") < PAGE.index(accuracy.END)


def test_page_tells_what_it_was_made_with(accuracy):
    for words in ("torch ", "mpmath ", "threads: 1", "float32", f"{accuracy.DRAWS} draws", "seed "):
        assert words in PAGE


@pytest.mark.parametrize(
    "name", ["angular_shape_plane", "grassmannian_lines", "affine_invariant_spd_numbers"]
)
def test_no_operation_errs_by_more_than_the_rounding_of_the_points_explains(accuracy, name):
    (case,) = accuracy.cases(name)
    found = accuracy.measure(case, 1)
    amplification = {scene.name: scene.amplification for scene in accuracy.SCENES}
    assert {operation for _, operation, _, _ in found} >= set(accuracy.BETWEEN)
    for (_, operation, scene, dtype), values in found.items():
        ceiling = tolerance("rounding", accuracy.DTYPES[dtype]) * amplification[scene]
        assert max(values) <= ceiling, (operation, scene, dtype)


def test_tables_have_a_line_for_every_operation(accuracy):
    tables = accuracy.report(accuracy.cases("flat_vectors"), 1, naive=False)
    for name in accuracy.BETWEEN:
        assert tables.count(f"\n| {name} |") == 2  # float64, float32
    assert "| Flat | " in tables


# What the script measures against is itself held against the oracles of the tests, which know other formulas.


def floats(a):
    return np.array(a.tolist(), dtype=float)


@pytest.mark.parametrize("kendall", [False, True])
def test_exact_transport_of_shapes_solves_the_differential_equation(accuracy, kendall):
    exact = accuracy.exact
    total = (exact.Sphere if kendall else exact.FlatSpace)("ColumnCentered", (5, 3))
    space, rng = exact.Shapes(total, special=False), np.random.default_rng(0)
    x, y, v = (exact.exact(rng.normal(size=(5, 3))) for _ in range(3))
    x, y = space.point(x), space.point(y)
    u, v = space.log(x, y), space.vector(x, v)
    moved = space.carry(x, u, v)
    expected = oracles.shape_transport_ode(floats(x), floats(u), floats(v), kendall)
    np.testing.assert_allclose(floats(moved), expected, atol=1e-11 * oracles_metrics.norm(expected))


@pytest.mark.parametrize(
    ("kind", "prefix"), [("AffineInvariant", "airm"), ("LogEuclidean", "log_euclidean"), ("Bures", "bures")]
)
def test_exact_positive_definite_matrices_agree_with_the_oracles(accuracy, kind, prefix):
    exact, rng = accuracy.exact, np.random.default_rng(0)
    space = exact.Bures((3, 3)) if kind == "Bures" else getattr(exact, kind)()
    A, B = (oracles_metrics.spd_with_condition(rng, 3) for _ in range(2))
    V = oracles_metrics.sym(rng.normal(size=(3, 3)))
    a, b, v = map(exact.exact, (A, B, V))
    for name, found in {"log": space.log(a, b), "transport": space.transport(a, b, v)}.items():
        expected = getattr(oracles_metrics, f"{prefix}_{name}")(*((A, B) if name == "log" else (A, B, V)))
        np.testing.assert_allclose(floats(found), expected, atol=1e-11 * oracles_metrics.norm(expected))
    inner = getattr(oracles_metrics, f"{prefix}_inner")(A, V, V)
    assert float(space.inner(a, v, v)) == pytest.approx(inner, rel=1e-11)


def test_exact_subspaces_agree_with_the_oracles(accuracy):
    exact, rng = accuracy.exact, np.random.default_rng(0)
    space = exact.Subspaces("Everything", (5, 2))
    x, y = (space.point(exact.exact(rng.normal(size=(5, 2)))) for _ in range(2))
    v = space.vector(x, exact.exact(rng.normal(size=(5, 2))))
    u = space.log(x, y)
    np.testing.assert_allclose(floats(u), oracles_metrics.grassmann_log(floats(x), floats(y)), atol=1e-13)
    turn = oracles_metrics.grassmann_transvection(floats(x), floats(u))
    expected = turn @ floats(v) @ (turn @ floats(x)).T @ floats(y)
    np.testing.assert_allclose(floats(space.transport(x, y, v)), expected, atol=1e-13)
