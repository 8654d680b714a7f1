"""Run a job in the project's own environment, making that environment first where need be.

    python3 .ci/bootstrap.py python -m repsim_geo.demo

The environment is .venv, with the package in editable form, its tools, and the versions of constraints.txt.
A record in it says what it was made from. While that still holds, the job starts at once, without pip. When
pyproject.toml or constraints.txt changed, pip brings .venv up to date; when the checkout moved, or Python or
torch is to be another one, .venv is made anew. An interrupted installation goes on where it stopped.

On Linux, PyPI's torch comes with gigabytes of CUDA, which the tests and the demo have no use for. So a CPU
build is looked for first, where pip is set up to look and then at PyTorch. To choose yourself, for a GPU say,
put what you would say to pip into REPSIM_GEO_TORCH; the choice is remembered for as long as .venv lives:

    REPSIM_GEO_TORCH=torch make test
    REPSIM_GEO_TORCH="torch --index-url https://download.pytorch.org/whl/cu130" make test
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
PINS = ROOT / "constraints.txt"
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
MADE_FROM = VENV / "made-from.json"
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"

# What an environment says of itself: its Python, and its torch if there is one; nothing if it is beyond
# repair. A package without RECORD is one whose installation was killed; pip would take it for complete.
SELF_PORTRAIT = """
import pip, sys, sysconfig
from importlib.metadata import distributions
found = list(distributions(path=[sysconfig.get_path("purelib")]))
if all(d.read_text("RECORD") for d in found):
    print("%d.%d" % sys.version_info[:2], *[d.version for d in found if d.metadata["Name"] == "torch"])
"""


def main(job):
    version = "%d.%d" % sys.version_info[:2]
    if sys.version_info < (3, 10):
        sys.exit(f"repsim_geo needs Python 3.10 or newer, this is {version}; try make PYTHON=python3.12 ...")
    record = read_record()
    wanted = {
        "checkout": str(ROOT),
        "python": version,
        "torch": os.environ.get("REPSIM_GEO_TORCH") or record["torch"],
        "files": hashlib.sha256(PROJECT.read_bytes() + PINS.read_bytes()).hexdigest(),
    }
    if record != wanted or not PYTHON.exists():
        make(record, wanted)
    if job:
        run(job)


def read_record():
    try:
        return json.loads(MADE_FROM.read_text())
    except (OSError, ValueError):  # no .venv yet, or a stranger's: if its Python is right, it will do
        return {"checkout": str(ROOT), "torch": ""}


def make(record, wanted):
    """Bring .venv from what `record` tells, or from nothing, to what is `wanted`."""
    start = time.monotonic()
    python, torch = self_portrait()
    if python != wanted["python"] or any(record[what] != wanted[what] for what in ("checkout", "torch")):
        make_empty(wanted["python"])
        torch = ""
    MADE_FROM.write_text(json.dumps({**wanted, "files": "unfinished"}))

    pins = PINS.read_text()
    if wanted["torch"]:
        say(f"installing {wanted['torch']}, as you asked")
        pip(f"install {wanted['torch']}")
        pins = "\n\n".join(part for part in pins.split("\n\n") if "\ntorch==" not in part)
    else:
        install_torch(re.search(r"^torch==(\S+)", pins, re.M).group(1), torch)
    say("installing repsim_geo and what it needs")
    (VENV / "constraints.txt").write_text(pins)
    pip("install --constraint .venv/constraints.txt --editable .[dev]")
    MADE_FROM.write_text(json.dumps(wanted))
    say(f"ready after {time.monotonic() - start:.0f} s; the next call starts at once")


def self_portrait():
    if not PYTHON.exists():
        return "", ""
    python, torch, *_ = [*call([PYTHON, "-I", "-c", SELF_PORTRAIT], may_fail=True).split(), "", ""]
    return python, torch


def make_empty(version):
    if not (find_spec("venv") and find_spec("ensurepip")):
        debian = f"sudo apt install python3-venv (or python{version}-venv)"
        sys.exit(f"This Python cannot make virtual environments. On Debian and Ubuntu: {debian}")
    say(f"making .venv with Python {version}")
    base = getattr(sys, "_base_executable", None) or sys.executable  # .venv may be what runs us
    call([base, "-m", "venv", "--clear", VENV])


def install_torch(version, present):
    """Install torch alone, a CPU build if one can be had. What it depends on comes later, with the rest."""
    if present.split("+")[0] == version:
        return
    if sys.platform == "linux":
        for place, option in ("your package index", ""), (CPU_BUILDS, f"--index-url {CPU_BUILDS}"):
            # Impatient, since there may be nobody to answer; the installation has pip's usual patience.
            listing = pip(f"index versions torch --timeout 5 --retries 0 {option}", may_fail=True)
            if f"{version}+cpu" in re.split(r"[\s,]+", listing):
                say(f"installing torch {version}+cpu from {place} (about 200 MB)")
                pip(f"install --no-deps torch=={version}+cpu {option}")
                return
        say(f"no CPU build of torch {version} within reach: the usual one brings several gigabytes of CUDA")
        say("to choose another, stop here and set REPSIM_GEO_TORCH, see .ci/bootstrap.py")
    say(f"installing torch {version}")
    pip(f"install --no-deps torch=={version}")


def run(job):
    """Become the job, with .venv activated."""
    path = str(BIN) + os.pathsep + os.environ.get("PATH", os.defpath)
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV), "PATH": path}
    environment.pop("PYTHONHOME", None)
    program = shutil.which(job[0], path=path) or sys.exit(f"There is no program called {job[0]}.")
    if os.name == "nt":  # exec there does not wait
        sys.exit(subprocess.call([program, *job[1:]], env=environment))
    os.execve(program, [program, *job[1:]], environment)


def pip(command, may_fail=False):
    return call([PYTHON, "-I", "-m", "pip", "--disable-pip-version-check", *shlex.split(command)], may_fail)


def call(command, may_fail=False):
    """Output of a command. If it fails, leave with all that it said; or, if it may, answer with nothing."""
    command = [str(word) for word in command]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode and not may_fail:
        say(f"this failed: {shlex.join(command)}\n\n{done.stdout}")
        sys.exit("repsim_geo: once the cause is mended, the next call goes on from here")
    return "" if done.returncode else done.stdout


def say(text):
    print(f"repsim_geo: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("repsim_geo: stopped; the next call goes on from here")
