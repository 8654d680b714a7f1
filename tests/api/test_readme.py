"""The README says what the code says, and shows pictures that exist."""

import pathlib
import re

from repsim_geo.registry import metrics_table

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_table_of_metrics_is_made_from_the_cards():
    assert metrics_table() in README, f"replace the table in README.md by:\n{metrics_table()}"


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_references_of_the_cards_are_listed():
    import repsim_geo as rg

    listed = (ROOT / "docs" / "references.md").read_text()
    for card in rg.available_metrics().values():
        for key in card.references:
            assert f"`{key}`" in listed
