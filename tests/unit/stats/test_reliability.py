"""Halves of trials and stimuli against known noise; held-out distances against netrep's formulas."""

import math

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.stats.reliability import cross_validated_distance, split_half_reliability, trial_noise


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------- trials


@pytest.mark.parametrize("metric", [rg.SizeAndShape(), rg.AngularShape()], ids=["flat", "curved"])
@pytest.mark.parametrize("r", [6, 7])
def test_the_floor_is_the_distance_of_two_whole_measurements(metric, r):
    truth, sigma, studies = 3 * normal(30, 5), 0.3, 60
    stated, wrong, two, one = [], [], [], []
    for k in range(studies):
        trials = truth + sigma * normal(2, r, 30, 5, seed=10 + k)
        noise = trial_noise(trials[0], metric, n_splits=20)
        stated.append(noise.floor)
        wrong.append(noise.error)
        a, b = trials.mean(1)
        two.append(float(rg.compare(a, b, metric)))
        one.append(float(rg.compare(a, truth, metric)))
    assert sum(stated) == pytest.approx(sum(two), rel=0.03)
    assert sum(wrong) == pytest.approx(sum(one), rel=0.03)


def test_two_trials_have_one_split():
    x, y = normal(10, 3), normal(10, 3, seed=1)
    noise = trial_noise(torch.stack([x, y]), rg.AngularCKA(), n_splits=5)
    assert noise.halves == pytest.approx(float(rg.compare(x, y)))
    assert noise.standard_error < 1e-12
    assert noise.error == pytest.approx(noise.halves / 2)
    assert "noise floor" in str(noise)


def test_trials_without_noise_are_at_distance_zero():
    noise = trial_noise(normal(10, 3).expand(4, 10, 3).numpy(), rg.SizeAndShape(), n_splits=5)
    assert noise.floor < 1e-7


def test_trials_that_are_none_are_refused():
    broken = normal(3, 10, 2)
    broken[1, 4] = torch.nan
    for trials, message in (
        (normal(10, 3), "shape \\(r, m, d\\)"),
        (normal(1, 10, 3), "at least 2 repeated"),
        (broken, "trials must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            trial_noise(trials, rg.AngularCKA())
    with pytest.raises(ValueError, match="n_splits must be"):
        trial_noise(normal(3, 10, 2), rg.AngularCKA(), n_splits=0)


# ---------------------------------------------------------------------- stimuli


def family(m, n=6, seed=0):
    """Networks that weigh common features by different powers."""
    z = normal(m, 4, seed=seed)
    scales = torch.tensor([0.3, 0.6, 1.0, 1.5, 2.5, 4.0], dtype=torch.float64)[:n]
    return [torch.tanh(z * torch.stack([s, 1 / s, s.sqrt(), s**0])) for s in scales]


def test_correlations_are_those_of_a_plain_loop():
    reps = family(20)
    found = split_half_reliability(reps, rg.AngularShape(), n_splits=4, seed=5)
    keys = torch.rand(4, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    i, j = np.triu_indices(6, 1)
    for order, r in zip(keys.argsort(-1), found.replicates, strict=True):
        a, b = (
            rg.pairwise([x[half] for x in reps], "angular_shape").numpy()[i, j]
            for half in (order[:10], order[10:])
        )
        assert float(r) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-7)
    assert found.correlation == pytest.approx(float(found.replicates.mean()))
    assert found.reliability == pytest.approx(2 * found.correlation / (1 + found.correlation))


def test_reliability_foretells_the_agreement_of_new_stimuli():
    """Spearman and Brown's claim, checked on pairs of independent sets of stimuli."""
    i, j = np.triu_indices(6, 1)
    stated, true = [], []
    for k in range(20):
        a, b = (
            [
                x + 0.5 * normal(20, 4, seed=100 * k + 10 * s + n)
                for n, x in enumerate(family(20, seed=2 * k + s))
            ]
            for s in (0, 1)
        )
        stated.append(split_half_reliability(a, rg.AngularCKA(debiased=True), n_splits=20).reliability)
        d, e = (rg.pairwise(x, "angular_cka_debiased").numpy()[i, j] for x in (a, b))
        true.append(np.corrcoef(d, e)[0, 1])
    assert sum(stated) / 20 == pytest.approx(sum(true) / 20, abs=0.1)


def test_more_stimuli_are_more_reliable():
    few, many = (
        split_half_reliability(family(m), rg.AngularCKA(), n_splits=20).reliability for m in (10, 80)
    )
    assert few < many < 1


def test_the_same_seed_gives_the_same_splits():
    a, b = (split_half_reliability(family(12), rg.AngularCKA(), n_splits=5, seed=2) for _ in range(2))
    assert torch.equal(a.replicates, b.replicates)
    assert "halves of stimuli" in str(a)


def test_what_cannot_be_correlated_is_refused():
    broken = family(12)
    broken[3] = broken[3].clone()
    broken[3][0, 0] = torch.nan
    for reps, error, message in (
        (family(12, 2), ShapeError, "at least 3 networks, got 2"),
        ([normal(12, 3)] * 4, DegenerateRepresentationError, "Are they the same network"),
        (family(3), ShapeError, "3 stimuli are too few"),
        (broken, ValueError, r"reps\[3\] must be finite"),
    ):
        with pytest.raises(error, match=message):
            split_half_reliability(reps, rg.AngularCKA(), n_splits=5)


# ---------------------------------------------------------------------- unseen stimuli


def netrep_whitening(x, alpha):
    """Partial whitening by x'x that keeps the variance, as netrep defines it."""
    values, vectors = np.linalg.eigh(x.T @ x)
    z = vectors @ np.diag(alpha + (1 - alpha) / np.sqrt(values)) @ vectors.T
    return z * np.sqrt(values.sum() / np.trace(z @ x.T @ x @ z))


def netrep_score(x, y, train, test, alpha, angular):
    """Fit on some stimuli, score on others: the definitions of netrep's LinearMetric, written anew."""
    parts = []
    for w in (x, y):
        mean = w[train].mean(0)
        z = netrep_whitening(w[train] - mean, alpha)
        parts.append(((w[train] - mean) @ z, (w[test] - mean) @ z))
    (xa, xb), (ya, yb) = parts
    u, _, vt = np.linalg.svd(xa.T @ ya)
    a, b = xb @ u, yb @ vt.T
    if angular:
        return math.acos((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))
    return np.linalg.norm(a - b)


@pytest.mark.parametrize("whiten", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("angular", [False, True], ids=["euclidean", "angular"])
def test_folds_are_scored_as_netrep_does(whiten, angular):
    m, x = 43, normal(43, 5)
    y = x @ normal(5, 5, seed=1) + 0.5 * normal(43, 5, seed=2) + 3
    kind = rg.AngularShape if angular else rg.SizeAndShape
    metric = kind(whiten=whiten, cov="gram", preserve_variance=True)
    found = cross_validated_distance(x, y, metric, n_splits=4, seed=6)
    keys = torch.rand(1, m, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    for k, test in enumerate(np.array_split(keys.argsort(-1)[0].numpy(), 4)):
        train = np.setdiff1d(np.arange(m), test)
        expected = netrep_score(x.numpy(), y.numpy(), train, test, 1 - whiten, angular)
        grown = 1 if angular else math.sqrt(m / len(test))
        assert float(found.folds[k]) == pytest.approx(expected * grown, rel=1e-9)
    assert found.distance == pytest.approx(float(found.folds.mean()))
    assert found.standard_error == pytest.approx(float(found.folds.std()) / 2)


def test_units_are_matched_on_training_stimuli():
    """A permutation is found from some stimuli, and is right for the others."""
    x = normal(30, 6)
    y = x[:, [3, 0, 5, 1, 4, 2]]
    for metric in (rg.PermutationDistance(), rg.AngularPermutation(), rg.SoftMatching()):
        assert cross_validated_distance(x, y, metric).distance < 1e-12
    wider = torch.cat([y, y], 1)
    assert cross_validated_distance(x, wider, rg.SoftMatching()).distance < 1e-12


def test_a_rotation_fitted_to_noise_does_not_hold():
    x, y = normal(30, 20), normal(30, 20, seed=1)
    found = cross_validated_distance(x, y, rg.AngularShape())
    assert float(found.train.mean()) < 0.8
    assert abs(found.distance - math.pi / 2) < 0.2
    assert "where aligned" in str(found)


@pytest.mark.parametrize("whiten", [0.0, 0.5, 1.0])
def test_what_can_be_undone_is_zero_on_unseen_stimuli(whiten):
    x = normal(40, 4)
    y = x @ (normal(4, 4, seed=1) if whiten == 1 else torch.linalg.qr(normal(4, 4, seed=1)).Q) + 7
    for metric in (rg.SizeAndShape(whiten=whiten), rg.AngularShape(whiten=whiten)):
        assert cross_validated_distance(x, y, metric).distance < 1e-6


def test_widths_may_differ_and_exceed_the_stimuli():
    x, y = normal(12, 30), normal(12, 4, seed=1)
    found = cross_validated_distance(x, y, rg.SizeAndShape(), n_splits=3)
    centered = [w - w.mean(0) for w in (x, y)]
    assert found.distance > float(rg.compare(x, y, "size_and_shape"))
    assert found.distance < 2 * sum(float(w.norm()) for w in centered)
    # Principal axes are learned from the training stimuli, and the rest is left out there too.
    assert cross_validated_distance(x, y, rg.AngularShape(p=3), n_splits=3).distance < math.pi


def test_silent_units_are_no_unknown_direction():
    x = torch.nn.functional.pad(normal(30, 4), (0, 2))
    y = normal(30, 4, seed=1)
    padded, plain = (cross_validated_distance(w, y, rg.AngularShape(whiten=0.5)) for w in (x, x[:, :4]))
    assert padded.distance == pytest.approx(plain.distance, rel=1e-6)


def test_float32_and_arrays_are_taken():
    x, y = normal(30, 4), normal(30, 5, seed=1)
    double = cross_validated_distance(x, y, rg.AngularShape(), seed=3)
    single = cross_validated_distance(x.float().numpy(), y.float().numpy(), rg.AngularShape(), seed=3)
    assert single.distance == pytest.approx(double.distance, rel=1e-4)


def test_three_stimuli_leave_one_out():
    found = cross_validated_distance(normal(3, 2), normal(3, 2, seed=1), rg.SizeAndShape(), n_splits=3)
    assert found.folds.isfinite().all()
    with pytest.raises(ShapeError, match="leave too few to align by"):
        cross_validated_distance(normal(3, 2), normal(3, 2), rg.AngularShape(), n_splits=3)


def test_duplicated_stimuli_can_be_on_both_sides():
    x, y = normal(10, 3).repeat(2, 1), normal(10, 3, seed=1).repeat(2, 1)
    assert cross_validated_distance(x, y, rg.AngularShape()).folds.isfinite().all()


def test_what_does_not_align_is_refused():
    x, y = normal(20, 3), normal(20, 3, seed=1)
    broken = y.clone()
    broken[0] = torch.nan
    for metric in (rg.AngularCKA(), rg.compare, geoopt.Scaled(rg.SizeAndShape(), 2.0)):
        with pytest.raises(TypeError, match="metric must align one network to another"):
            cross_validated_distance(x, y, metric)
    with pytest.raises(ValueError, match="y must be finite"):
        cross_validated_distance(x, broken, rg.SizeAndShape())
    with pytest.raises(ValueError, match="n_splits must be"):
        cross_validated_distance(x, y, rg.SizeAndShape(), n_splits=1)
    with pytest.raises(ShapeError, match="do not say how to transform 40 units"):
        cross_validated_distance(normal(20, 40), y, rg.AngularShape(whiten=0.5))


def test_a_fold_at_the_mean_has_no_direction():
    x = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 0]], dtype=torch.float64)
    with pytest.raises(DegenerateRepresentationError, match="which has no direction"):
        cross_validated_distance(x, x, rg.AngularShape(), n_splits=5)
