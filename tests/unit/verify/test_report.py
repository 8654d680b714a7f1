"""Reports: sorted by what is most basic, converted without loss."""

import json
import math

import pytest
import torch

import repsim_geo as rg
from repsim_geo.verify import Record, Report, check_manifold


def record(law, status, residual=1.0, tolerance=0.5, order=0, note=""):
    return Record(law, "iid", "float64", status, residual, tolerance, 0, note, "source", order)


REPORT = Report(
    "a thing",
    [
        record("held", "passed", 0.1),
        record("never", "skipped", math.nan, math.nan, note="needs wings"),
        record("curved", "failed", 100.0, order=3, note="Curved."),
        record("symmetric", "failed", 0.6, order=0, note="d(x, y) = d(y, x)."),
        record("triangle", "failed", 2.0, order=0, note="No detours | at all."),
        record("known", "xfailed", 2.0, note="it is squared"),
        record("constant", "skipped", math.nan, math.nan, note="refused: x is constant"),
    ],
)


def test_the_most_basic_law_comes_first_then_the_worst():
    assert REPORT.broken == ["triangle", "symmetric", "curved"]
    assert [row["law"] for row in REPORT.laws()][:3] == ["triangle", "symmetric", "curved"]
    assert not REPORT.ok


def test_counts_and_reasons():
    assert REPORT.counts() == {"failed": 3, "xpassed": 0, "xfailed": 1, "passed": 1, "skipped": 2}
    assert REPORT.skipped()["needs wings"] == ["never"]
    assert REPORT.refused() == {"x is constant": ["iid"]}


def test_text_says_all():
    text = str(REPORT)
    assert text.splitlines()[0] == "a thing: 1 of 5 laws hold, 1 fail as expected (5 checks)"
    for part in (
        "d(x, y) = d(y, x). [source]",
        "residual 2, tolerance 0.5",
        "never: needs wings",
        "x is constant",
    ):
        assert part in text
    assert "4" in REPORT.table().splitlines()[3]


def test_markdown_is_a_table_whose_cells_do_not_break():
    rows = [line for line in REPORT.to_markdown().splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert "No detours \\| at all." in rows[2]
    assert "it is squared" in REPORT.to_markdown()


def test_json_keeps_everything(tmp_path):
    path = tmp_path / "report.json"
    content = json.loads(REPORT.to_json(path))
    assert content == json.loads(path.read_text())
    assert content["ok"] is False
    assert content["broken"] == REPORT.broken
    assert len(content["records"]) == 7
    assert content["records"][-1]["residual"] is None


def test_nothing_checked_is_not_ok():
    report = Report("nothing", [record("never", "skipped", math.nan, math.nan, note="needs wings")])
    assert not report.ok
    assert "nothing was checked" in str(report)


def test_records_make_a_table_of_pandas():
    pandas = pytest.importorskip("pandas")
    report = check_manifold(rg.Flat(1), (3,), dtypes=[torch.float64])
    assert len(pandas.DataFrame(report.records())) == len(report.records())
