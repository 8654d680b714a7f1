"""RDMs of rsatoolbox, against stored values of the real thing and a stand-in for its one class."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import oracles
import pytest
import torch

import repsim_geo as rg
from repsim_geo.compat.rsatoolbox import calc_rdm, from_rsatoolbox, labels, to_rsatoolbox
from repsim_geo.errors import ShapeError

PEERS = json.loads((Path(__file__).parents[2] / "reference" / "peer_values.json").read_text("utf-8"))[
    "values"
]
X, Y = (w[:12] for w in oracles.golden_pair())
PAIRS = np.triu_indices(12, 1)


class RDMs(SimpleNamespace):
    """What rsatoolbox 0.3.2 keeps of what its RDMs are made of."""

    def __init__(self, dissimilarities, dissimilarity_measure=None, **labels):
        n, pairs = dissimilarities.shape
        m = round((1 + np.sqrt(1 + 8 * pairs)) / 2)
        given = {
            name: labels.pop(name, None) or {}
            for name in ("descriptors", "rdm_descriptors", "pattern_descriptors")
        }
        assert not labels
        given["rdm_descriptors"].setdefault("index", list(range(n)))
        given["pattern_descriptors"].setdefault("index", list(range(m)))
        super().__init__(
            dissimilarities=dissimilarities,
            dissimilarity_measure=dissimilarity_measure,
            n_rdm=n,
            n_cond=m,
            **given,
        )


@pytest.fixture(autouse=True)
def rsatoolbox(monkeypatch):
    """Something in the place of rsatoolbox; the real one need not be installed."""
    package, module = ModuleType("rsatoolbox"), ModuleType("rsatoolbox.rdm")
    module.RDMs = RDMs
    package.rdm = module
    monkeypatch.setitem(sys.modules, "rsatoolbox", package)
    monkeypatch.setitem(sys.modules, "rsatoolbox.rdm", module)


def stored(method):
    return np.array(PEERS[f"rsatoolbox.rdm_{method}.golden12"]["value"])


def theirs(method, measure):
    """RDMs of both networks as rsatoolbox makes them; the second, which is not stored, from the formula."""
    if method == "euclidean":
        second = (((Y[:, None] - Y[None]) ** 2).mean(-1))[PAIRS]
    else:
        second = (1 - np.corrcoef(Y))[PAIRS]
    return RDMs(np.stack([stored(method), second]), measure)


# ---------------------------------------------------------------------------------------------------------
# Against rsatoolbox
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "method", "measure"),
    [("sqeuclidean", "euclidean", "squared euclidean"), ("correlation", "correlation", "correlation")],
)
def test_rdms_of_activations_are_rsatoolboxs(ours, method, measure):
    rdms = calc_rdm([X, torch.tensor(Y)], ours)
    np.testing.assert_allclose(rdms.dissimilarities[0], stored(method), atol=1e-13)
    np.testing.assert_allclose(rdms.dissimilarities[1], theirs(method, "").dissimilarities[1], atol=1e-13)
    assert rdms.dissimilarity_measure == measure


@pytest.mark.parametrize(
    ("comparison", "options"),
    [
        ("cosine", {}),
        ("corr", {"centered": True}),
        ("cosine_cov", {"whitened": True}),
        ("corr_cov", {"centered": True, "whitened": True}),
    ],
)
@pytest.mark.parametrize(
    ("ours", "method", "measure"),
    [("sqeuclidean", "euclidean", "squared euclidean"), ("correlation", "correlation", "correlation")],
)
def test_angles_of_points_are_rsatoolboxs_comparisons(comparison, options, ours, method, measure):
    metric = rg.AngularRDM(ours, **options)
    x, y = from_rsatoolbox(theirs(method, measure), metric)
    peer = PEERS[f"rsatoolbox.{comparison}_{method}.golden12"]
    assert float(metric.dist(x, y).cos()) == pytest.approx(peer["value"], abs=1e-10)
    assert float(metric.dist(x, y)) == pytest.approx(float(rg.compare(X, Y, metric)), abs=1e-10)


# ---------------------------------------------------------------------------------------------------------
# There and back
# ---------------------------------------------------------------------------------------------------------


def test_without_a_metric_matrices_are_as_they_are():
    rdms = theirs("euclidean", "squared euclidean")
    d = from_rsatoolbox(rdms)
    assert d.shape == (2, 12, 12)
    assert bool((d == d.mT).all())
    assert not bool(d.diagonal(dim1=-2, dim2=-1).any())
    np.testing.assert_array_equal(d.numpy()[:, PAIRS[0], PAIRS[1]], rdms.dissimilarities)
    np.testing.assert_array_equal(to_rsatoolbox(d).dissimilarities, rdms.dissimilarities)
    np.testing.assert_array_equal(to_rsatoolbox(d[0].numpy()).dissimilarities, rdms.dissimilarities[:1])


def test_labels_go_there_and_back():
    rdms = theirs("euclidean", "squared euclidean")
    rdms.rdm_descriptors["name"] = ["wide", "deep"]
    rdms.pattern_descriptors["stimulus"] = [f"s{i}" for i in range(12)]
    rdms.descriptors["session"] = 3
    again = to_rsatoolbox(from_rsatoolbox(rdms), measure=rdms.dissimilarity_measure, **labels(rdms))
    assert labels(again) == labels(rdms)
    assert again.dissimilarity_measure == rdms.dissimilarity_measure
    mine = {"name": ["wide", "deep"]}
    to_rsatoolbox(from_rsatoolbox(rdms), rdm_descriptors=mine)
    assert mine == {"name": ["wide", "deep"]}  # RDMs add an index to what they are given


def test_stress_takes_roots_and_gives_squares_back():
    wider = np.hstack([Y, X[:, :3]])
    rdms = calc_rdm([X, wider])
    metric = rg.Stress()
    points = from_rsatoolbox(rdms, metric, units=[10, 13])
    assert float(metric.dist(*points)) == pytest.approx(float(rg.compare(X, wider, "stress")), abs=1e-12)
    again = to_rsatoolbox(points, metric, units=[10, 13])
    np.testing.assert_allclose(again.dissimilarities, rdms.dissimilarities, atol=1e-13)
    assert again.dissimilarity_measure == "squared euclidean"
    per_unit = from_rsatoolbox(rdms, metric)
    torch.testing.assert_close(per_unit[0] * 10**0.5, points[0])


def test_euclidean_angles_take_roots_of_squared_distances_only():
    metric = rg.AngularRDM("euclidean")
    rdms = calc_rdm([X, Y])
    x, y = from_rsatoolbox(rdms, metric)
    assert float(metric.dist(x, y)) == pytest.approx(float(rg.compare(X, Y, metric)), abs=1e-12)
    plain = RDMs(np.sqrt(rdms.dissimilarities), "euclidean")
    torch.testing.assert_close(from_rsatoolbox(plain, metric), torch.stack([x, y]))


def test_points_of_angles_keep_the_direction():
    metric = rg.AngularRDM("correlation")
    points = torch.stack([metric.embed(w) for w in (X, Y)])
    rdms = to_rsatoolbox(points, metric, rdm_descriptors={"name": ["x", "y"]}, descriptors=None)
    assert rdms.dissimilarity_measure == "correlation"
    assert rdms.rdm_descriptors["name"] == ["x", "y"]
    assert to_rsatoolbox(points, metric, measure="mine").dissimilarity_measure == "mine"
    back = from_rsatoolbox(rdms, metric)
    torch.testing.assert_close(back, points, atol=1e-14, rtol=0)


def test_crossvalidated_rdms_may_be_negative_for_angles():
    rdms = calc_rdm([X, Y])
    rdms.dissimilarities[0, 3] = -0.1
    metric = rg.AngularRDM()
    d, e = rdms.dissimilarities
    expected = d @ e / np.linalg.norm(d) / np.linalg.norm(e)
    assert float(metric.dist(*from_rsatoolbox(rdms, metric)).cos()) == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------------------------------------------------
# What is refused, and with which words
# ---------------------------------------------------------------------------------------------------------

PLAIN = RDMs(np.ones((2, 66)), "squared euclidean")
HOLE = RDMs(np.where(np.arange(66) == 5, np.nan, np.ones((2, 66))), "squared euclidean")
BELOW = RDMs(-np.ones((1, 66)), "squared euclidean")
ODD = SimpleNamespace(dissimilarities=np.ones((2, 65)), n_cond=12)


@pytest.mark.parametrize(
    ("error", "call", "words"),
    [
        (ValueError, lambda: calc_rdm([X], "cosine"), "must be 'sqeuclidean' or 'correlation', got 'cosine'"),
        (ShapeError, lambda: calc_rdm([X, Y[:5]]), r"same inputs, got \[12, 5\] rows. Select"),
        (ShapeError, lambda: to_rsatoolbox(X), r"square matrices .*got \(1, 12, 10\). calc_rdm"),
        (TypeError, lambda: to_rsatoolbox(X, names=3), "RDMs have no 'names'. Labels are descriptors"),
        (ShapeError, lambda: from_rsatoolbox(ODD), r"12 patterns must have 66 dissimilarities.*\(2, 65\)"),
        (ValueError, lambda: from_rsatoolbox(HOLE), "complete, and 2 of 2 have pairs that are nan. Keep"),
        (ValueError, lambda: from_rsatoolbox(BELOW, rg.Stress()), "negative to have roots, got -1"),
        (
            ValueError,
            lambda: from_rsatoolbox(theirs("correlation", "correlation"), rg.Stress()),
            "Euclidean distances, got RDMs of 'correlation'. Use AngularRDM",
        ),
        (
            ValueError,
            lambda: from_rsatoolbox(PLAIN, rg.Stress(), units=[1, 2, 3]),
            r"one for each of 2 RDMs, got \[1, 2, 3\]. They are",
        ),
        (TypeError, lambda: from_rsatoolbox(PLAIN, rg.Stress(rescale=True)), r"got Stress\(.*rescale=True"),
        (TypeError, lambda: from_rsatoolbox(PLAIN, rg.AngularCKA()), "Stress or AngularRDM, got AngularCKA"),
    ],
)
def test_messages(error, call, words):
    with pytest.raises(error, match=words):
        call()


def test_a_missing_rsatoolbox_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "rsatoolbox.rdm", None)
    with pytest.raises(ImportError, match=r"to_rsatoolbox needs rsatoolbox, .*repsim-geo\[compat\]"):
        calc_rdm([X, Y])
    assert from_rsatoolbox(PLAIN).shape == (2, 12, 12)
