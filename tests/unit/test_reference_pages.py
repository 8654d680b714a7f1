"""The reference of the documentation has a page for every public name; names and citations lead somewhere."""

import importlib
import pathlib
import sys

import pytest

import repsim_geo as rg

pytest.importorskip("sphinx_gallery", reason="the tools of the documentation are not installed")
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "docs" / "reference"))
contents, links = importlib.import_module("contents"), importlib.import_module("links")


def test_every_public_name_has_one_place():
    names = [entry.name for section in contents.places().values() for entry in section]
    assert set(rg.__all__) <= set(names)
    assert {f"optim.{name}" for name in rg.optim.__all__} <= set(names)
    assert len(names) == len(set(names))


def test_a_module_without_a_section_is_named(monkeypatch):
    monkeypatch.setattr(contents, "GROUPS", contents.GROUPS[1:])
    with pytest.raises(ValueError, match=r"compare of repsim_geo\.compare has none\. Add its module"):
        contents.places()


def test_pages_are_written_and_stale_ones_removed(tmp_path):
    (tmp_path / "class-NoSuchName.rst").write_text("old")
    contents.write(tmp_path)
    assert (tmp_path / "class-AngularCKA.rst").exists()
    assert not (tmp_path / "class-NoSuchName.rst").exists()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(*batch, m) and *the* mean_", r"(\*batch, m) and *the* mean\_"),
        ("``*batch`` and `mean_`", "``*batch`` and `mean_`"),
        ('"**.relu"', r'"\*\*.relu"'),
        ("*two\nlines*", "*two\nlines*"),
        ("mean_ is\n\n>>> fit(*x).mean_\n2\n\nmean_", "mean\\_ is\n\n>>> fit(*x).mean_\n2\n\nmean\\_"),
        ("So::\n\n    a_ (*b\n\nmean_", "So::\n\n    a_ (*b\n\nmean\\_"),
    ],
)
def test_shapes_and_results_in_sentences_are_no_markup(text, wanted):
    assert contents.escaped(text) == wanted


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Székely and Rizzo 2014", "szekely2014"),
        ("Schütt et al. 2023", "schuett2023"),
        ("Rousseeuw and\nVan Driessen 2006", "rousseeuw2006"),
        ("Huang, Gallivan and Absil (2015)", "huang2015"),
        ("de Leeuw 1977", "deleeuw1977"),
    ],
)
def test_citations_are_found_under_their_keys(text, key):
    assert [(found, present) for _, _, found, present in links.cited(text, {key})] == [(key, True)]


def test_words_are_names_only_when_something_says_so():
    names = {"path": ("a", "b"), "RBF": ("c", "d"), "frechet_mean": ("e", "f")}
    assert links.target_of("path", names) is None
    assert links.target_of("rg.path", names) == links.target_of("path(x, y)", names) == ("a", "b")
    assert links.target_of("RBF", names) == ("c", "d")
    assert links.target_of("frechet_mean", names) == ("e", "f")
    assert links.target_of("x.mean(0)", names) is None
