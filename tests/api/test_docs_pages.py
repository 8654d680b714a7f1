"""The pages of documentation say what the cards say, link to what exists, and cite what is listed."""

import pathlib
import re

import pytest

import repsim_geo as rg
from repsim_geo import invariances as inv

DOCS = pathlib.Path(__file__).parents[2] / "docs"
CHOOSING = (DOCS / "choosing_a_metric.md").read_text(encoding="utf-8")
PAGES = sorted([DOCS / "choosing_a_metric.md", DOCS / "extending.md", *(DOCS / "math").glob("*.md")])
# Columns of the table of invariances.
COLUMNS = (inv.TRANSLATION, inv.SCALE, inv.PERMUTATION, inv.ORTHOGONAL, inv.LINEAR)


def _table(heading: str) -> dict[str, list[str]]:
    """Cells of the rows of the first table under a heading whose first cell is a name in backticks."""
    section = CHOOSING.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`") and len(row) > 1}


def _anchors(page: str) -> set[str]:
    """Headings as a code host and the documentation write them into addresses."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_table_of_invariances_is_that_of_the_cards():
    cards = rg.available_metrics()
    expected = {
        name: [*("✓" if i in card.invariances else "–" for i in COLUMNS), card.unit, card.range_text()]
        for name, card in cards.items()
    }
    assert _table("What they do not notice") == expected


def test_every_metric_has_a_cost_and_a_warning():
    rows = _table("What they cost, and when they mislead")
    assert set(rows) == set(rg.available_metrics())
    assert all(len(row) == 4 and all(row) for row in rows.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_cited_keys_are_listed(page):
    listed = (DOCS / "references.md").read_text(encoding="utf-8")
    literature = page.read_text(encoding="utf-8").partition("\n## Literature\n")[2]
    for key in re.findall(r"`([a-z]+\d{4}[a-z]*)`", literature):
        assert f"`{key}`" in listed, key
