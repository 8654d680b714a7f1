"""The command ``repsim-geo verify``: laws of a metric, a manifold or any distance."""

# No annotations from __future__: typer evaluates those of the command, which is made inside of a function.

import difflib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repsim_geo.cli.common import FAILS, HOLDS, UsageError, called, told, write_text

if TYPE_CHECKING:
    from repsim_geo.verify import Case, Report


# Choices that help and completion show, without importing what they stand for.
class Backend(str, Enum):
    """What a function is called with."""

    torch = "torch"
    numpy = "numpy"


class Precision(str, Enum):
    """Precision of the computation."""

    float64 = "float64"
    float32 = "float32"


class Profile(str, Enum):
    """How long to look for counterexamples."""

    dev = "dev"
    ci = "ci"
    nightly = "nightly"


# Each paragraph is one line, for the terminal to break.
_HELP = (
    "Verify a metric, a manifold or any distance: every law on every scene.\n\n"
    "SUBJECT is the name of a registered metric, or module:object. The object can be a metric, a manifold, a "
    "pair (embedding, manifold) or (manifold, shape of a point), a case of repsim_geo.verify, a class or a "
    "factory of any of these, or a function d(x, y) of two networks (inputs, units). Modules are looked for "
    "in the current directory, too.\n\n"
    "The exit status is 0 if all laws hold that apply, 1 if one fails or none could be asked, and 2 if the "
    "command is wrong."
)
_EXAMPLES = (
    "Examples:\n\n"
    "repsim-geo verify angular_cka --profile ci\n\n"
    "repsim-geo verify geoopt:Sphere --point 5 --table\n\n"
    "repsim-geo verify my_module:my_distance --invariance orthogonal --same-width"
)


# ---------------------------------------------------------------------- verify


def add_verify(application: Any, typer: Any) -> None:
    """Add the command to the application."""

    def option(group: str, default: Any, *names: str, **more: Any) -> Any:
        return typer.Option(default, *names, rich_help_panel=group, **more)

    subject_is, asked, shown = "The subject", "What is asked of it", "What is shown"

    @application.command(help=_HELP, epilog=_EXAMPLES)
    def verify(
        subject: str | None = typer.Argument(
            None,
            metavar="SUBJECT",
            show_default=False,
            help="Name of a metric, or module:object.",
        ),
        point: str | None = option(
            subject_is, None, metavar="SHAPE", help="Shape of a point of a manifold, such as 5,3."
        ),
        m: int | None = option(
            subject_is, None, "--m", metavar="N", min=1, help="Inputs (rows) of the networks."
        ),
        d: int | None = option(
            subject_is, None, "--d", metavar="N", min=1, help="Units (columns) of the networks."
        ),
        same_width: bool = option(
            subject_is, False, "--same-width", help="Give all networks equally many units."
        ),
        backend: Backend | None = option(
            subject_is, None, help="What a function is called with; found out if left out."
        ),
        invariance: list[str] = option(
            subject_is,
            [],
            metavar="NAME",
            help="What a function claims not to notice; it must then notice the rest. 'none' claims that it "
            "notices all. Repeat for more.",
        ),
        expect: list[str] = option(
            subject_is,
            [],
            metavar="LAW=REASON",
            help="A law that is known to fail, and must. Repeat for more.",
        ),
        law: list[str] = option(
            asked, [], metavar="NAME", help="Ask this law; all if left out. Repeat for more."
        ),
        scene: list[str] = option(
            asked, [], metavar="NAME", help="Ask on this scene; on all if left out. Repeat for more."
        ),
        dtype: list[Precision] = option(
            asked,
            [],
            metavar="float64|float32",
            help="Compute in this precision; in both if left out. Repeat for more.",
        ),
        seed: int = option(asked, 0, metavar="N", min=0, help="Of everything random."),
        profile: Profile = option(
            asked, Profile.dev, help="How many scenes to draw beside those with names."
        ),
        examples: int | None = option(
            asked, None, metavar="N", min=0, help="Draw so many, whatever the profile."
        ),
        listing: bool = option(
            shown, False, "--list", help="List laws and scenes, of SUBJECT or all; check nothing."
        ),
        table: bool = option(shown, False, "--table", help="Show a line for each law, not only what fails."),
        quiet: bool = option(shown, False, "--quiet", "-q", help="Show nothing: the exit status tells."),
        json: str | None = option(
            shown, None, metavar="FILE", help="Write all records here; '-' shows them in place of the report."
        ),
        markdown: str | None = option(
            shown,
            None,
            metavar="FILE",
            help="Write the report here, in Markdown; '-' shows it in place of the other.",
        ),
        show_traceback: bool = option(
            shown, False, "--traceback", help="Show where an error in your module arises."
        ),
    ) -> None:
        details = {"point": _point(point), "m": m, "d": d, "same_width": same_width or None}
        details |= {"backend": backend and backend.value, "invariances": _claims(invariance)}
        expected = dict(map(_expectation, expect))
        files = {"to_json": json, "to_markdown": markdown}
        check_files(*files.values())
        with told(show_traceback):
            case = None if subject is None else _case(subject, details)
            catalog = _catalog(case) if listing else ""
        if listing:
            typer.echo(catalog)
            raise typer.Exit
        if case is None:
            raise UsageError(
                "verify needs a subject. Give the name of a metric such as angular_cka, or module:object."
            )
        if not quiet and sys.stderr.isatty():
            typer.echo(f"verifying {case} ...", err=True)
        with told(show_traceback):
            report = _checked(
                case, law, scene, [p.value for p in dtype], seed, profile.value, examples, expected
            )
        pages = {file: getattr(report, page)().rstrip("\n") for page, file in files.items() if file}
        if "-" in pages or not quiet:
            typer.echo(pages.pop("-", report.table() if table else str(report)))
        for file, text in pages.items():
            write_text(file, text)
        raise typer.Exit(HOLDS if report.ok else FAILS)


def _point(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        point = tuple(map(int, text.split(",")))
    except ValueError:
        point = ()
    if not point or min(point) < 1:
        raise UsageError(
            f"--point must be the shape of a point, got {text!r}. Write 5 for vectors, 5,3 for matrices."
        )
    return point


def _claims(names: Sequence[str]) -> tuple[str, ...] | None:
    """Invariances that are claimed; None for no claim, () for the claim that there are none."""
    if "none" in names and len(names) > 1:
        raise UsageError(
            f"--invariance none claims that everything is noticed, got also "
            f"{', '.join(n for n in names if n != 'none')}. Leave one of them out."
        )
    return (() if "none" in names else tuple(names)) if names else None


def _expectation(text: str) -> tuple[str, str]:
    law, _, reason = (part.strip() for part in text.partition("="))
    if not (law and reason):
        raise UsageError(
            f"--expect must be a law and why it fails, got {text!r}. "
            "Write for example --expect 'triangle_inequality=it is a squared distance'."
        )
    return law, reason


# ----------------------------------------------------------------- the subject


def _case(subject: str, details: Mapping[str, Any]) -> "Case":
    """Case of a metric's name or of ``module:object``, with the details that the options give."""
    from geoopt.manifolds.base import Manifold

    from repsim_geo.verify.cases import as_case

    given = {name: value for name, value in details.items() if value is not None}
    thing = found = _imported(subject) if ":" in subject else _registered(subject)
    if isinstance(thing, Manifold) and not hasattr(thing, "card"):
        if "point" not in given:
            raise UsageError(f"{subject} is a manifold: say the shape of a point, for example --point 5,3.")
        thing = (thing, given["point"])
    try:
        case = as_case(thing)
    except TypeError as error:
        raise UsageError(f"{subject} cannot be verified: {error}") from error
    known = {field.name for field in fields(case)}
    for name in given:
        if name not in known:
            option = {"invariances": "invariance"}.get(name, name).replace("_", "-")
            raise UsageError(f"--{option} is for {_SUBJECTS[name]}, which {subject} is not. Leave it out.")
    return replace(case, name=case.name or subject, written=case.written or _source(subject, found), **given)


def _source(subject: str, thing: Any) -> str:
    """Python that gives the subject, where it is short; nothing for a case, which is more."""
    from repsim_geo.verify import Case, ManifoldCase
    from repsim_geo.verify.cases import as_case

    if ":" not in subject:
        return f"from repsim_geo.registry import as_metric; as_metric({json.dumps(subject)})"
    module, _, name = subject.partition(":")
    if not name.isidentifier() or isinstance(thing, Case):
        return ""
    made = "" if getattr(sys.modules[module], name) is thing else "()"
    pair = "[0]" if isinstance(thing, tuple) and isinstance(as_case(thing), ManifoldCase) else ""
    return f"from {module} import {name}; {name}{made}{pair}"


_NETWORKS = "metrics and functions d(x, y)"
_SUBJECTS = {
    "point": "manifolds",
    "m": _NETWORKS,
    "d": _NETWORKS,
    "same_width": _NETWORKS,
    "backend": "functions d(x, y)",
    "invariances": "functions d(x, y)",
}


def _registered(name: str) -> Any:
    from repsim_geo.errors import UnknownMetricError
    from repsim_geo.registry import as_metric

    try:
        return as_metric(name)
    except UnknownMetricError as error:
        module, _, path = name.removesuffix(".py").rpartition(".")
        place = f"{module}:{path}" if module else "module:object"
        raise UsageError(f"{error} For an object of yours, write {place}.") from error


def _imported(subject: str) -> Any:
    """The object of ``module:object``; of a class or a factory, what it makes."""
    module, _, path = subject.partition(":")
    if not (module and path):
        raise UsageError(f"the subject must be a name or module:object, got {subject!r}.")
    if module.endswith(".py") or "/" in module or os.sep in module:
        name = Path(module).with_suffix("").name
        raise UsageError(
            f"the subject must name a module, got the file {module}. "
            f"Write {name}:{path}, in the directory of the file."
        )
    # As `python -m` does.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    thing = called(f"importing {module}", _module, module)
    place = module
    for i, name in enumerate(path.split(".")):
        if not hasattr(thing, name):
            raise UsageError(_lacks(thing, place, name))
        thing, place = getattr(thing, name), f"{place}{'.' if i else ':'}{name}"
    return _made(thing, subject)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that exists may miss another one, which is another mistake.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"no module called {error.name!r}, neither in {os.getcwd()} nor among what is installed. "
            "Run the command where the module is, or install it."
        ) from error


def _lacks(thing: Any, place: str, name: str) -> str:
    names = [known for known in dir(thing) if not known.startswith("_")]
    near = difflib.get_close_matches(name, names, n=1)
    here = [n for n in names if getattr(getattr(thing, n, None), "__module__", None) == place] or names
    hint = f"Did you mean {near[0]!r}?" if near else f"It defines: {', '.join(here) or 'nothing'}."
    return f"{place} has no {name!r}. {hint}"


def _made(thing: Any, subject: str) -> Any:
    """What a class or a factory makes; anything else as it is."""
    from geoopt.manifolds.base import Manifold

    from repsim_geo.verify import Case

    if inspect.isclass(thing):
        if _required(thing):
            raise UsageError(
                f"{subject} must be a class that needs no arguments, got {_signed(thing)}. "
                "Name an object of it, made in your module."
            )
        return called(f"calling {subject}()", thing)
    if isinstance(thing, Manifold | Case) or hasattr(thing, "card") or not callable(thing):
        return thing
    required = _required(thing)
    if required == 0:
        return called(f"calling {subject}()", thing)
    if required not in (2, None):
        raise UsageError(
            f"{subject} must be a distance d(x, y), or need no arguments and make what is verified, "
            f"got {_signed(thing)}. Wrap it in a function that does."
        )
    return thing


def _required(function: Any) -> int | None:
    """Number of arguments that a call cannot do without; None if it is not known."""
    try:
        # Modules of torch take anything, and hand it to forward.
        parameters = inspect.signature(getattr(function, "forward", function)).parameters.values()
    except (TypeError, ValueError):
        return None
    if not inspect.isclass(function) and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def _signed(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return f"{name}{inspect.signature(getattr(function, 'forward', function))}"


# ------------------------------------------------------------------- the check


def _checked(
    case: "Case",
    laws: Sequence[str],
    scenes: Sequence[str],
    dtypes: Sequence[str],
    seed: int,
    profile: str,
    examples: int | None,
    expected: Mapping[str, str],
) -> "Report":
    import torch

    from repsim_geo.verify import check
    from repsim_geo.verify.judge import BUILDING
    from repsim_geo.verify.profiles import PROFILES

    parts = case.parts()
    known = [law.name for part in parts for law in part.laws]
    for name in laws:
        _check_name(name, "law", known, case)
    for name in expected:
        _check_name(name, "law", [*known, BUILDING], case)
    for name in scenes:
        _check_name(name, "scene", [scene.name for part in parts for scene in part.scenes], case)
    return check(
        case,
        laws=laws or None,
        scenes=scenes or None,
        dtypes=[getattr(torch, name) for name in dict.fromkeys(dtypes or ("float64", "float32"))],
        seed=seed,
        examples=PROFILES[profile]["max_examples"] if examples is None else examples,
        expected_failures=expected,
        on_fail="report",
    )


def _check_name(name: str, kind: str, known: Sequence[str], case: "Case") -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"no {kind} called {name!r} is asked of {case}.{hint} Add --list to see all.")


def _catalog(case: "Case | None") -> str:
    """Laws and scenes with what they say: those of a case, or all."""
    from repsim_geo import verify

    chapters: list[tuple[str, Sequence[Any]]] = [
        ("Laws of manifolds", verify.LAWS),
        ("Laws of distances and metrics", verify.METRIC_LAWS),
        ("Laws of isometries", verify.ISOMETRY_LAWS),
        ("Scenes of points", verify.SCENES),
        ("Scenes of networks", verify.NETWORK_SCENES),
    ]
    if case is not None:
        parts = case.parts()
        chapters = [(f"Laws of {part.name}", part.laws) for part in parts]
        chapters += [(f"Scenes of {part.name}", part.scenes) for part in parts]
    width = max(len(entry.name) for _, entries in chapters for entry in entries)
    return "\n\n".join(
        "\n".join([f"{title} ({len(entries)})", *(f"  {e.name:{width}}  {_says(e)}" for e in entries)])
        for title, entries in chapters
    )


def _says(entry: Any) -> str:
    """Statement of a law, description of a scene."""
    return entry.statement if hasattr(entry, "statement") else entry.description


# ------------------------------------------------------------------ the report


def check_files(*files: str | None) -> None:
    """Refuse, before the work is done, what cannot be written after it."""
    for file in files:
        if file and files.count(file) > 1:
            raise UsageError(f"--json and --markdown must differ, got {file} for both. Choose another file.")
        if file and file != "-" and (Path(file).is_dir() or not Path(file).parent.is_dir()):
            raise UsageError(
                f"a report goes to a file in a directory that exists, got {file}. Choose another name."
            )
