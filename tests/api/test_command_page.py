"""The commands of the page say what the page shows."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from repsim_geo import cli
from repsim_geo.io import save_activations

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"


def make_files():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((100, 20))
    Path("runs").mkdir()
    for name in "abcd":
        noise = 0.5 * rng.standard_normal((100, 16))
        np.save(f"runs/{name}.npy", np.tanh(inputs @ rng.standard_normal((20, 16)) / 4) + noise)
    for name, width in (("small", 8), ("large", 32)):
        layers, h = {}, inputs
        for layer in ("block1", "block2", "head"):
            h = np.tanh(h @ rng.standard_normal((h.shape[1], width)) / np.sqrt(h.shape[1]))
            layers[layer] = h
        save_activations(layers, f"{name}.npz", ids=[f"input{i}" for i in range(100)])


def blocks():
    """Commands of the page, and what follows them there."""
    text = "\n".join(re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.S))
    return [part.split("\n", 1) for part in re.split(r"^\$ ", text, flags=re.M)[1:]]


def numbers_apart(line):
    """Words of a line, numbers as numbers."""
    words = line.split()
    return [float(w) if re.fullmatch(r"-?[\d.]+(e-?\d+)?", w) else w for w in words]


def test_commands_say_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_files()
    for command, shown in blocks():
        program, *arguments = shlex.split(command)
        assert program == "repsim-geo"
        result = CliRunner().invoke(cli.app(), arguments)
        assert result.exit_code == 0, result.output
        said, wanted = result.stdout.strip().splitlines(), shown.strip().splitlines()
        assert len(said) == len(wanted), f"{command}\n{result.stdout}"
        for one, other in zip(said, wanted, strict=True):
            for found, expected in zip(numbers_apart(one), numbers_apart(other), strict=True):
                if isinstance(expected, float):
                    # Four digits are shown; maps and means are minima.
                    assert found == pytest.approx(expected, rel=2e-3, abs=2e-3), f"{command}\n{result.stdout}"
                else:
                    assert found == expected, f"{command}\n{result.stdout}"
    for file in ("distances.csv", "distances.png", "map.png", "mean.npz", "paths.png"):
        assert Path(file).stat().st_size > 0


def test_every_command_is_on_the_page():
    page = PAGE.read_text()
    names = {command.name or command.callback.__name__ for command in cli.app().registered_commands}
    assert names == {"compare", "pairwise", "embed", "mean", "path", "metrics", "verify", "demo"}
    for name in names:
        assert f"| `{name}" in page
