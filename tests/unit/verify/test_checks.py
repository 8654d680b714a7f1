"""Checks as people call them: what they accept, refuse, skip and say."""

import geoopt
import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo import verify
from repsim_geo.verify import DistanceCase, LawViolationError, ManifoldCase, MetricCase, check, check_distance


def cosine(x, y):
    """One minus the cosine of two matrices of one shape: not a metric."""
    return 1 - np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y)


def procrustes(x, y):
    """Procrustes distance of centered activations: a metric."""
    x, y = x - x.mean(0), y - y.mean(0)
    square = np.sum(x**2) + np.sum(y**2) - 2 * np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return np.sqrt(max(square, 0.0))


def lines_of_code(report):
    return [r["code"] for r in report.records() if r["code"]]


def test_a_metric_written_in_numpy_keeps_the_axioms():
    claims = ["translation", "rotation and reflection"]
    report = check_distance(procrustes, invariances=claims, on_fail="report")
    # The root of a difference loses half of the digits, which is no fault of the axioms.
    assert report.broken == [
        "no_digits_are_lost_at_distance_zero",
        "near_networks_are_resolved",
    ]


def test_too_many_and_too_few_claims_are_found():
    def broken(claims):
        return check_distance(procrustes, invariances=claims, on_fail="report", examples=0).broken

    assert "isotropic_scaling_changes_nothing" in broken(["translation", "orthogonal", "isotropic scaling"])
    assert "translation_is_noticed" in broken(["rotation and reflection"])
    assert not any("changes_nothing" in law or "noticed" in law for law in broken(None))


def test_the_counterexample_is_small_and_its_code_shows_it(capsys):
    report = check_distance(cosine, same_width=True, on_fail="report")
    worst = next(r for r in report.records() if r["code"])
    assert worst["law"] == "networks_keep_the_triangle_inequality"
    assert "m = 3, d = 1" in worst["counterexample"]
    exec(worst["code"].replace("d = ...", "").replace(worst["code"].splitlines()[3], ""), {"d": cosine})
    shown = capsys.readouterr().out.splitlines()
    distances = [float(w) for w in shown[-2].strip("[]").split(",")]
    assert distances[4] > distances[1] + distances[3] + 1e-3 or distances[1] > distances[3] + distances[4]
    assert float(shown[-1].split("[")[1].split("]")[0]) > 1e-3


@pytest.mark.parametrize(
    ("subject", "name", "given"),
    [
        ((geoopt.Sphere(), (4,)), "manifold", geoopt.Sphere()),
        (
            (rg.AngularCKA().embedding, geoopt.Sphere()),
            "metric",
            (rg.AngularCKA().embedding, geoopt.Sphere()),
        ),
    ],
)
def test_code_of_counterexamples_runs(subject, name, given, capsys):
    report = check(subject, laws=["near_points_are_apart", "near_networks_are_resolved"], on_fail="report")
    codes = lines_of_code(report)
    assert codes
    for code in codes:
        kind = "metric" if "metric = ..." in code else "manifold"
        subject = given if kind == name else given[1]
        exec("\n".join(w for w in code.splitlines() if "= ..." not in w), {kind: subject})
        assert "tensor" in capsys.readouterr().out


def test_code_of_an_isometry_runs(capsys):
    args = lambda x: 2 * x, rg.Flat(1), rg.Flat(1)
    report = verify.check_isometry(*args, (3,), on_fail="report")
    assert report.broken[0] == "distances_agree"
    code = lines_of_code(report)[0].replace("f, source, target = ...", "")
    exec(code, dict(zip(("f", "source", "target"), args, strict=True)))
    assert "tensor" in capsys.readouterr().out


def test_expected_failures_are_strict_and_reasoned():
    law = "networks_keep_the_triangle_inequality"
    report = check_distance(cosine, same_width=True, laws=[law], expected_failures={law: "it is squared"})
    assert report.ok
    assert report.counts()["xfailed"] > 0
    assert "it is squared" in report.to_markdown()
    with pytest.raises(LawViolationError, match="remove the expectation"):
        check_distance(procrustes, laws=[law], expected_failures={law: "it is squared"})


def test_refusals_are_told_and_no_failures():
    def refusing(x, y):
        if x.shape[1] != y.shape[1]:
            raise ValueError("needs equal widths")
        return np.linalg.norm(x - y)

    report = check_distance(refusing, on_fail="report", examples=0)
    # Ordinary networks have different widths: refusing them is a failure, unless it is said.
    assert report.broken == ["ordinary_networks_have_a_distance"]
    assert "needs equal widths" in str(report)
    assert check_distance(refusing, same_width=True, examples=0).ok


def test_a_crash_of_linear_algebra_is_no_refusal():
    def crashing(x, y):
        return np.linalg.inv(np.zeros((2, 2))).sum()

    assert "distances_of_networks_are_finite" in check_distance(crashing, on_fail="report", examples=0).broken


def test_networks_of_other_widths_are_left_out_where_a_metric_refuses_them():
    report = check(MetricCase(rg.LinearSubspace(), 12, 3), laws=verify.METRIC_LAWS, examples=0)
    assert any(r["scene"] == "union" and "no sense" in r["note"] for r in report.records())


def test_pairs_of_embedding_and_manifold():
    angular = rg.AngularCKA()
    assert check((angular.embedding, rg.UnitSphere(2, rg.DoubleCentered())), examples=5).ok
    report = check((angular.embedding, geoopt.Sphere()), on_fail="report", examples=0)
    assert "no_digits_are_lost_at_distance_zero" in report.broken


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (geoopt.Sphere(), "needs the shape of a point"),
        ("angular_cka", "give the metric itself"),
        (3, "must be a metric"),
        (rg.AngularCKA, "must be a metric"),
    ],
)
def test_what_cannot_be_verified_is_refused(subject, message):
    with pytest.raises(TypeError, match=message):
        check(subject)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'triangle_inequality'"):
        check(ManifoldCase(rg.Flat(1), (3,)), laws=["triangle_inequalities"])
    with pytest.raises(ValueError, match="no scene called 'far'"):
        check(ManifoldCase(rg.Flat(1), (3,)), scenes=["far"])
    with pytest.raises(ValueError, match="'raise' or 'report'"):
        check(ManifoldCase(rg.Flat(1), (3,)), on_fail="print")
    with pytest.raises(ValueError, match="nothing to check"):
        check(ManifoldCase(rg.Flat(1), (3,)), laws=["distances_agree"])
    with pytest.raises(ValueError, match="no invariance called 'colour'"):
        check_distance(cosine, invariances=["colour"])
    with pytest.raises(ValueError, match="backend must be"):
        check_distance(cosine, backend="jax")
    with pytest.raises(ValueError, match="must embed 12 inputs by 40 units"):
        check(MetricCase(rg.LinearSubspace(), 12, 40))


def test_what_functions_return_is_checked():
    for wrong, message in ((lambda x, y: "far", "got str"), (lambda x, y: np.ones(3), r"shape \(3,\)")):
        report = check_distance(wrong, backend="numpy", on_fail="report", examples=0)
        assert "ordinary_networks_have_a_distance" in report.broken
        with pytest.raises(LawViolationError, match=message):
            check_distance(wrong, backend="numpy", examples=0)


def test_a_seed_gives_the_same_report_every_time():
    def run(seed):
        return check_distance(cosine, same_width=True, on_fail="report", seed=seed).to_json()

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_torch_functions_are_asked_for_gradients():
    def torch_cosine(x, y):
        return 1 - (x * y).sum() / x.norm() / y.norm()

    (part,) = DistanceCase(torch_cosine).parts()
    assert part.measure.backend == "torch"
    (part,) = DistanceCase(cosine).parts()
    assert part.measure.backend == "numpy"
    report = check_distance(torch_cosine, same_width=True, on_fail="report", examples=0)
    asked = {r["law"] for r in report.records() if r["status"] == "passed"}
    assert "gradients_of_networks_agree_with_differences" in asked


def test_batched_functions_are_asked_for_their_entries():
    def mixing(x, y):
        return (x - y).flatten(-2).norm(dim=-1) / x.norm()

    report = check_distance(mixing, same_width=True, batched=True, on_fail="report", examples=0)
    assert "networks_of_a_batch_do_not_mix" in report.broken


def test_dtype_is_asked_for():
    report = check(ManifoldCase(rg.Flat(1), (3,)), dtypes=[torch.float32])
    assert {r["dtype"] for r in report.records()} == {"float32"}


def test_manifolds_without_logarithm_have_the_scenes_that_need_none():
    report = check((geoopt.EuclideanStiefel(), (4, 2)))
    skipped = {r["scene"] for r in report.records() if "no sense" in r["note"]}
    assert "on_geodesic" in skipped
    assert "coincident" not in skipped


def test_without_hypothesis_failures_are_reported_as_they_are(monkeypatch):
    monkeypatch.setattr("repsim_geo.verify.runner.find_spec", lambda name: None)
    report = check_distance(cosine, same_width=True, on_fail="report")
    assert report.broken[0] == "networks_keep_the_triangle_inequality"
    assert not lines_of_code(report)
