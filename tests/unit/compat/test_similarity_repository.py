"""Identifiers of similarity-repository, each against a formula or the number of someone else."""

import math

import numpy as np
import oracles
import pytest

import repsim_geo as rg
from repsim_geo.compat.similarity_repository import measure, measures, register
from repsim_geo.errors import UnknownMetricError

X, Y = oracles.golden_pair()
GOLDEN = oracles.GOLDEN


def rdm(x, kind):
    if kind == "correlation":
        return 1 - np.corrcoef(x)
    if kind == "cosine":
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        return 1 - unit @ unit.T
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    return squares if kind == "squared_euclidean" else np.sqrt(squares)


def rsa(kind, pearson):
    pairs = np.triu_indices(len(X), 1)
    d, e = (rdm(w, kind)[pairs] for w in (X, Y))
    return np.corrcoef(d, e)[0, 1] if pearson else d @ e / np.linalg.norm(d) / np.linalg.norm(e)


def kernel_cka(kernel, debiased=False):
    k, l = kernel(rdm(X, "squared_euclidean")), kernel(rdm(Y, "squared_euclidean"))  # noqa: E741
    if debiased:
        hsic = [song_hsic(*pair) for pair in ((k, l), (k, k), (l, l))]
    else:
        h = np.eye(100) - 1 / 100
        hsic = [np.sum((h @ v @ h) * w) for v, w in ((k, l), (k, k), (l, l))]
    return hsic[0] / np.sqrt(hsic[1] * hsic[2])


def song_hsic(k, l):  # noqa: E741
    """Song et al. 2007, equation 5, up to a factor."""
    k, l = (w - np.diag(np.diag(w)) for w in (k, l))  # noqa: E741
    m = len(k)
    return np.sum(k * l) + k.sum() * l.sum() / ((m - 1) * (m - 2)) - 2 * (k.sum(0) @ l.sum(0)) / (m - 2)


def gauss(length):
    return lambda d: np.exp(-d / (2 * length**2))


def laplace(length):
    return lambda d: np.exp(-np.sqrt(d) / length)


RHO = np.linalg.svd(np.linalg.qr(X - X.mean(0))[0].T @ np.linalg.qr(Y - Y.mean(0))[0], compute_uv=False)
EXPECTED = {
    "cka-kernel=linear-hsic=gretton-score": GOLDEN["biased_cka"],
    "cka-kernel=linear-hsic=gretton-distance=angular": GOLDEN["angular_cka"],
    "cka-kernel=linear-hsic=gretton-distance=one_minus_score": 1 - GOLDEN["biased_cka"],
    "cka-kernel=linear-hsic=song-score": GOLDEN["unbiased_cka"],
    "cka-kernel=linear-hsic=song-distance=angular": math.acos(GOLDEN["unbiased_cka"]),
    "cka-kernel=(rbf-sigma={sigma})-hsic=gretton-score": kernel_cka(gauss(1)),
    "cka-kernel=(rbf-sigma=3.0)-hsic=gretton-distance=angular": math.acos(kernel_cka(gauss(3))),
    "cka-kernel=(rbf-sigma=3.0)-hsic=song-score": kernel_cka(gauss(3), True),
    "cka-kernel=(rbf-sigma=3)-hsic=song-distance=angular": math.acos(kernel_cka(gauss(3), True)),
    "cka-kernel=(laplace-sigma=2.0)-hsic=gretton-score": kernel_cka(laplace(2)),
    "cka-kernel=(laplace-sigma=2.0)-hsic=song-score": kernel_cka(laplace(2), True),
    "procrustes-distance=euclidean": GOLDEN["size_and_shape"],
    "procrustes-distance=squared_euclidean": GOLDEN["size_and_shape"] ** 2,
    "procrustes-distance=angular": GOLDEN["angular_shape"],
    "procrustes-score": GOLDEN["nbs"],
    "nbs-score": GOLDEN["nbs"],
    "nbs-distance=angular": GOLDEN["angular_shape"],
    "shape_metric-alpha={alpha}-distance=angular": GOLDEN["angular_shape"],
    "shape_metric-alpha=1-distance=euclidean": GOLDEN["size_and_shape"],
    "shape_metric-alpha=0-score": RHO.mean(),
    "shape_metric-alpha=0.0-distance=angular": math.acos(RHO.mean()),
    "cca-score": RHO.mean(),
    "cca-squared_score": (RHO**2).mean(),
    "svcca-var=1-score": RHO.mean(),
    "permutation_metric-distance=angular": 0.7622249565124,
    "permutation_metric-distance=euclidean": 30.6689223636336,
} | {
    f"rsa-rdm={kind}-compare={comparison}": rsa(kind, comparison == "pearson")
    for kind in ("squared_euclidean", "euclidean", "correlation", "cosine")
    for comparison in ("cosine", "pearson")
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_measures_are_what_their_names_say(name):
    value = measure(name)(X, Y)
    assert type(value) is float
    assert value == pytest.approx(EXPECTED[name], rel=2e-11, abs=2e-12)


def test_whitened_comparison_of_squared_distances_is_linear_cka():
    value = measure("rsa-rdm=squared_euclidean-compare=cosine_cov")(X, Y)
    assert value == pytest.approx(GOLDEN["biased_cka"], abs=1e-11)
    assert measure("rsa-rdm=squared_euclidean-compare=corr_cov")(X, Y) == pytest.approx(0.51319938, abs=5e-9)


def test_partial_whitening_is_netreps():
    value = measure("shape_metric-alpha=0.5-distance=angular")(X, Y)
    assert value == pytest.approx(GOLDEN["angular_shape_half_whitened_gram_cov"], abs=5e-7)
    assert measure("shape_metric-alpha={alpha}-distance=angular")(X, Y, alpha=0.5) == value
    assert measure("shape_metric-alpha=0.5-distance=euclidean")(X, Y) == pytest.approx(
        GOLDEN["size_and_shape_half_whitened_gram_cov"], abs=5e-5
    )


def test_pwcca_weighs_directions_of_the_first_by_its_units():
    # Morcos et al. 2018, equations 3 and 4, with orthonormal canonical variates
    a = X - X.mean(0)
    q, r = np.linalg.qr(a)[0], np.linalg.qr(Y - Y.mean(0))[0]
    u, rho, _ = np.linalg.svd(q.T @ r)
    weights = np.abs((q @ u).T @ a).sum(1)
    expected = weights @ rho / weights.sum()
    assert measure("pwcca-score")(X, Y) == pytest.approx(expected, rel=1e-10)
    assert measure("pwcca-distance=one_minus_score")(X, Y) == pytest.approx(1 - expected, rel=1e-10)


def test_svcca_keeps_the_components_of_a_share_of_the_variance():
    directions = []
    for w in (X, Y):
        u, s, _ = np.linalg.svd(w - w.mean(0), full_matrices=False)
        kept = 1 + int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.8))
        directions.append(u[:, :kept])
    rho = np.linalg.svd(directions[0].T @ directions[1], compute_uv=False)
    assert measure("svcca-var=0.8-score")(X, Y) == pytest.approx(rho.mean(), rel=1e-10)
    assert measure("svcca-var={var}-score")(X, Y, var=0.8) == measure("svcca-var=0.8-score")(X, Y)


def test_every_measure_runs_on_networks_of_different_widths():
    wide = np.hstack([Y, X[:, :2]])
    fixed = {"repsim_geo/linear_subspace", "repsim_geo/affine_invariant", "repsim_geo/log_euclidean"}
    for name, found in measures().items():
        if name not in fixed:
            assert np.isfinite(found(X, wide)), name


def test_identifiers_have_three_parts_or_two():
    names = set(measures())
    assert {n.removeprefix("measure/repsim_geo/") for n in names if n.startswith("measure/")} >= {
        n for n in EXPECTED if "=0" not in n and "=1" not in n and "=2" not in n and "=3" not in n
    }
    assert {n.removeprefix("repsim_geo/") for n in names if n.startswith("repsim_geo/")} == set(
        rg.available_metrics()
    )
    assert set(measures("measure/*/cka-*")) == {n for n in names if "/cka-" in n}


def test_a_metric_of_the_registry_is_a_measure():
    assert measure("repsim_geo/stress")(X, Y) == pytest.approx(2.193490403639, abs=1e-11)
    full = measure("measure/repsim_geo/procrustes-distance=angular")
    assert full(X, Y) == measure("procrustes-distance=angular")(X, Y)


def test_a_registry_gets_them_all():
    seen = {}

    def add(identifier, function, **options):
        assert not options
        seen[identifier] = function

    assert register(add) == list(seen) == list(measures())
    assert seen["measure/repsim_geo/nbs-score"](X, Y) == pytest.approx(GOLDEN["nbs"], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "cka-kernel=linear-hsic=lange-score",
            r"called 'cka-ker.*Did you mean 'cka-kernel=linear-hsic=song-",
        ),
        ("shape_metric-alpha=half-distance=angular", "Did you mean 'shape_metric-alpha={alpha}-distance=ang"),
        ("???", r"no measure called '\?\?\?'. measures\(\) has all"),
    ],
)
def test_unknown_names(name, words):
    with pytest.raises(UnknownMetricError, match=words):
        measure(name)


def test_different_inputs_are_refused_by_name():
    with pytest.raises(rg.ShapeError, match="X and Y must describe the same inputs"):
        measure("nbs-score")(X, Y[:9])
