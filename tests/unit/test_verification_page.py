"""docs/verification.md: what it says of other people's measures and manifolds is measured again."""

import re
from pathlib import Path

import pytest

from repsim_geo import verify
from repsim_geo.registry import available_metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
# Rounding differs from machine to machine: by less than this factor, it may decide a law either way.
TOO_CLOSE = 10.0
LITERATURE = [
    "one_minus_cka",
    "one_minus_rsa",
    "one_minus_mean_cca",
    "one_minus_mean_cca_few_inputs",
    "one_minus_regression",
    "squared_bures",
    "squared_procrustes",
    "one_minus_mutual_neighbors",
    "arccos_cka",
    "procrustes",
]


@pytest.fixture(scope="module")
def page():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "gallery"))
        patch.syspath_prepend(str(ROOT / "docs"))
        import make_verification  # pyright: ignore[reportMissingImports]  # found on the path just made

        yield make_verification


def said(page, block, title):
    """Verdict and broken laws of a line of the page."""
    for line in page.read(block).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[0] == title:
            broken = [] if cells[2] == "nothing" else cells[2].split(", ")
            return cells[1], {law.replace(" ", "_") for law in broken}
    raise AssertionError(f"{title} has no line in the block {block}")


def measured_again(page, block, subject):
    verdict, broken = said(page, block, subject.title)
    # What fails is expected to fail: strictly so, and without a search for its smallest counterexample.
    report = subject.report(expected_failures=dict.fromkeys(broken, "the page says so"))
    return verdict, broken, report


def agrees(page, block, subject):
    verdict, broken, report = measured_again(page, block, subject)
    held, asked = map(int, verdict.split(" of "))
    rows = [row for row in report.laws() if row["status"] != "skipped"]
    assert asked == len(rows)
    assert held == asked - len(broken)
    for law in report.broken:
        severities = [r.severity for r in report._records if r.law == law and r.residual == r.residual]
        worst = max(severities, default=float("inf"))
        assert 1 / TOO_CLOSE < worst < TOO_CLOSE, f"{subject.title}: {law} has changed sides\n{report}"


def test_all_measures_of_the_literature_are_tested(page):
    assert [measure.name for measure in page.literature().MEASURES] == LITERATURE


@pytest.mark.parametrize("name", LITERATURE)
def test_page_says_what_measures_of_the_literature_break(page, name):
    agrees(page, "literature", page.measures()[LITERATURE.index(name)])


@pytest.mark.parametrize("k", range(5))
def test_page_says_what_manifolds_of_geoopt_break(page, k):
    agrees(page, "geoopt", page.manifolds()[k])


def test_metrics_of_the_literature_keep_the_axioms_and_their_claims(page):
    orders = {law.name: law.order for law in verify.NETWORK_LAWS}
    metrics = [measure for measure in page.literature().MEASURES if measure.metric]
    assert len(metrics) == 2
    for measure in metrics:
        _, broken = said(page, "literature", measure.title)
        # That they do so today, too, is what the test above says; digits are what is left to lose.
        assert {orders[law] for law in broken} <= {2}, measure.name


def test_what_is_not_a_metric_breaks_an_axiom_or_cannot_see_near_networks(page):
    for measure in page.literature().MEASURES:
        _, broken = said(page, "literature", measure.title)
        if not measure.metric and measure.name != "one_minus_mutual_neighbors":
            assert "networks_keep_the_triangle_inequality" in broken, measure.name
    # It keeps the axioms, and cannot see small changes; on one line all neighbors are ties.
    axioms = {law.name for law in verify.NETWORK_LAWS if law.order == 0}
    broken = said(page, "literature", "1 − mutual 3-NN overlap")[1]
    assert "near_networks_are_resolved" in broken
    assert not broken & axioms


def test_page_has_a_line_for_every_metric_of_the_registry(page):
    for key in available_metrics():
        said(page, "metrics", f"`{key}`")


@pytest.mark.parametrize("block", ["laws", "scenes"])
def test_lists_are_up_to_date(page, block):
    assert page.read(block) == "\n".join(page.BLOCKS[block]()).strip(), (
        f"run python docs/make_verification.py --write --only {block}"
    )


def test_every_law_has_a_line(page):
    for law in {*verify.LAWS, *verify.METRIC_LAWS, *verify.ISOMETRY_LAWS}:
        assert f"| `{law.name}` |" in page.read("laws")


BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", BLOCKS)
def test_examples_run(code):
    exec(compile(code, "docs/verification.md", "exec"), {"__name__": "example"})


def test_page_shows_its_picture():
    (image,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)
    assert (ROOT / "docs" / image).is_file()
