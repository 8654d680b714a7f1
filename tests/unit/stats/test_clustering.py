"""Clusters against scikit-learn, scipy, and all partitions; ties, duplicates, empty clusters, isometries."""

import itertools
import warnings

import geoopt
import numpy as np
import pytest
import torch
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist, squareform
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.utils import estimator_checks

import repsim_geo as rg
from repsim_geo.stats.clustering import (
    KMedoids,
    ManifoldKMeans,
    _best_swap,
    _without_empty,
    hierarchical_clustering,
    medoid,
)

FLAT = rg.Flat(1)
SPHERE = rg.UnitSphere(1)
SPD = rg.AffineInvariantSPD()


def clouds(manifold, centers, each, *point, spread, seed=0, dtype=torch.float64):
    """Points around several random centers."""
    generator = torch.Generator().manual_seed(seed)
    c = manifold.random(centers, 1, *point, dtype=dtype, generator=generator).as_subclass(torch.Tensor)
    u = torch.randn(centers, each, *point, dtype=dtype, generator=generator)
    return manifold.expmap(c, spread * manifold.proju(c, u)).flatten(0, 1)


def line(*x):
    return torch.tensor(x, dtype=torch.float64)[:, None]


def partitions(n, k):
    """Labels of all partitions of n things into k groups that are not empty."""
    for labels in itertools.product(range(k), repeat=n):
        first = [labels.index(i) if i in labels else n for i in range(k)]
        if n not in first and first == sorted(first):
            yield torch.tensor(labels)


def agree(a, b):
    """Whether two labelings are the same up to the names of the clusters."""
    a, b = np.asarray(a), np.asarray(b)
    return bool(((a[:, None] == a) == (b[:, None] == b)).all())


# ---------------------------------------------------------------------- k-means


@pytest.mark.parametrize("seed", range(3))
def test_flat_kmeans_is_scikit_learns_from_the_same_start(seed):
    x = torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    w = torch.rand(60, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    for weights in (None, w):
        ours = ManifoldKMeans(FLAT, 6, init=x[:6]).fit(x, weights=weights)
        theirs = KMeans(6, init=x[:6].numpy(), n_init=1, tol=0, max_iter=500).fit(x, sample_weight=weights)
        np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-10)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        scale = 1 if weights is None else 60 / float(w.sum())
        assert ours.inertia_ == pytest.approx(scale * theirs.inertia_, rel=1e-12)
        assert ours.converged_


@pytest.mark.parametrize(
    ("manifold", "point", "spread"),
    [(SPHERE, (3,), 0.4), (SPD, (2, 2), 0.5), (rg.SizeAndShape(), (4, 2), 0.5)],
    ids=["sphere", "spd", "shapes"],
)
@pytest.mark.parametrize("k", [2, 3])
def test_best_start_is_the_best_of_all_partitions(manifold, point, spread, k):
    x = clouds(manifold, k, 3 if k == 2 else 2, *point, spread=spread, seed=1)
    labels = torch.stack(list(partitions(len(x), k)))
    masses = (labels[:, None] == torch.arange(k)[:, None]).double().flatten(0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of odd partitions may be slow
        means = rg.FrechetMean(manifold).fit(x.expand(len(masses), *x.shape), weights=masses)
    sums = (means.variance_ * masses.sum(-1)).unflatten(0, (-1, k)).sum(-1)
    ours = ManifoldKMeans(manifold, k, n_init=32).fit(x)
    assert ours.inertia_ == pytest.approx(float(sums.min()), rel=1e-10)
    assert agree(ours.labels_, labels[sums.argmin()])


@pytest.mark.parametrize(
    ("manifold", "point"),
    [
        (SPHERE, (4,)),
        (SPD, (3, 3)),
        (rg.SizeAndShape(), (6, 3)),
        (rg.AngularShape(), (6, 3)),
        (rg.Grassmannian(), (6, 2)),
        (rg.BuresWassersteinSPD(), (3, 3)),
        (geoopt.Sphere(), (4,)),
        (geoopt.SymmetricPositiveDefinite(), (3, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, geoopt.manifolds.base.Manifold) else "",
)
def test_centers_are_the_means_of_their_clusters(manifold, point):
    source = {geoopt.Sphere: SPHERE, geoopt.SymmetricPositiveDefinite: SPD}.get(type(manifold), manifold)
    x = clouds(source, 3, 6, *point, spread=0.08, seed=2)
    kmeans = ManifoldKMeans(manifold, 3).fit(x)
    assert kmeans.converged_
    total = 0.0
    for i in range(3):
        center, cluster = kmeans.cluster_centers_[i], x[kmeans.labels_ == i]
        mean = rg.FrechetMean(manifold, init=center).fit(cluster)
        # Shapes near lower rank have several local means: none that the default start finds is better.
        assert float(mean.variance_) <= float(rg.FrechetMean(manifold).fit(cluster).variance_) * (1 + 1e-12)
        assert float(source.dist(mean.mean_, center)) < 1e-9
        total += len(cluster) * float(mean.variance_)
    assert kmeans.inertia_ == pytest.approx(total, rel=1e-10)
    torch.testing.assert_close(kmeans.predict(x), kmeans.labels_, rtol=0, atol=0)


def test_inertia_never_rises():
    x = clouds(SPHERE, 6, 30, 3, spread=0.5, seed=3)
    before = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.ConvergenceWarning)
        for max_iter in range(1, 30):
            kmeans = ManifoldKMeans(SPHERE, 8, n_init=1, max_iter=max_iter).fit(x)
            assert kmeans.inertia_ <= before * (1 + 1e-12)
            before = kmeans.inertia_
            if kmeans.converged_:
                break
    assert kmeans.converged_
    assert kmeans.n_iter_ > max_iter > 3


def test_all_starts_together_are_as_good_as_the_best_alone():
    x = clouds(SPHERE, 5, 8, 3, spread=0.4, seed=4)
    generator = torch.Generator().manual_seed(1)
    together = ManifoldKMeans(SPHERE, 5, n_init=6, seed=generator).fit(x)
    # The same draws, one start at a time, from the seeds of the batch.
    seeds = ManifoldKMeans(SPHERE, 5, n_init=6)._start(x, torch.ones(40, dtype=torch.float64))
    generator.manual_seed(1)
    again = ManifoldKMeans(SPHERE, 5, n_init=6, seed=generator)._start(x, torch.ones(40, dtype=torch.float64))
    assert not torch.equal(seeds, again)
    alone = [ManifoldKMeans(SPHERE, 5, init=start).fit(x) for start in again]
    assert together.inertia_ == pytest.approx(min(a.inertia_ for a in alone), rel=1e-12)
    best = min(alone, key=lambda a: a.inertia_)
    assert together.n_iter_ == best.n_iter_
    torch.testing.assert_close(together.cluster_centers_, best.cluster_centers_, rtol=0, atol=1e-12)


def test_start_is_drawn_by_squared_distance():
    # From 0 the squares to 1 and 3 are 1 and 9, from 1 they are 1 and 4, from 3 they are 9 and 4.
    x, n_init = line(0.0, 1.0, 3.0), 40_000
    start = ManifoldKMeans(FLAT, 2, n_init=n_init)._start(x, torch.ones(3, dtype=torch.float64))[..., 0]
    chances = {(0, 1): 1 / 10, (0, 3): 9 / 10, (1, 0): 1 / 5, (1, 3): 4 / 5, (3, 0): 9 / 13, (3, 1): 4 / 13}
    for (first, second), chance in chances.items():
        share = ((start[:, 0] == first) & (start[:, 1] == second)).double().mean()
        # Four standard errors of a share.
        assert abs(float(share) - chance / 3) < 4 * (chance / 3 / n_init) ** 0.5


def test_rotations_move_the_centers_along():
    x = clouds(SPHERE, 3, 7, 4, spread=0.4, seed=5)
    q = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    a, b = ManifoldKMeans(SPHERE, 3).fit(x), ManifoldKMeans(SPHERE, 3).fit(x @ q)
    torch.testing.assert_close(a.cluster_centers_ @ q, b.cluster_centers_, rtol=0, atol=1e-10)
    assert torch.equal(a.labels_, b.labels_)


def test_congruences_move_the_centers_along():
    x = clouds(SPD, 2, 6, 3, 3, spread=0.3, seed=6)
    a = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    first, second = ManifoldKMeans(SPD, 2).fit(x), ManifoldKMeans(SPD, 2).fit(a @ x @ a.mT)
    moved = a @ first.cluster_centers_ @ a.mT
    assert float(SPD.dist(moved, second.cluster_centers_).max()) < 1e-9
    assert torch.equal(first.labels_, second.labels_)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_unit_of_the_distance_does_not_matter(scale, dtype):
    x = clouds(FLAT, 3, 5, 4, spread=0.2, seed=7, dtype=dtype)
    a, b = ManifoldKMeans(FLAT, 3).fit(x), ManifoldKMeans(FLAT, 3).fit(scale * x)
    assert torch.equal(a.labels_, b.labels_)
    assert b.inertia_ == pytest.approx(scale**2 * a.inertia_, rel=1e-5)
    assert b.cluster_centers_.dtype == dtype


def test_float32_is_enough_to_separate():
    for manifold, point in ((SPHERE, (4,)), (SPD, (3, 3)), (rg.SizeAndShape(), (6, 3))):
        x = clouds(manifold, 3, 5, *point, spread=0.1, seed=8)
        exact, short = ManifoldKMeans(manifold, 3).fit(x), ManifoldKMeans(manifold, 3).fit(x.float())
        assert agree(exact.labels_, short.labels_)
        assert short.inertia_ == pytest.approx(exact.inertia_, rel=1e-4)


def test_one_cluster_is_the_mean_and_n_clusters_are_the_points():
    x = clouds(SPHERE, 2, 4, 3, spread=0.3)
    mean = rg.FrechetMean(SPHERE).fit(x)
    one = ManifoldKMeans(SPHERE, 1).fit(x)
    assert float(SPHERE.dist(one.cluster_centers_[0], mean.mean_)) < 1e-12
    assert one.inertia_ == pytest.approx(8 * float(mean.variance_), rel=1e-12)
    every = ManifoldKMeans(SPHERE, 8).fit(x)
    assert every.labels_.unique().numel() == 8
    assert every.inertia_ < 1e-28
    assert every.converged_


def test_fewer_distinct_points_than_clusters_are_refused():
    x = line(0.0, 0.0, 1.0, 1.0, 1.0)
    assert ManifoldKMeans(FLAT, 2).fit(x).inertia_ == 0.0
    with pytest.raises(ValueError, match=r"n_clusters=3 needs as many distinct networks, got 2. Lower"):
        ManifoldKMeans(FLAT, 3).fit(x)
    with pytest.raises(rg.ShapeError, match=r"n_clusters=6 needs at least 6 networks, got 5. Lower"):
        ManifoldKMeans(FLAT, 6).fit(x)
    with pytest.raises(rg.ShapeError, match=r"n_clusters=2 needs at least 2 networks, got 1"):
        ManifoldKMeans(FLAT, 2).fit(x, weights=[1, 0, 0, 0, 0])
    # Networks of one shape are one network, however they are turned.
    shape = clouds(rg.SizeAndShape(), 1, 1, 5, 2, spread=0.0)
    turned = shape @ torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    with pytest.raises(ValueError, match="as many distinct networks, got 1"):
        ManifoldKMeans(rg.SizeAndShape(), 2).fit(torch.cat([shape, turned]))


def test_empty_clusters_take_the_farthest_point():
    # The third center is nearest to no point; the farthest point from its center is 9, and takes it.
    x = line(0.0, 1.0, 8.0, 9.0, 20.0)
    kmeans = ManifoldKMeans(FLAT, 3, init=line(0.0, 6.0, 1000.0)).fit(x)
    assert agree(kmeans.labels_, [0, 0, 1, 1, 2])
    assert kmeans.inertia_ == 1.0
    same = ManifoldKMeans(FLAT, 3, init=line(0.0, 0.0, 0.0)).fit(x)
    assert same.labels_.unique().numel() == 3
    # Several starts, several empty clusters, and a cluster of one that may not be robbed.
    d = torch.tensor(
        [[[9.0, 1, 2, 3], [9, 9, 9, 9], [9, 9, 9, 9]], [[1, 1, 1, 9], [9, 9, 9, 5], [9, 9, 9, 9]]]
    )
    labels = _without_empty(d, torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1]]))
    assert labels.tolist() == [[1, 0, 0, 2], [2, 0, 0, 1]]


def test_duplicates_with_equal_centers_end():
    x = line(0.0, 0.0, 0.0, 0.0)
    kmeans = ManifoldKMeans(FLAT, 2, init=line(0.0, 0.0)).fit(x)
    assert kmeans.inertia_ == 0.0
    assert kmeans.converged_


def test_antipodes():
    e = torch.eye(3, dtype=torch.float64)
    kmeans = ManifoldKMeans(SPHERE, 2).fit(torch.stack([e[0], -e[0]]))
    assert kmeans.inertia_ == 0.0
    assert kmeans.labels_.unique().numel() == 2
    x = torch.cat([e, -e])
    # Two octants: each of three orthogonal axes is at the angle acos(1/sqrt(3)) from their mean.
    kmeans = ManifoldKMeans(SPHERE, 2, init=SPHERE.projx(torch.stack([e.sum(0), -e.sum(0)]))).fit(x)
    assert kmeans.inertia_ == pytest.approx(6 * np.arccos(3**-0.5) ** 2, rel=1e-10)
    # Other starts end in other local minima, with networks as near to both centers; but they end.
    for seed in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rg.CutLocusWarning)
            kmeans = ManifoldKMeans(SPHERE, 2, seed=seed, n_init=1).fit(x)
        assert kmeans.converged_
        assert kmeans.inertia_ < 10


def test_networks_without_weight_have_no_say_but_a_label():
    x = clouds(SPHERE, 2, 6, 3, spread=0.3, seed=9)
    far = torch.cat([x, SPHERE.projx(torch.full((1, 3), 1.0, dtype=torch.float64))])
    a = ManifoldKMeans(SPHERE, 2).fit(x)
    b = ManifoldKMeans(SPHERE, 2).fit(far, weights=[1.0] * 12 + [0.0])
    torch.testing.assert_close(a.cluster_centers_, b.cluster_centers_, rtol=0, atol=1e-12)
    assert torch.equal(a.labels_, b.labels_[:12])
    assert b.labels_.shape == (13,)


def test_whole_weights_are_repeated_networks():
    x = clouds(SPD, 2, 4, 2, 2, spread=0.4, seed=10)
    counts = torch.tensor([1, 3, 2, 1, 1, 2, 1, 1])
    init = x[[0, 4]]
    a = ManifoldKMeans(SPD, 2, init=init).fit(x, weights=counts)
    b = ManifoldKMeans(SPD, 2, init=init).fit(x.repeat_interleave(counts, 0))
    assert float(SPD.dist(a.cluster_centers_, b.cluster_centers_).max()) < 1e-10
    assert a.inertia_ * 12 / 8 == pytest.approx(b.inertia_, rel=1e-10)


def test_nothing_is_mutated_and_a_seed_decides():
    x = clouds(SPHERE, 4, 6, 3, spread=0.5, seed=11)
    w = torch.rand(24, dtype=torch.float64)
    kept, kept_w, state = x.clone(), w.clone(), torch.get_rng_state()
    a = ManifoldKMeans(SPHERE, 4, n_init=1, seed=3).fit(x, weights=w)
    b = ManifoldKMeans(SPHERE, 4, n_init=1, seed=torch.Generator().manual_seed(3)).fit(x, weights=w)
    assert torch.equal(x, kept)
    assert torch.equal(w, kept_w)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(a.cluster_centers_, b.cluster_centers_)
    many = {ManifoldKMeans(SPHERE, 4, n_init=1, seed=s).fit(x).inertia_ for s in range(6)}
    assert len(many) > 1


def test_unfinished_clusters_warn():
    x = clouds(FLAT, 6, 20, 2, spread=1.0, seed=12)
    with pytest.warns(
        rg.ConvergenceWarning, match=r"still changing clusters after 1 updates .* raise max_iter"
    ):
        kmeans = ManifoldKMeans(FLAT, 6, n_init=1, max_iter=1).fit(x)
    assert kmeans.converged_ is False
    assert torch.equal(kmeans.predict(x), kmeans.labels_)


def test_tolerance_ends_earlier():
    x = clouds(FLAT, 6, 50, 2, spread=1.0, seed=13)
    rough, exact = (ManifoldKMeans(FLAT, 6, n_init=1, tol=tol).fit(x) for tol in (0.05, 0.0))
    assert rough.n_iter_ < exact.n_iter_
    assert rough.inertia_ >= exact.inertia_


def test_arrays_give_arrays_and_tensors_tensors():
    x = clouds(SPHERE, 2, 5, 3, spread=0.2)
    a, b = ManifoldKMeans(SPHERE, 2).fit(x), ManifoldKMeans(SPHERE, 2).fit(x.numpy())
    assert isinstance(a.predict(x), torch.Tensor)
    assert isinstance(a.predict(x.numpy()), np.ndarray)
    assert isinstance(b.cluster_centers_, torch.Tensor)
    np.testing.assert_array_equal(a.transform(x), b.transform(x.numpy()))
    assert a.transform(x[:3]).shape == (3, 2)
    np.testing.assert_array_equal(ManifoldKMeans(SPHERE, 2).fit_predict(x.numpy()), a.labels_)
    np.testing.assert_array_equal(ManifoldKMeans(SPHERE, 2).fit_transform(x.numpy()), a.transform(x))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": 0}, r"n_clusters must be a whole number, 1 or more, got 0"),
        ({"n_clusters": 2.0}, r"n_clusters must be a whole number"),
        ({"n_init": 0}, r"n_init must be a whole number"),
        ({"max_iter": 0}, r"max_iter must be a whole number"),
        ({"tol": -1.0}, r"tol must be a number, 0 or more, got -1.0"),
        ({"init": "random"}, r"init must be 'k-means\+\+' or 2 points, got 'random'"),
        ({"init": torch.eye(3)}, r"init must be 2 points, a tensor of shape \(2, 3\), got \(3, 3\)"),
    ],
)
def test_wrong_parameters_are_explained(parameters, message):
    x = clouds(SPHERE, 2, 3, 3, spread=0.2)
    with pytest.raises(ValueError, match=message):
        ManifoldKMeans(SPHERE, **{"n_clusters": 2, **parameters}).fit(x)


def test_wrong_points_are_explained():
    x = clouds(SPHERE, 2, 3, 3, spread=0.2)
    broken = x.clone()
    broken[2, 0] = torch.nan
    with pytest.raises(ValueError, match="nan or infinity in point 2"):
        ManifoldKMeans(SPHERE, 2).fit(broken)
    with pytest.raises(rg.NotOnManifoldError):
        ManifoldKMeans(SPHERE, 2).fit(2 * x)
    kmeans = ManifoldKMeans(SPHERE, 2).fit(x)
    with pytest.raises(rg.ShapeError, match=r"shape of those of fit, \(3,\), got \(4,\)"):
        kmeans.predict(torch.eye(4))
    with pytest.raises(ValueError, match="not fitted"):
        ManifoldKMeans(SPHERE, 2).predict(x)


def test_files_hold_the_clusters(tmp_path):
    x = clouds(SPHERE, 2, 5, 3, spread=0.2)
    kmeans = ManifoldKMeans(SPHERE, 2, init=x[[0, 5]]).fit(x)
    kmeans.save(tmp_path / "kmeans.npz")
    loaded = ManifoldKMeans.load(tmp_path / "kmeans.npz", SPHERE)
    assert torch.equal(loaded.predict(x), kmeans.labels_)
    assert torch.equal(loaded.init, kmeans.init)
    assert loaded.inertia_ == kmeans.inertia_
    assert clone(kmeans).get_params()["n_clusters"] == 2


def test_digits_as_flat_points():
    x, y = load_digits(return_X_y=True)
    x = x[y < 3]
    kmeans = ManifoldKMeans(FLAT, 3).fit(x)
    theirs = KMeans(3, n_init=4, tol=0, random_state=0).fit(x)
    assert kmeans.inertia_ == pytest.approx(theirs.inertia_, rel=1e-12)
    assert agree(kmeans.labels_, theirs.labels_)


# What is left out: checks that want sparse, integer or object input accepted or refused in words of their
# own, `n_features_in_` (a point has a shape, not features), and `labels_` as an array instead of a tensor.
CHECKS = [
    "clusterer_compute_labels_predict",
    "dict_unchanged",
    "dont_overwrite_parameters",
    "estimator_cloneable",
    "estimator_repr",
    "estimators_fit_returns_self",
    "estimators_overwrite_params",
    "estimators_pickle",
    "estimators_unfitted",
    "f_contiguous_array_estimator",
    "fit_check_is_fitted",
    "fit_idempotent",
    "fit_score_takes_y",
    "get_params_invariance",
    "methods_sample_order_invariance",
    "methods_subset_invariance",
    "mixin_order",
    "no_attributes_set_in_init",
    "pipeline_consistency",
    "readonly_memmap_input",
    "set_params",
    "transformer_n_iter",
    "transformers_unfitted",
]


@pytest.mark.parametrize("check", CHECKS)
def test_scikit_learns_manners(check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, f"check_{check}")("ManifoldKMeans", ManifoldKMeans(FLAT, 3))


# ---------------------------------------------------------------------- k-medoids


def random_distances(n, seed, *batch):
    """Symmetric, without a triangle inequality."""
    d = torch.rand(*batch, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    d = d.triu(1)
    return d + d.mT


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_medoids_are_the_best_of_all(seed, k):
    d = random_distances(9, seed)
    w = torch.rand(9, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.1
    for weights in (None, w):
        mass = torch.ones(9, dtype=torch.float64) if weights is None else w * 9 / w.sum()
        costs = {c: float((mass * d[list(c)].amin(0)).sum()) for c in itertools.combinations(range(9), k)}
        best = min(costs, key=costs.get)
        ours = KMedoids(k, n_init=20).fit(d, weights=weights)
        assert ours.inertia_ == pytest.approx(costs[best], rel=1e-12, abs=1e-14)
        # Which of two networks is the medoid of the two is open.
        found = ours.medoid_indices_.tolist()
        assert costs[tuple(found)] == pytest.approx(costs[best], rel=1e-12, abs=1e-14)
        assert ours.converged_
        assert torch.equal(ours.labels_, d[:, found].argmin(-1))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_swap_is_the_best_of_all_swaps(k):
    d = random_distances(12, 3)
    w = torch.rand(12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    starts = torch.stack([torch.randperm(12)[:k] for _ in range(5)])
    for before, after in zip(starts, _best_swap(d, starts, w), strict=True):
        costs = [
            float((w * d[[*before[:i].tolist(), x, *before[i + 1 :].tolist()]].amin(0)).sum())
            for i in range(k)
            for x in range(12)
        ]
        assert float((w * d[after].amin(0)).sum()) == pytest.approx(min(costs), rel=1e-12)


def test_result_cannot_be_improved_by_alternation():
    x = clouds(FLAT, 4, 15, 2, spread=1.0)
    d = FLAT.cdist(x, x)
    ours = KMedoids(4).fit(d)
    for i in range(4):
        inside = (ours.labels_ == i).nonzero()[:, 0]
        sums = d[inside][:, inside].sum(-1)
        assert float(sums.min()) >= float(sums[inside == ours.medoid_indices_[i]]) * (1 - 1e-12)


def test_medoids_edge_cases(tmp_path):
    d = random_distances(6, 0)
    ours = KMedoids(2).fit(d.numpy())
    np.testing.assert_array_equal(ours.predict(d.numpy()), ours.labels_)
    assert isinstance(ours.predict(d.numpy()), np.ndarray)
    np.testing.assert_array_equal(KMedoids(2).fit_predict(d.numpy()), ours.labels_)
    np.testing.assert_array_equal(KMedoids(2).fit_transform(d), d[:, ours.medoid_indices_])
    ours.save(tmp_path / "medoids.npz")
    assert torch.equal(KMedoids.load(tmp_path / "medoids.npz").predict(d), ours.labels_)
    with pytest.raises(
        rg.ShapeError, match=r"column for each of the 6 fitted points, shape \(q, 6\), got \(2, 5\)"
    ):
        ours.predict(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="n_clusters=2 needs as many distinct networks, got 1"):
        KMedoids(2).fit(torch.zeros(4, 4))
    with pytest.raises(rg.ShapeError, match="n_clusters=7 needs at least 7 networks, got 6"):
        KMedoids(7).fit(d)
    with pytest.warns(rg.ConvergenceWarning, match="stopped after 1 swaps"):
        KMedoids(9, n_init=1, max_iter=1).fit(random_distances(60, 1))
    assert clone(ours).get_params() == {"n_clusters": 2, "n_init": 4, "max_iter": 1000, "seed": 0}
    assert KMedoids(2).__sklearn_tags__().input_tags.pairwise


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_medoids_do_not_see_the_unit(scale):
    d = random_distances(20, 5)
    assert torch.equal(KMedoids(3).fit(d).labels_, KMedoids(3).fit(scale * d).labels_)
    a, b = KMedoids(3).fit(d), KMedoids(3).fit(d.float())
    assert torch.equal(a.labels_, b.labels_)


def test_medoid_has_the_least_sum():
    d = random_distances(7, 0, 4)
    w = torch.rand(4, 7, dtype=torch.float64)
    assert torch.equal(medoid(d), d.sum(-1).argmin(-1))
    assert torch.equal(medoid(d, w), (d * w[:, None]).sum(-1).argmin(-1))
    assert medoid(d[0], w[0]).shape == ()
    assert int(medoid(d[0])) == int(medoid(d)[0]) == int(medoid(d[0].numpy()))
    assert int(medoid(torch.zeros(3, 3))) == 0
    assert int(medoid(torch.zeros(1, 1))) == 0


@pytest.mark.parametrize(
    ("d", "error", "message"),
    [
        (torch.zeros(2, 3), rg.ShapeError, r"square matrix \(n, n\), got shape \(2, 3\). pairwise"),
        (torch.zeros(2, 3, 3), rg.ShapeError, r"square matrix \(n, n\), .* got shape \(2, 3, 3\)"),
        (torch.zeros(0, 0), rg.ShapeError, r"square matrix \(n, n\), .* got shape \(0, 0\)"),
        (torch.eye(3), ValueError, "zero on the diagonal"),
        (torch.tensor([[0.0, 1], [2, 0]]), ValueError, "must be symmetric"),
        (torch.tensor([[0.0, -1], [-1, 0]]), ValueError, "must not be negative"),
        (torch.tensor([[0.0, torch.nan], [1, 0]]), ValueError, "nan or infinity in row 0"),
        (torch.zeros(2, 2, dtype=torch.bool), TypeError, "real numbers, got torch.bool"),
        (np.zeros((2, 2), dtype=object), TypeError, "real numbers, got object. Use"),
    ],
)
def test_wrong_distances_are_explained(d, error, message):
    with pytest.raises(error, match=message):
        KMedoids(1).fit(d)
    with pytest.raises(error, match=message):
        hierarchical_clustering(d)


# ---------------------------------------------------------------------- trees


@pytest.mark.parametrize(
    "method", ["single", "complete", "average", "weighted", "ward", "centroid", "median"]
)
def test_tree_is_scipys(method):
    x = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    condensed = pdist(x.numpy())
    tree = hierarchical_clustering(torch.tensor(squareform(condensed)), method)
    theirs = hierarchy.linkage(condensed, method)
    np.testing.assert_allclose(tree.linkage[:, 2:], theirs[:, 2:], rtol=1e-12)
    np.testing.assert_array_equal(np.sort(tree.linkage[:, :2]), np.sort(theirs[:, :2]))
    assert tree.cophenetic_correlation == pytest.approx(hierarchy.cophenet(theirs, condensed)[0], rel=1e-12)
    assert sorted(tree.order) == list(range(12))
    assert hierarchy.dendrogram(tree.linkage, no_plot=True)["leaves"] == tree.order.tolist()
    if method not in ("centroid", "median"):  # whose heights can fall, so that maxclust skips counts
        for k in range(1, 13):
            assert agree(tree.labels(k), hierarchy.fcluster(theirs, k, "maxclust"))


def test_order_brings_near_networks_together():
    x = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    d = FLAT.cdist(x, x)
    tree = hierarchical_clustering(d)
    plain = hierarchy.leaves_list(hierarchy.linkage(squareform(d.numpy(), checks=False), "average"))

    def walk(order):
        return float(d[order[:-1], order[1:]].sum())

    assert walk(tree.order) < walk(plain)


def test_ties_still_give_as_many_clusters_as_asked_for():
    tree = hierarchical_clustering(1 - torch.eye(5))
    for k in range(1, 6):
        labels = tree.labels(k)
        assert sorted(set(labels)) == list(range(k))
        assert labels[0] == 0
    assert np.isnan(tree.cophenetic_correlation)
    for wrong in (0, 6, 2.0):
        with pytest.raises(ValueError, match="whole number from 1 to 5"):
            tree.labels(wrong)
    assert np.isnan(hierarchical_clustering(1 - torch.eye(2)).cophenetic_correlation)
    with pytest.raises(rg.ShapeError, match="at least two networks, got 1"):
        hierarchical_clustering(torch.zeros(1, 1))


def test_centroids_are_for_euclidean_distances_only():
    x = clouds(SPHERE, 4, 3, 3, spread=1.0)
    for method in ("ward", "centroid", "median"):
        with pytest.raises(ValueError, match=rf"method='{method}' needs distances of points in a Euclidean"):
            hierarchical_clustering(SPHERE.cdist(x, x), method)
        # Chords of the same points are Euclidean, in float32 and at any scale.
        hierarchical_clustering(1e-8 * FLAT.cdist(x, x).float(), method)
        hierarchical_clustering(torch.zeros(4, 4), method)
    with pytest.raises(ValueError, match="method must be one of single, complete"):
        hierarchical_clustering(SPHERE.cdist(x, x), "nearest")
    logs = clouds(rg.LogEuclideanSPD(), 2, 5, 3, 3, spread=0.5)
    assert hierarchical_clustering(rg.LogEuclideanSPD().cdist(logs, logs), "ward").linkage.shape == (9, 4)


def test_tree_does_not_change_its_input():
    d = random_distances(6, 2).float()
    kept = d.clone()
    tree = hierarchical_clustering(d)
    assert torch.equal(d, kept)
    assert tree.linkage.dtype == np.float64
    np.testing.assert_array_equal(hierarchical_clustering(d.numpy()).linkage, tree.linkage)
