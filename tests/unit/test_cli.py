"""The command repsim-geo: what it accepts, what it says, and how it leaves."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from repsim_geo import cli
from repsim_geo.verify.profiles import PROFILES

MODULE = """
import numpy as np
import torch
from repsim_geo import AngularCKA, UnitSphere, verify

def cosine(x, y):
    return 1 - np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y)

def gram(x, y):
    return float(np.linalg.norm(x @ x.T - y @ y.T))

class Euclid(torch.nn.Module):
    def forward(self, x, y):
        return (x - y).norm()

euclid = Euclid()
circle = UnitSphere(1)
located = (circle, (2,))
case = verify.DistanceCase(gram, 6, 3, name="my case")

def make():
    return located

def broken():
    raise RuntimeError("first line\\nsecond line")

def embedding(x, scale=1.0):
    return x

class Box:
    metric = AngularCKA()

class Power:
    def __init__(self, p):
        self.p = p

number = 3
"""
BASIC = ("--scene", "on_the_way", "--examples", "0", "--dtype", "float64")
TRIANGLE = ("--law", "networks_keep_the_triangle_inequality", "--same-width")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A directory with modules of a user, in which the command is run."""
    (tmp_path / "mine_cli.py").write_text(MODULE)
    (tmp_path / "raises_cli.py").write_text("raise KeyError('missing')")
    (tmp_path / "leaves_cli.py").write_text("import sys; sys.exit('no')")
    (tmp_path / "needs_cli.py").write_text("import something_absent_cli")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("mine_cli", "raises_cli", "leaves_cli", "needs_cli"):
        sys.modules.pop(name, None)


def run(*arguments):
    return CliRunner().invoke(cli.app(), [str(a) for a in arguments], prog_name="repsim-geo")


def refused(*arguments):
    """What a wrong command says: one line on standard error, and nothing else."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("repsim-geo")
    return result.stderr


# ------------------------------------------------------------------ what holds


@pytest.mark.parametrize(
    "subject", ["linear_cka_angle", "mine_cli:Box.metric", "repsim_geo:Stress", "mine_cli:gram"]
)
def test_distances_and_metrics_are_verified(mine, subject):
    result = run("verify", subject, "--m", 6, "--d", 3, "--examples", 0, *TRIANGLE)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{subject}: 1 of 1 laws hold")
    assert result.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["mine_cli:circle", "--point", "2"],
        ["mine_cli:located"],
        ["mine_cli:located", "--point", "3"],
        ["mine_cli:make"],
        ["repsim_geo:UnitSphere", "--point", "2,2"],
    ],
)
def test_manifolds_are_verified(mine, arguments):
    result = run("verify", *arguments, "--law", "distance_to_self_is_zero", "--examples", 0)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{arguments[0]}: 1 of 1 laws hold")


def test_a_case_keeps_its_name_and_takes_other_sizes(mine):
    few = run("verify", "mine_cli:case", *BASIC, *TRIANGLE)
    assert (few.exit_code, few.stdout.split(":")[0]) == (0, "my case")


def test_a_module_of_torch_with_two_arguments_is_a_distance(mine):
    assert run("verify", "mine_cli:euclid", *BASIC, *TRIANGLE).exit_code == 0


def test_claims_are_asked(mine):
    law = ("--law", "isotropic_scaling_changes_nothing", "--examples", 0, "--scene", "unrelated")
    assert run("verify", "mine_cli:gram", *law, "--invariance", "isotropic_scaling").exit_code == 1
    noticed = ("--law", "isotropic_scaling_is_noticed", "--examples", 0, "--scene", "unrelated")
    assert run("verify", "mine_cli:gram", *noticed, "--invariance", "none").exit_code == 0


def test_examples_come_from_the_profile(mine, monkeypatch):
    asked = []
    check = importlib.import_module("repsim_geo.verify").check
    monkeypatch.setattr(
        "repsim_geo.verify.check", lambda case, **o: asked.append(o["examples"]) or check(case, **o | SHORT)
    )
    for options in ([], ["--profile", "ci"], ["--profile", "ci", "--examples", 3]):
        run("verify", "mine_cli:gram", *TRIANGLE, *options)
    assert asked == [PROFILES["dev"]["max_examples"], PROFILES["ci"]["max_examples"], 3]
    assert [p.value for p in cli.Profile] == list(PROFILES)


SHORT = {"examples": 0, "scenes": ["on_the_way"]}


# ------------------------------------------------------------------ what fails


def test_a_broken_law_is_status_1_with_its_counterexample(mine):
    result = run("verify", "mine_cli:cosine", *BASIC, *TRIANGLE)
    assert result.exit_code == 1
    assert "failed: networks_keep_the_triangle_inequality on on_the_way, float64" in result.stdout
    assert "Smallest counterexample" in result.stdout


def test_an_expected_failure_is_status_0_and_must_fail(mine):
    name = "networks_keep_the_triangle_inequality"
    result = run("verify", "mine_cli:cosine", *BASIC, *TRIANGLE, "--expect", f"{name}=it is a square")
    assert (result.exit_code, "1 fail as expected" in result.stdout) == (0, True)
    assert run("verify", "mine_cli:gram", *BASIC, *TRIANGLE, "--expect", f"{name}=so").exit_code == 1


def test_nothing_that_could_be_asked_is_status_1(mine):
    law = "distances_of_networks_are_within_the_range"
    result = run("verify", "mine_cli:gram", *BASIC, "--law", law)
    assert (result.exit_code, "nothing was checked" in result.stdout) == (1, True)


# ------------------------------------------------------------- what is shown


def test_reports_go_to_files_and_to_standard_output(mine):
    options = ("verify", "mine_cli:gram", *BASIC, *TRIANGLE)
    result = run(*options, "--json", "a.json", "--markdown", "a.md", "--table")
    assert json.loads(Path("a.json").read_text())["ok"]
    assert Path("a.md").read_text().startswith("**mine_cli:gram: 1 of 1 laws hold")
    assert "status" in result.stdout.splitlines()[2]
    assert json.loads(run(*options, "--json", "-").stdout)["subject"] == "mine_cli:gram"
    assert run(*options, "--markdown", "-", "--quiet").stdout.startswith("**mine_cli:gram")
    assert run(*options, "--quiet").output == ""


def test_lists_of_laws_and_scenes(mine):
    everything = run("verify", "--list")
    assert everything.exit_code == 0
    for words in ("Laws of isometries", "triangle_inequality", "d(x, z) <= d(x, y)", "on_the_way"):
        assert words in everything.stdout
    own = run("verify", "mine_cli:located", "--list").stdout
    assert "log_inverts_exp" in own
    assert "networks_keep_the_triangle_inequality" not in own


def test_help_and_version():
    assert "verify" in run("--help").stdout
    assert run("--version").stdout.startswith("repsim-geo 0.")
    assert run().exit_code == 2
    text = run("verify", "--help").stdout
    for option in ("--point", "--invariance", "--profile", "--markdown", "--traceback"):
        assert option in text


# ------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "verify needs a subject. Give the name"),
        ("cka", "no metric called 'cka'. Did you mean 'angular_cka'?"),
        ("mine_cli.cosine", "write mine_cli:cosine."),
        ("hsic", "is a similarity score, not a distance"),
        ("mine_cli.py:cosine", "got the file mine_cli.py. Write mine_cli:cosine"),
        ("mine_cli:", "must be a name or module:object, got 'mine_cli:'"),
        ("absent_cli:x", "no module called 'absent_cli'"),
        ("mine_cli.absent:x", "no module called 'mine_cli.absent'"),
        ("needs_cli:x", "importing needs_cli raised ModuleNotFoundError: No module named 'something_absent"),
        ("raises_cli:x", "importing raises_cli raised KeyError: 'missing'. Correct it; --traceback shows"),
        ("leaves_cli:x", "importing leaves_cli raised SystemExit: no."),
        ("mine_cli:cosin", "mine_cli has no 'cosin'. Did you mean 'cosine'?"),
        ("mine_cli:zzz", "mine_cli has no 'zzz'. It defines: Box,"),
        ("mine_cli:Box.zzz", "mine_cli:Box has no 'zzz'. It defines: metric."),
        ("mine_cli:circle", "mine_cli:circle is a manifold: say the shape of a point, for example --point"),
        ("mine_cli:circle --point a", "--point must be the shape of a point, got 'a'. Write 5"),
        ("mine_cli:circle --point 0", "--point must be the shape of a point, got '0'"),
        ("mine_cli:embedding", "must be a distance d(x, y), or need no arguments"),
        ("mine_cli:Power", "a class that needs no arguments, got Power(p). Name an object"),
        ("mine_cli:broken", "calling mine_cli:broken() raised RuntimeError: first line second line."),
        ("mine_cli:number", "mine_cli:number cannot be verified: what is verified must be a metric"),
        (
            "mine_cli:located --m 3",
            "--m is for metrics and functions d(x, y), which mine_cli:located is not.",
        ),
        ("stress --same-width --point 3", "--point is for manifolds"),
        ("stress --invariance scale", "--invariance is for functions d(x, y), which stress is not. Leave it"),
        ("mine_cli:gram --invariance zzz", "no invariance called 'zzz'. Known:"),
        ("mine_cli:gram --invariance none --invariance scale", "--invariance none claims that everything"),
        ("mine_cli:gram --law triangle_inequality", "Did you mean 'networks_keep_the_triangle_inequality'?"),
        ("mine_cli:gram --law zzz", "no law called 'zzz' is asked of mine_cli:gram. Add --list"),
        (
            "mine_cli:gram --scene neer",
            "no scene called 'neer' is asked of mine_cli:gram. Did you mean 'near'",
        ),
        ("mine_cli:gram --expect zzz", "--expect must be a law and why it fails, got 'zzz'. Write"),
        ("mine_cli:gram --expect zzz=so", "no law called 'zzz' is asked of mine_cli:gram"),
        ("mine_cli:gram --json absent/a.json", "a file in a directory that exists, got absent/a.json."),
        ("mine_cli:gram --json - --markdown -", "--json and --markdown must differ, got - for both."),
        ("affine_invariant --m 1", "must embed 1 inputs by 4 units"),
        ("mine_cli:gram --backend jax", "'jax' is not one of"),
        ("mine_cli:gram --m 0", "--m"),
        ("mine_cli:gram --zzz", "No such option: --zzz"),
    ],
)
def test_wrong_commands_say_what_to_do(mine, arguments, words):
    assert words in refused("verify", *arguments.split())


def test_an_unknown_command_suggests_one():
    assert "verify" in refused("verfy")


def test_a_report_that_cannot_be_written_is_a_mistake_after_the_report(mine, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("repsim_geo._files.os.fsync", full)
    result = run("verify", "mine_cli:gram", *BASIC, *TRIANGLE, "--json", "a.json")
    assert result.exit_code == 2
    assert "1 of 1 laws hold" in result.stdout
    assert "a.json cannot be written: No space left on device. Choose another file." in result.stderr


@pytest.mark.parametrize("subject", ["raises_cli:x", "mine_cli:broken"])
def test_a_traceback_is_shown_on_request(mine, subject):
    # CliRunner replaces sys.stderr, where traceback writes.
    result = run("verify", subject, "--traceback")
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert subject.partition(":")[0] in result.stderr
    assert result.stderr.splitlines()[-1].startswith("repsim-geo: ")


def test_errors_inside_of_a_check_are_one_line(mine, monkeypatch):
    def fails(*arguments, **options):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("repsim_geo.verify.check", fails)
    assert "ZeroDivisionError: by zero. --traceback shows where." in refused("verify", "mine_cli:gram")


def test_interruption_is_status_130(mine, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("repsim_geo.verify.check", stop)
    assert run("verify", "mine_cli:gram").exit_code == 130


# ------------------------------------------------------------- the process itself


def process(*arguments, code=None, cwd=None):
    start = ["-c", code] if code else ["-m", "repsim_geo.cli"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *start, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )


def test_module_runs_as_a_program_in_the_directory_of_the_user(mine):
    done = process("verify", "mine_cli:cosine", *BASIC, *TRIANGLE, cwd=mine)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("mine_cli:cosine: 0 of 1 laws hold")


def test_without_typer_one_line_says_what_to_install():
    done = process(code="import sys; sys.modules['typer'] = None; from repsim_geo.cli import main; main([])")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "needs typer" in done.stderr
    assert "repsim-geo[cli]" in done.stderr


def test_help_does_not_load_torch():
    code = (
        "import sys\nfrom repsim_geo import cli\nassert 'typer' not in sys.modules\n"
        "try: cli.main(['verify', '--help'])\nfinally: assert 'torch' not in sys.modules"
    )
    assert process(code=code).returncode == 0


def test_entry_point_is_declared():
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert '[project.scripts]\nrepsim-geo = "repsim_geo.cli:main"' in project.read_text()
