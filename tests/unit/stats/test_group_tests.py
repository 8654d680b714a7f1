"""Tests of groups: against itertools, scipy, classical analysis of variance, and simulated truth."""

import itertools
import math

import geoopt
import numpy as np
import pytest
import torch
from scipy import stats

import repsim_geo as rg
from repsim_geo.stats.arrangements import group_labelings
from repsim_geo.stats.group_tests import energy_test, frechet_anova, permanova


def normal(*size, seed=0):
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distances(x):
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


def on_sphere(n, seed, *, shift=0.0, spread=0.4):
    """Points around a pole of the 2-sphere, the second half moved along a geodesic."""
    sphere = rg.UnitSphere(1)
    pole = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    moved = torch.tensor([math.sin(shift), 0.0, math.cos(shift)], dtype=torch.float64)
    center = torch.where(torch.arange(n)[:, None] < n // 2, pole, moved)
    return sphere.expmap(center, sphere.proju(center, spread * normal(n, 3, seed=seed)))


def assert_uniform(pvalues, step):
    p = np.sort(pvalues)
    n = len(p)
    steps = np.arange(n + 1) / n
    # 1 % point of Kolmogorov and Smirnov, and the step between p-values.
    assert max(np.max(steps[1:] - p), np.max(p - steps[:-1])) < 1.63 / math.sqrt(n) + step


def energy_by_hand(d, labels):
    d, labels = np.asarray(d), np.asarray(labels)
    members = [np.flatnonzero(labels == g) for g in np.unique(labels)]
    total = 0.0
    for i, j in itertools.combinations(members, 2):
        g = 2 * d[np.ix_(i, j)].mean() - d[np.ix_(i, i)].mean() - d[np.ix_(j, j)].mean()
        total += len(i) * len(j) / len(labels) * g
    return total


# ------------------------------------------------------------------------------------------- labelings


def test_all_labelings_are_those_of_itertools():
    codes = torch.tensor([0, 1, 1, 2, 0])
    labelings, exact = group_labelings(codes, 30)
    assert exact
    rows = labelings[1:].tolist()
    assert len(rows) == 30
    assert {tuple(r) for r in rows} == set(itertools.permutations(codes.tolist()))
    assert labelings[0].tolist() == codes.tolist()


def test_one_labeling_too_many_is_sampled():
    codes = torch.tensor([0, 1, 1, 2, 0])
    labelings, exact = group_labelings(codes, 29)
    assert not exact
    assert labelings.shape == (30, 5)
    assert (labelings.sort(-1).values == codes.sort().values).all()


# ---------------------------------------------------------------------------------------------- energy


@pytest.mark.parametrize("sizes", [(4, 7), (5, 1)])
def test_energy_of_two_groups_on_a_line_is_scipys(sizes):
    x = normal(sum(sizes), 1)
    labels = ["a"] * sizes[0] + ["b"] * sizes[1]
    scipys = stats.energy_distance(x[: sizes[0], 0], x[sizes[0] :, 0]) ** 2
    result = energy_test(distances(x), labels, n_permutations=9)
    assert result.statistic == pytest.approx(sizes[0] * sizes[1] / sum(sizes) * scipys, rel=1e-10)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7])
def test_energy_of_more_groups_is_the_sum_over_pairs(exponent):
    d = distances(normal(12, 3))
    labels = [0] * 3 + [1] * 4 + [2] * 5
    result = energy_test(d, labels, exponent=exponent, n_permutations=9)
    assert result.statistic == pytest.approx(energy_by_hand(d**exponent, labels), rel=1e-12)


def test_exact_pvalue_is_that_of_brute_force():
    d = distances(normal(7, 2))
    labels = [0, 1, 0, 1, 2, 2, 2]
    values = [energy_by_hand(d, p) for p in sorted(set(itertools.permutations(labels)))]
    given = energy_by_hand(d, labels)
    result = energy_test(d, labels)
    assert result.null.shape == (210,)
    assert result.standard_error == 0
    assert result.pvalue == pytest.approx(np.mean(np.array(values) >= given - 1e-9))
    np.testing.assert_allclose(np.sort(result.null), np.sort(values), rtol=1e-10)


def test_energy_sees_spread_and_permanova_hardly():
    x = normal(40, 5)
    x[20:] *= 3
    labels = [0] * 20 + [1] * 20
    assert energy_test(distances(x), labels).pvalue < 0.01
    assert permanova(distances(x), labels).pvalue > 0.05


# ------------------------------------------------------------------------------------------- permanova


def test_pseudo_f_on_a_line_is_classical():
    x = normal(15)
    groups = x[:4], x[4:9], x[9:]
    labels = ["a"] * 4 + ["b"] * 5 + ["c"] * 6
    result = permanova(distances(x[:, None]), labels, n_permutations=49)
    assert result.statistic == pytest.approx(stats.f_oneway(*groups).statistic, rel=1e-10)
    x2 = x[torch.randperm(15, generator=torch.Generator().manual_seed(1))]
    assert permanova(distances(x2[:, None]), labels, n_permutations=49).statistic == pytest.approx(
        stats.f_oneway(x2[:4], x2[4:9], x2[9:]).statistic, rel=1e-10
    )


def test_permanova_and_energy_with_exponent_2_decide_alike():
    d = distances(normal(9, 3))
    labels = [0] * 4 + [1] * 5
    assert permanova(d, labels).pvalue == energy_test(d, labels, exponent=2).pvalue


def test_coinciding_networks():
    labels = ["a", "a", "b", "b", "b"]
    nothing = torch.zeros(5, 5)
    for test in (energy_test, permanova):
        for n_permutations in (999, 5):
            result = test(nothing, labels, n_permutations=n_permutations)
            assert result.pvalue == 1
            assert result.statistic == 0
            assert not result.null.isnan().any()
    apart = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0])
    result = permanova((apart[:, None] - apart).abs(), labels)
    assert result.statistic == math.inf
    assert result.pvalue == pytest.approx(1 / 10)
    assert not result.null.isnan().any()


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_do_not_matter(scale):
    d, labels = distances(normal(12, 2)), [0] * 5 + [1] * 7
    for test in (energy_test, permanova):
        assert test(scale * d, labels, n_permutations=99).pvalue == test(d, labels, n_permutations=99).pvalue


# ----------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("test", [energy_test, permanova])
@pytest.mark.parametrize("space", ["flat", "sphere"])
def test_pvalues_without_a_difference_are_uniform(test, space):
    labels = [0] * 6 + [1] * 6 + [2] * 4
    p = []
    for i in range(400):
        x = normal(16, 3, seed=i) if space == "flat" else on_sphere(16, i)
        d = distances(x) if space == "flat" else rg.UnitSphere(1).cdist(x, x)
        p.append(test(d, labels, n_permutations=199, seed=i).pvalue)
    assert_uniform(p, 1 / 200)


@pytest.mark.parametrize("test", [energy_test, permanova])
def test_power_rises_with_the_effect(test):
    def power(shift):
        p = []
        for i in range(60):
            x = on_sphere(16, i, shift=shift)
            p.append(test(rg.UnitSphere(1).cdist(x, x), [0] * 8 + [1] * 8, n_permutations=99, seed=i).pvalue)
        return np.mean(np.array(p) <= 0.05)

    none, some, much = power(0), power(0.4), power(1)
    assert none < 0.15
    assert none < some < much
    assert much > 0.95


# --------------------------------------------------------------------------------------- Fréchet means


def dubey_mueller_by_hand(x, labels):
    """Sums over pairs as printed in the paper, for points of Euclidean space."""
    x, labels = np.asarray(x), np.asarray(labels)
    n = len(x)
    d2 = [((x[labels == g] - x[labels == g].mean(0)) ** 2).sum(-1) for g in np.unique(labels)]
    share = np.array([len(d) / n for d in d2])
    v = np.array([d.mean() for d in d2])
    s2 = np.array([(d**2).mean() - d.mean() ** 2 for d in d2])
    f = ((x - x.mean(0)) ** 2).sum(-1).mean() - (share * v).sum()
    u = sum(
        share[i] * share[j] / (s2[i] * s2[j]) * (v[i] - v[j]) ** 2
        for i, j in itertools.combinations(range(len(v)), 2)
    )
    return n * u / (share / s2).sum() + n * f**2 / (share**2 * s2).sum()


def test_statistic_is_that_of_the_paper():
    x, labels = normal(14, 3), [0] * 4 + [1] * 5 + [2] * 5
    result = frechet_anova(rg.Flat(1), x, labels, n_permutations=9)
    assert result.statistic == pytest.approx(dubey_mueller_by_hand(x, labels), rel=1e-9)
    assert result.asymptotic_pvalue == pytest.approx(stats.chi2.sf(result.statistic, 2), rel=1e-10)
    assert result.groups == (0, 1, 2)
    assert result.pooled_variance == pytest.approx(float(x.var(0, correction=0).sum()))


def test_exact_pvalue_of_variances_is_that_of_brute_force():
    x, labels = normal(7, 2), [0] * 3 + [1] * 4
    values = [dubey_mueller_by_hand(x, p) for p in sorted(set(itertools.permutations(labels)))]
    result = frechet_anova(rg.Flat(1), x, labels)
    np.testing.assert_allclose(np.sort(result.null), np.sort(values), rtol=1e-8)
    assert result.pvalue == pytest.approx(np.mean(np.array(values) >= values[0] * (1 - 1e-9)))


def test_closed_form_and_means_agree():
    """Flat space by distances, and the same points where the manifold does not say that it is flat."""
    x, labels = normal(11, 3), ["a"] * 5 + ["b"] * 6
    one = frechet_anova(rg.Flat(1), x, labels, n_permutations=20)
    other = frechet_anova(geoopt.Euclidean(ndim=1), x, labels, n_permutations=20)
    np.testing.assert_allclose(one.null, other.null, rtol=1e-9)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-9)
    np.testing.assert_allclose(one.variances, other.variances, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_of_points_do_not_matter(scale):
    x, labels = normal(10, 3), [0] * 5 + [1] * 5
    one, other = (frechet_anova(rg.Flat(1), s * x, labels, n_permutations=50) for s in (1.0, scale))
    assert other.statistic == pytest.approx(one.statistic, rel=1e-9)
    assert other.pvalue == one.pvalue


def test_span_of_a_sphere_is_enough():
    """Coordinates in the span, and distances of a scaled sphere, which takes the long way."""
    metric = rg.AngularCKA()
    points = metric.embed(normal(10, 8, 3) + normal(8, 3, seed=1))
    labels = [0] * 5 + [1] * 5
    short = frechet_anova(metric, points, labels, n_permutations=10)
    long = frechet_anova(geoopt.Scaled(metric, 2.0), points, labels, n_permutations=10)
    np.testing.assert_allclose(short.null, long.null, rtol=1e-8)
    np.testing.assert_allclose(4 * short.variances, long.variances, rtol=1e-9)
    for group, variance in zip((points[:5], points[5:]), short.variances, strict=True):
        assert float(rg.FrechetMean(metric).fit(group).variance_) == pytest.approx(float(variance), rel=1e-9)


@pytest.mark.parametrize("test", ["permutation", "asymptotic"])
def test_flat_pvalues_are_uniform(test):
    # The limit is reached slowly, since variances of variances need many points. It needs no permutations.
    n, permutations = (8, 199) if test == "permutation" else (100, 1)
    p = []
    for i in range(400):
        x = normal(2 * n, 2, seed=i)
        result = frechet_anova(rg.Flat(1), x, [0] * n + [1] * n, n_permutations=permutations, seed=i)
        p.append(result.pvalue if test == "permutation" else result.asymptotic_pvalue)
    assert_uniform(p, 1 / 200 if test == "permutation" else 0.03)


def test_sphere_pvalues_are_uniform():
    p = [
        frechet_anova(rg.UnitSphere(1), on_sphere(10, i), [0] * 5 + [1] * 5, n_permutations=39, seed=i).pvalue
        for i in range(100)
    ]
    assert_uniform(p, 1 / 40)


def test_power_of_means_and_of_variances():
    labels = [0] * 8 + [1] * 8

    def power(change):
        p = [
            frechet_anova(rg.Flat(1), change(normal(16, 3, seed=i)), labels, n_permutations=99).pvalue
            for i in range(60)
        ]
        return np.mean(np.array(p) <= 0.05)

    second = (torch.arange(16) >= 8).double()[:, None]
    none = power(lambda x: x)
    assert none < 0.15
    assert none < power(lambda x: x + second) < power(lambda x: x + 3 * second)
    assert none + 0.3 < power(lambda x: x * (1 + 4 * second))


@pytest.mark.parametrize("manifold", [rg.Flat(1), rg.UnitSphere(1)], ids=["flat", "sphere"])
def test_identical_networks_do_not_differ(manifold):
    x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64).expand(8, 3)
    result = frechet_anova(manifold, x, ["a"] * 4 + ["b"] * 4)
    assert result.pvalue == 1
    assert result.asymptotic_pvalue > 0.5
    assert not result.null.isnan().any()


def test_groups_without_any_spread_of_distances():
    """Corners of two equilateral triangles: s_j is zero, and all is finite."""
    angle = torch.arange(3) * (2 * math.pi / 3)
    triangle = torch.stack([angle.cos(), angle.sin()], -1).double()
    x = torch.cat([triangle, 3 * triangle])
    result = frechet_anova(rg.Flat(1), x, [0] * 3 + [1] * 3)
    assert math.isfinite(result.statistic)
    assert result.null.isfinite().all()
    assert result.pvalue == pytest.approx(2 / 20)


def test_shapes_of_networks():
    metric = rg.SizeAndShape(p=3)
    points = metric.embed(normal(6, 3, seed=1) + 0.3 * normal(9, 6, 3))
    result = frechet_anova(metric, points, [0] * 4 + [1] * 5, n_permutations=19)
    assert 0.05 <= result.pvalue <= 1
    assert (result.variances > 0).all()


# ---------------------------------------------------------------------------------------------- errors


def test_what_cannot_be_tested_says_why():
    d, labels = distances(normal(5, 2)), [0, 0, 0, 1, 1]
    for test in (energy_test, permanova):
        with pytest.raises(ValueError, match="at least two groups, got 'a' only"):
            test(d, ["a"] * 5)
        with pytest.raises(ValueError, match="at least two networks, got one network in each"):
            test(d, range(5))
        with pytest.raises(ValueError, match="5 labels, got 4 entries"):
            test(d, [0, 0, 1, 1])
        with pytest.raises(ValueError, match="finite, got nan or infinity in row 0, 1"):
            test(torch.where(d == d[0, 1], math.nan, d), labels)
        with pytest.raises(ValueError, match="zero on the diagonal"):
            test(torch.ones(5, 5), labels)
        with pytest.raises(ValueError, match="must not be negative"):
            test(-d, labels)
        with pytest.raises(ValueError, match="symmetric"):
            test(d.triu(), labels)
        assert 0 < test(d, [0, 0, 0, 0, 1]).pvalue <= 1  # one network in a group is defined
    with pytest.raises(ValueError, match="exponent must be"):
        energy_test(d, labels, exponent=2.5)
    with pytest.raises(ValueError, match="three networks, got 2 in 1"):
        frechet_anova(rg.Flat(1), normal(5, 2), labels)
    with pytest.raises(ValueError, match="at least two groups"):
        frechet_anova(rg.Flat(1), normal(5, 2), [0] * 5)
    with pytest.raises(ValueError, match="finite"):
        frechet_anova(rg.Flat(1), normal(5, 2) / 0, labels)


@pytest.mark.parametrize("metric", [rg.AngularCKA(), rg.SizeAndShape(), rg.Stress()], ids=repr)
def test_copies_of_one_network_do_not_differ(metric):
    """Their Fréchet variance is rounding, which used to be divided by rounding."""
    reps = [normal(8, 3)] * 6
    metric = metric.resolve(reps)
    points = torch.stack([metric.embed(x) for x in reps])
    result = rg.frechet_anova(metric, points, [0, 0, 0, 1, 1, 1])
    assert (result.statistic, result.pvalue, result.asymptotic_pvalue) == (0, 1, 1)


def test_restricted_labelings_are_those_of_each_block():
    codes = torch.tensor([0, 0, 1, 1, 0, 1, 1])
    family = list("aaaabbb")
    labelings, exact = group_labelings(codes, 999, restrict=family)
    assert exact
    inside = [set(itertools.permutations([0, 0, 1, 1])), set(itertools.permutations([0, 1, 1]))]
    expected = {a + b for a in inside[0] for b in inside[1]}
    assert {tuple(row) for row in labelings[1:].tolist()} == expected
    assert len(labelings) == 1 + len(expected)
    sampled, exact = group_labelings(codes, 17, restrict=family)
    assert not exact
    assert {tuple(row) for row in sampled.tolist()} <= expected
    with pytest.raises(ValueError, match="coarser"):
        group_labelings(codes, 99, restrict=codes.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_restricted_tests_see_groups_within_families_only(seed):
    """Families that differ a lot: unrestricted, their difference drowns that of the groups."""
    generator = torch.Generator().manual_seed(seed)
    family, group = torch.arange(24) // 12, torch.arange(24) % 2
    points = torch.randn(24, 3, dtype=torch.float64, generator=generator) + 1.2 * group[:, None]
    points[:, 0] += 30 * family
    distances = torch.cdist(points, points)
    within = rg.permanova(distances, group, restrict=family)
    assert within.pvalue < 0.05
    assert rg.permanova(distances, group).pvalue > 0.5
    # A difference of the families alone is none of the groups.
    assert rg.energy_test(distances, family, restrict=group, n_permutations=99).pvalue == pytest.approx(0.01)
    regression = rg.GeodesicRegression(rg.Flat(1))
    alone = regression.permutation_test(group.double(), points, restrict=family)
    assert alone.pvalue < 0.05
