"""Public names are an inventory: adding one is a decision, removing one takes a release of warning first."""

import ast
import json
import pathlib
import subprocess
import sys

import pytest

import repsim_geo as rg

HERE = pathlib.Path(__file__).parent


def test_public_names_are_those_of_the_inventory():
    wanted = json.loads((HERE / "surface.json").read_text())
    assert sorted(rg.__all__) == wanted["repsim_geo"], (
        "public names changed: update tests/api/surface.json and CHANGELOG.md; "
        "a removed name needs a warning shim for one minor release"
    )


def test_every_public_name_can_be_imported():
    for name in rg.__all__:
        assert getattr(rg, name) is not None
        assert name in dir(rg)


def test_lazy_names_are_those_that_type_checkers_see():
    tree = ast.parse(pathlib.Path(rg.__file__).read_text())
    imports = {
        alias.name: node.module.removeprefix("repsim_geo.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert imports == rg._HOME


@pytest.mark.parametrize("name", ["compare", "pairwise"])
def test_importing_a_module_does_not_hide_the_function_of_its_name(name):
    code = f"from repsim_geo.{name} import {name}; import repsim_geo as rg; rg.{name}.__call__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(rg, "no_such_name")  # noqa: B009 - the name must not be looked up by the linter


def loaded_after(statement):
    code = f"import sys; {statement}; print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_import_loads_nothing_heavy():
    heavy = {"geoopt", "scipy", "sklearn", "matplotlib", "hypothesis", "pandas", "joblib", "pytest"}
    assert not heavy & loaded_after("import repsim_geo")


def test_comparing_does_not_load_statistics_or_plots():
    heavy = {"sklearn", "matplotlib", "hypothesis", "pandas", "joblib", "pytest"}
    assert not heavy & loaded_after("import repsim_geo; repsim_geo.compare")
