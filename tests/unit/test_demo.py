"""The demo, in its quick form: everything is written, and a seed repeats it."""

import csv
import itertools
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import repsim_geo as rg
from repsim_geo.demo import sentences
from repsim_geo.demo.__main__ import main
from repsim_geo.demo.depth import Contrast, Depth, Regression, Together, combine
from repsim_geo.demo.distances import METRICS
from repsim_geo.demo.maps import FlatMap
from repsim_geo.demo.recognition import Answers, Recognition, judge
from repsim_geo.demo.spread import Sources, Spread, sources
from repsim_geo.stats.records import TestResult


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert main(["--quick", "--out", str(folder), "--seed", "3"]) == 0
    return folder


def test_report_shows_pictures_that_exist(output):
    page = (output / "report.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) >= 13
    for picture in pictures:
        assert (output / picture).stat().st_size > 1000
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_numbers_are_the_distances_of_every_metric(output):
    tables = np.load(output / "distances.npz")
    for key in METRICS:
        table = tables[key]
        assert np.array_equal(table, table.T)
        assert (output / "distances" / f"{key}.csv").exists()


def test_tables_have_a_header_and_rows(output):
    names = ["accuracies", "means", "paths", "geodesic", "components", "depth", "regressions", "recognition"]
    for name in names:
        rows = list(csv.DictReader((output / f"{name}.csv").read_text().splitlines()))
        assert rows
        assert all(None not in row for row in rows)


def test_every_statistic_has_its_sentence(output):
    page = (output / "report.html").read_text()
    assert page.count("<b>What one sees.</b>") == 6
    assert "nan" not in re.sub("<[^>]*>", " ", page).split()


def test_exported_statistics_agree(output):
    arrays = np.load(output / "statistics.npz")
    row = next(csv.DictReader((output / "depth.csv").read_text().splitlines()))
    null = arrays["depth_energy_null_mlp_64_rad"]
    assert len(null) == int(row["assignments"]) == 70
    above = null >= float(row["energy_statistic_rad"]) * (1 - 1e-10)
    assert float(row["energy_pvalue"]) == pytest.approx(above.mean())
    assert arrays["confusion_left_out_alone"].sum() == len(arrays["networks"]) == 12
    assert arrays["scores_rad"].shape == (12, len(arrays["component_shares"]))


def test_training_is_cached_and_a_seed_repeats_it(output, tmp_path):
    before = {p.name: p.stat().st_mtime_ns for p in (output / "networks").iterdir()}
    main(["--quick", "--out", str(output), "--seed", "3"])
    assert before == {p.name: p.stat().st_mtime_ns for p in (output / "networks").iterdir()}
    main(["--quick", "--out", str(tmp_path), "--seed", "3"])
    assert (tmp_path / "accuracies.csv").read_text() == (output / "accuracies.csv").read_text()
    assert (tmp_path / "distances.npz").exists()
    first, second = (np.load(folder / "distances.npz")["angular_cka"] for folder in (output, tmp_path))
    np.testing.assert_array_equal(first, second)


def test_damaged_cache_is_noticed(output):
    victim = next((output / "networks").iterdir())
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"(?i)train"):
        main(["--quick", "--out", str(output), "--seed", "3"])


# ------------------------------------------------------------------------------------- statistics


def network(family, width, depth, seed=0):
    return SimpleNamespace(
        family=family, width=width, depth=depth, seed=seed, architecture=f"{family} {width}x{depth}"
    )


def test_tests_are_combined_over_all_assignments():
    generator = torch.Generator().manual_seed(0)
    results = []
    for _ in range(3):
        x = torch.randn(6, 2, dtype=torch.float64, generator=generator)
        results.append(rg.energy_test(torch.cdist(x, x), [0, 0, 0, 1, 1, 1]))
    sums = np.array([sum(parts) for parts in itertools.product(*(r.null.tolist() for r in results))])
    observed = sum(r.statistic for r in results)
    together = combine(results)
    assert together.n_assignments == len(sums) == 20**3
    assert together.pvalue == pytest.approx(np.mean(sums >= observed * (1 - 1e-12)), abs=0)


def test_one_test_combined_is_itself():
    place = torch.tensor([0.0, 2.0, 1.0, 3.0, 5.0, 4.5])
    alone = rg.energy_test((place[:, None] - place).abs(), [0, 0, 0, 1, 1, 1])
    assert combine([alone]).pvalue == alone.pvalue


def test_a_sample_of_assignments_cannot_be_combined():
    sampled = TestResult(1.0, 0.5, 0.1, torch.tensor([0.0, 2.0]))
    with pytest.raises(ValueError, match="must be exact.*Raise n_permutations"):
        combine([sampled])


def test_sources_are_those_of_analysis_of_variance_by_hand():
    networks = [network("MLP", 1, 1), network("MLP", 1, 1), network("MLP", 1, 2), network("CNN", 1, 1)]
    # Mean 3, total 4 + 1 + 0 + 9 ... of 1, 2, 3, 6: 4 + 1 + 0 + 9 = 14. Within MLP (mean 2): 2. Within its
    # depths (means 1.5 and 3): 0.5.
    shares = sources(networks, torch.tensor([[1.0], [2.0], [3.0], [6.0]], dtype=torch.float64))
    assert vars(shares) == pytest.approx({"family": 12 / 14, "depth": 1.5 / 14, "width": 0, "seed": 0.5 / 14})
    assert shares.largest == "family"


def test_answers_count_relatives():
    names = ["MLP 1x1", "MLP 2x1", "CNN 1x1"]
    networks = [network("MLP", 1, 1), network("MLP", 2, 1), network("CNN", 1, 1)]
    answers = judge(
        SimpleNamespace(networks=networks, architectures=names), ["MLP 2x1", "MLP 2x1", "MLP 1x1"]
    )
    assert (answers.right, answers.relatives) == (1, 2)
    assert answers.counts.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]


# Sentences must follow the numbers, whatever these are.


def some_spread(shares, each, plane=0.1, globe=0.1):
    return Spread(
        scores=torch.zeros(4, len(shares)),
        shares=torch.tensor(shares),
        missed=0.0,
        each=[Sources(**({"family": 0, "depth": 0, "width": 0, "seed": 0} | {name: 1})) for name in each],
        total=Sources(1, 0, 0, 0),
        chance=Sources(0, 0, 0, 1),
        plane=FlatMap(np.zeros((4, 2)), plane),
        globe=torch.zeros(4, 3),
        globe_error=globe,
    )


@pytest.mark.parametrize(
    ("globe", "says"),
    [(0.05, "better"), (0.1, "about as well"), (0.108, "about as well"), (0.2, "less well")],
)
def test_sentence_on_maps(globe, says):
    assert says in sentences.maps(some_spread([1.0], ["family"], globe=globe))


@pytest.mark.parametrize(
    ("shares", "each", "says"),
    [
        (
            [0.7, 0.25, 0.05],
            ["family", "seed", "seed"],
            ["95 %", "nearly lie in a plane", "second with the seed"],
        ),
        ([0.5, 0.25, 0.15, 0.1], ["depth"] * 4, ["75 %", "few directions", "both go above all with depth"]),
        ([0.1] * 10, ["seed"] * 10, ["20 %", "take 9", "many directions"]),
        ([1.0], ["width"], ["only component", "100 %", "with width"]),
    ],
)
def test_sentence_on_spread(shares, each, says):
    sentence = sentences.spread(some_spread(shares, each))
    assert all(part in sentence for part in says), sentence


def some_contrast(name, pvalue, explained):
    energy = TestResult(1.0, pvalue, 0.0, torch.ones(70))
    anova = SimpleNamespace(variances=torch.tensor([1 - explained]), pooled_variance=1.0)
    return Contrast(name, 8, [1, 3], list(range(8)), energy, anova)


def some_line(name, pvalue, to_labels):
    test = TestResult(0.5, pvalue, 0.001, torch.ones(999))
    return Regression(name, [0, 1], [1, 3], 0.5, test, 0.25, 2.0, torch.zeros(2), to_labels)


def some_depth(contrasts=(), together=None, regressions=()):
    return Depth(list(contrasts), together, math.nan, math.nan, [*regressions, some_line("all", 1.0, [1.0])])


def test_sentence_on_depth():
    two = [some_contrast("MLP", 0.029, 0.6), some_contrast("CNN", 0.5, 0.1)]
    assert "nothing can be said" in sentences.depth(some_depth())
    clear = sentences.depth(some_depth(two, Together(2.0, 0.0004, 4900)))
    assert "Depth matters" in clear
    assert "1 of 2" in clear
    assert "10 % (CNN, width 8) to 60 % of the variance (MLP, width 8)" in clear
    unclear = sentences.depth(some_depth(two, Together(2.0, 0.3, 4900)))
    assert "do not show that depth matters (p = 0.3" in unclear
    assert "in the only comparison" in sentences.depth(some_depth(two[:1], Together(1.0, 0.029, 70)))


def test_sentence_on_regression():
    near, far, none = (
        some_line("MLP", 0.001, [0.9, 0.7]),
        some_line("CNN", 0.001, [0.7, 0.9]),
        some_line("RNN", 0.4, [0.9, 0.7]),
    )

    def says(*lines):
        return sentences.regression(some_depth(regressions=lines))

    assert "no geodesic" in says()
    assert "deeper networks are nearer to the labels." in says(near)
    assert "deeper networks are not nearer to the labels." in says(far)
    assert "nearer to the labels for MLP, not for CNN" in says(near, far)
    assert "for RNN no such trend is seen" in says(near, none)
    assert "Depth does not tell" in says(none)


def test_sentence_on_recognition():
    def says(right, relatives):
        answers = Answers([], right, relatives, torch.zeros(1, 1))
        return sentences.recognition(Recognition(answers, answers, 4.0, 8.0), 32)

    assert "All 32" in says(32, 32)
    assert "cannot be told apart" in says(3, 9)
    assert "all mistakes are about the width" in says(20, 32)
    assert "10 of the 12 mistakes are about the width" in says(20, 30)
    assert "8 of the 12 mistakes get the family or the depth wrong" in says(20, 24)


def test_sentence_on_means():
    mean = SimpleNamespace(error_bound=1e-14, converged=True)
    anova = TestResult(1.0, 0.001, 0.001, torch.ones(999))
    means = SimpleNamespace(each=[mean], overall=mean, anova=anova, explained=0.6, chance=0.2)
    assert "Architectures differ" in sentences.means(means)
    means.anova = replace(anova, pvalue=0.2)
    assert "do not show a difference" in sentences.means(means)
    mean.converged = False
    assert "not every average was found" in sentences.means(means)
