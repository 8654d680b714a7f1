"""The demo, in its quick form: everything is written, and a seed repeats it."""

import csv
import re

import numpy as np
import pytest

from repsim_geo.demo.__main__ import main
from repsim_geo.demo.distances import METRICS


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert main(["--quick", "--out", str(folder), "--seed", "3"]) == 0
    return folder


def test_report_shows_pictures_that_exist(output):
    page = (output / "report.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) >= 8
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
    for name in ("accuracies", "means", "paths", "geodesic"):
        rows = list(csv.DictReader((output / f"{name}.csv").read_text().splitlines()))
        assert rows
        assert all(None not in row for row in rows)


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
