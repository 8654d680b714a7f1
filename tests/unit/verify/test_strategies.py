"""Strategies draw what they say, and shrink to what can be read."""

import pytest
import torch
from hypothesis import find, given, settings

import repsim_geo as rg
from repsim_geo.verify import LAWS, NETWORK_SCENES, SCENES, SceneSpec, law, strategies
from repsim_geo.verify.networks import NetworkSpec


@given(strategies.spectra(5, ranks=(2, 4)))
def test_spectra_have_their_rank_and_start_at_one(s):
    assert 2 <= int((s > 0).sum()) <= 4
    assert float(s[0]) == 1
    assert bool((s.diff() <= 0).all())


@given(strategies.networks())
def test_networks_have_the_same_inputs(reps):
    assert len({len(x) for x in reps}) == 1
    assert all(bool(x.isfinite().all()) for x in reps)


@given(strategies.networks(same_width=True, dtype=torch.float32, m=(4, 6), d=(2, 3)))
def test_networks_have_the_sizes_asked_for(reps):
    assert len({x.shape for x in reps}) == 1
    m, d = reps[0].shape
    assert 4 <= m <= 6
    assert 2 <= d <= 3
    assert reps[0].dtype == torch.float32


@given(strategies.activations(m=(3, 5)))
def test_activations_are_matrices(x):
    assert 3 <= x.shape[0] <= 5


@given(strategies.points(rg.SizeAndShape(), (5, 2)))
def test_points_are_points(points):
    assert all(rg.SizeAndShape().check_point_on_manifold(p) for p in points)


@settings(max_examples=30)
@given(strategies.scenes(rg.UnitSphere(1), (4,)))
def test_laws_hold_on_drawn_scenes(scene):
    sphere = rg.UnitSphere(1)
    for name in ("triangle_inequality", "exp_inverts_log", "distance_is_symmetric"):
        assert float(law(name).residual(sphere, scene).amax()) < 1e-9


def test_full_rank_manifolds_get_no_singular_points():
    spd = rg.AffineInvariantSPD()
    specs = strategies.scene_specs(spd, (3, 3))
    with pytest.raises(Exception, match="No examples"):
        find(specs, lambda spec: spec.rank is not None)


def test_more_than_three_are_refused():
    with pytest.raises(ValueError, match="1, 2 or 3 networks"):
        strategies.networks(4)
    with pytest.raises(ValueError, match="1, 2 or 3 points"):
        strategies.points(rg.Flat(1), (3,), 4)


def test_a_failure_is_told_in_a_sentence():
    @settings(database=None)
    @given(strategies.networks(n=2))
    def refuses_five(reps):
        assert len(reps[0]) < 5

    with pytest.raises(AssertionError) as error:
        refuses_five()
    notes = "\n".join(getattr(error.value, "__notes__", ()))
    assert "networks: angle 0°, m = 5, d = 1, seed 0" in notes


@pytest.mark.parametrize("spec", NETWORK_SCENES, ids=lambda spec: spec.name)
def test_scenes_of_networks_are_what_they_say(spec):
    scene = spec.build(12, 4, torch.float64, seed=0)
    centered = [w - w.mean(-2, keepdim=True) for w in (scene.x, scene.y, scene.z)]
    if spec.rank is not None:
        assert int(torch.linalg.matrix_rank(centered[0]).max()) == spec.rank
    if spec.condition is not None:
        s = torch.linalg.svdvals(centered[0])
        torch.testing.assert_close(s[:, 0] / s[:, -1], torch.full((len(s),), spec.condition).double())
    if spec.silent:
        assert bool((scene.x[..., -1] == 0).all())
    if spec.duplicates:
        assert len(scene.x[0].unique(dim=0)) == 12 - spec.duplicates
    if spec.angle == 0:
        assert torch.equal(scene.x, scene.y)
        assert torch.equal(scene.x, scene.z)
    if spec.constant:
        assert bool((centered[0] == 0).all())
    assert bool(scene.ordinary[0].isfinite().all())


def test_half_way_is_half_way():
    scene = NetworkSpec("", "", angle=60.0, middle="arc").build(12, 4, torch.float64, seed=1)
    first, second = (w.flatten(1).norm(dim=1) for w in (scene.y - scene.x, scene.z - scene.y))
    turn = scene.z.flatten(1).norm(dim=1) / scene.x.flatten(1).norm(dim=1)
    assert float((first / second - 1).abs().max()) < 1
    assert bool((turn > 0).all())


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0])
def test_near_points_are_at_their_angle(angle):
    sphere = rg.UnitSphere(1)
    spec = SceneSpec("", "", "near", separation=1e-2, angle=angle)
    scene = spec.build(sphere, (5,), torch.float64, torch.Generator().manual_seed(0))
    found = sphere.angle(scene.y, scene.x, scene.z).rad2deg()
    torch.testing.assert_close(found, torch.full_like(found, angle), atol=1e-4, rtol=0)


def test_every_scene_and_law_has_words():
    for spec in (*SCENES, *NETWORK_SCENES):
        assert spec.description
        assert str(spec)
    for known in LAWS:
        assert known.statement.endswith(".")
