"""
The pages of the reference: one for each public name, and one for each group of them.

Names come from `repsim_geo._HOME` and from ``__all__`` of the public modules, so that none can be forgotten:
a name whose module belongs to no section below stops the build.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import repsim_geo
from repsim_geo.registry import as_metric, available_metrics

# Page, title, first sentence, and sections: a title with the modules whose names it holds. The longest module
# that fits decides, so that "stats" is where the names of a new module under stats/ go.
GROUPS: tuple[tuple[str, str, str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (
        "comparing",
        "Comparing",
        "Distances and scores of activations, two at a time or all pairs; see :doc:`/scaling`.",
        (
            ("One pair, all pairs", ("compare", "pairwise")),
            ("Similarity scores", ("scores",)),
            ("Metrics by name", ("registry",)),
        ),
    ),
    (
        "metrics",
        "Metrics",
        "A metric embeds activations, and is the manifold of the points that it makes of them. "
        "See :doc:`/choosing_a_metric`.",
        (("Metrics", ("metrics",)), ("What all of them share", ("metrics.base",))),
    ),
    (
        "manifolds",
        "Manifolds",
        "Spaces with exact maps, and questions to any ``geoopt.Manifold``.",
        (
            ("What all of them share", ("manifolds.base",)),
            ("Spaces", ("manifolds",)),
            ("Symmetries that a quotient divides out", ("manifolds.actions",)),
            ("Questions to a manifold", ("manifolds.functional", "manifolds.ladder")),
            ("Questions to a path", ("manifolds.paths",)),
            ("Subspaces in which points live", ("numerics.subspaces",)),
            ("Gram matrices and dissimilarities", ("numerics",)),
        ),
    ),
    (
        "kernels",
        "Kernels",
        "What the inputs of one representation are to each other. Kernels add and multiply.",
        (
            ("Kernels", ("kernels",)),
            ("Length scales", ("kernels.length_scales",)),
            ("Matrices of one representation", ("kernels.maps",)),
        ),
    ),
    (
        "statistics",
        "Statistics",
        "Means, groups, intervals and paths of networks; which to take is told in :doc:`/statistics`.",
        (
            ("Means and medians", ("stats.frechet", "stats.implicit", "stats.robust")),
            ("Axes, trends, groups", ("stats",)),
            ("Maps", ("stats.mds", "stats.spherical_mds")),
            ("Tests", ("stats.group_tests", "stats.mantel", "stats.pair_tests")),
            ("How far to trust a number", ("stats.bootstrap", "stats.reliability", "stats.records")),
            ("Networks as paths of layers", ("stats.layer_paths", "stats.time_warping")),
        ),
    ),
    (
        "verification",
        "Verification",
        "Laws for metrics, manifolds and functions; see :doc:`/verification`.",
        (("Verification", ("verify",)),),
    ),
    (
        "optimization",
        "Optimization",
        "Minima, samples, and recipes made of them; see :doc:`/optimization`.",
        (("Optimizers and samplers", ("optim",)), ("Recipes", ("recipes",))),
    ),
    (
        "pictures",
        "Pictures",
        "Drawings of distances, maps and paths, on axes of matplotlib.",
        (("Pictures", ("viz",)),),
    ),
    (
        "files",
        "Files and activations",
        "Activations from networks and files, and ways from and to other libraries; see :doc:`/activations`.",
        (
            ("Activations", ("extract", "activations")),
            ("Files", ("io", "sources")),
            ("Other libraries", ("compat",)),
        ),
    ),
    (
        "errors",
        "Errors and warnings",
        "What can go wrong, by name.",
        (("Errors and warnings", ("errors",)),),
    ),
)

PROGRAMS = ("cli", "demo")  # run, not imported; docs/command_line.md tells of them


@dataclass(frozen=True)
class Entry:
    """
    A public name.

    Attributes
    ----------
    name : str
        Without the package: "AngularCKA", "optim.minimize".
    home : str
        Module by which it finds its section.
    value : object
    """

    name: str
    home: str
    value: Any

    @property
    def kind(self) -> str:
        """Which directive of autodoc describes it."""
        if isinstance(self.value, ModuleType):
            return "module"
        if inspect.isclass(self.value):
            return "class"
        return "function" if callable(self.value) else "data"

    @property
    def summary(self) -> str:
        """First sentence of the docstring."""
        if self.kind == "data":
            return f"{describe_value(self.value)}."
        lines = (inspect.getdoc(self.value) or "").strip().split("\n\n")[0].split()
        return escaped(" ".join(lines))


def entries() -> list[Entry]:
    """All public names."""
    found = [Entry(name, home, getattr(repsim_geo, name)) for name, home in repsim_geo._HOME.items()]
    known = {id(entry.value) for entry in found}
    for info in pkgutil.iter_modules(repsim_geo.__path__):
        if info.name.startswith("_") or info.name in PROGRAMS:
            continue
        module = importlib.import_module(f"repsim_geo.{info.name}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if id(value) not in known:
                known.add(id(value))
                found.append(Entry(f"{info.name}.{name}", info.name, value))
    return found


def places() -> dict[tuple[str, str], list[Entry]]:
    """Page and section of every name, in the order of the list above."""
    modules = {
        module: (page, title)
        for page, _, _, sections in GROUPS
        for title, belongs in sections
        for module in belongs
    }
    filled: dict[tuple[str, str], list[Entry]] = {place: [] for place in modules.values()}
    rank = {module: i for i, module in enumerate(modules)}
    where: dict[str, int] = {}
    for entry in entries():
        fits = [module for module in modules if f"{entry.home}.".startswith(f"{module}.")]
        if not fits:
            raise ValueError(
                f"every public name needs a section of the reference; {entry.name} of "
                f"repsim_geo.{entry.home} has none. Add its module to GROUPS in docs/reference/contents.py."
            )
        best = max(fits, key=len)
        where[entry.name] = rank[best]
        filled[modules[best]].append(entry)
    kinds = ("function", "class", "module", "data")
    for section in filled.values():
        section.sort(key=lambda e: (where[e.name], kinds.index(e.kind) if "." in e.name else 0))
    return filled


# ---------------------------------------------------------------------- writing


def write(folder: Path) -> None:
    """Write all pages; what has not changed is left alone, pages of names that went away are removed."""
    wanted = {}
    filled = places()
    cards = {}
    for key, card in available_metrics().items():
        cards.setdefault(type(as_metric(key)), []).append(card)
    public = {entry.value: entry for section in filled.values() for entry in section if entry.kind == "class"}
    for page, title, lead, sections in GROUPS:
        shown = [(name, filled[page, name]) for name, _ in sections if filled[page, name]]
        wanted[f"{page}.rst"] = _group(title, lead, shown)
        for _, section in shown:
            for entry in section:
                wanted[f"{_file(entry)}.rst"] = _page(entry, public, cards)
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _file(entry: Entry) -> str:
    # Names that differ by their case alone (Permutation, permutation) would be one file on some systems.
    return f"{entry.kind}-{entry.name}"


def _heading(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def _group(title: str, lead: str, sections: list[tuple[str, list[Entry]]]) -> str:
    parts = [_heading(title), lead, ""]
    for name, section in sections:
        if len(sections) > 1:
            parts += [_heading(name, "-")]
        parts += [".. list-table::", "   :class: names", "   :widths: 30 70", ""]
        for entry in section:
            parts += [f"   * - :doc:`{entry.name} <{_file(entry)}>`", f"     - {entry.summary}"]
        parts += [""]
    parts += [".. toctree::", "   :hidden:", ""]
    parts += [f"   {_file(entry)}" for _, section in sections for entry in section]
    return "\n".join(parts) + "\n"


def _page(entry: Entry, public: dict[type, Entry], cards: dict[type, list[Any]]) -> str:
    parent, _, name = f"repsim_geo.{entry.name}".rpartition(".")
    parts = [_heading(entry.name), f".. currentmodule:: {parent}", ""]
    if entry.kind == "data":
        parts += [f".. py:data:: {name}", "", f"   {entry.summary}", "", *_items(entry.value)]
    elif entry.kind == "module":
        parts += _module(entry.value, set())
    elif entry.kind == "class":
        parts += [f".. autoclass:: {name}", ""]
        body = [line for card in cards.get(entry.value, ()) for line in _card(card)]
        body += _members(entry.value, name, public)
        parts += textwrap.indent("\n".join(body), "   ").split("\n")
    else:
        parts += [f".. autofunction:: {name}"]
    if entry.kind in ("class", "function"):
        parts += ["", f".. minigallery:: {parent}.{name}", "   :add-heading: Pictures made with it"]
    return "\n".join(parts) + "\n"


def _module(module: ModuleType, said: set[int]) -> Iterator[str]:
    """A module that is a public name itself: what it says, and everything in it, each once, on one page."""
    yield f".. automodule:: {module.__name__}"
    yield ""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    for name in names:
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            yield _heading(name, "-")
            yield from _module(value, said)
        elif id(value) in said:
            continue
        elif inspect.isclass(value):
            yield f".. autoclass:: {module.__name__}.{name}"
            yield "   :members:"
            yield ""
        elif callable(value):
            yield f".. autofunction:: {module.__name__}.{name}"
            yield ""
        said.add(id(value))


def _card(card: Any) -> Iterator[str]:
    yield f".. rubric:: Under the name ``{card.key}``"
    yield "   :class: names"
    yield ""
    yield ".. list-table::"
    yield "   :class: card"
    yield "   :widths: 25 75"
    yield ""
    facts = {
        "distance": card.summary,
        "unit": card.unit,
        "range": card.range_text(),
        "does not notice": card.invariance_names(),
        "other names": ", ".join(f"``{alias}``" for alias in card.aliases),
        "sources": ", ".join(f"``{key}``" for key in card.references),
    }
    for fact, value in facts.items():
        if value:
            yield f"   * - {fact}"
            yield f"     - {value}"
    yield ""


def _members(cls: type, name: str, public: dict[type, Entry]) -> Iterator[str]:
    """
    What the class explains itself, in full; what it takes from others, as links to where that is explained.

    A class that is not public is a part of the most basic public class that has it, and explained there.
    """
    chain = [base for base in cls.__mro__ if base.__module__.startswith("repsim_geo.")]

    def owner(part: type) -> type:
        return [base for base in chain if base in public and issubclass(base, part)][-1]

    explained, rewritten, taken = [], [], {}
    for member in dict.fromkeys(m for base in chain for m, value in vars(base).items() if _shown(m, value)):
        writer = owner(next(base for base in chain if member in vars(base)))
        explainer = next((owner(base) for base in chain if _explains(base, member)), None)
        if explainer is cls:
            explained.append(member)
        elif explainer is not None:
            target = f":py:obj:`{member} <repsim_geo.{public[explainer].name}.{member}>`"
            (rewritten if writer is cls else taken.setdefault(explainer, [])).append(target)
        elif writer is cls and hasattr(super(cls, cls), member):  # geoopt, torch or scikit-learn explain it
            rewritten.append(f"``{member}``")
    for member in explained:
        yield f".. {'autoproperty' if _is_property(cls, member) else 'automethod'}:: {name}.{member}"
        yield ""
    lists = {"Written anew, to the same contract": rewritten}
    lists |= {f"From {public[parent].name}": targets for parent, targets in taken.items()}
    for title, targets in lists.items():
        if targets:
            yield f".. rubric:: {title}"
            yield "   :class: names"
            yield ""
            yield ", ".join(sorted(targets))
            yield ""


def _shown(member: str, value: Any) -> bool:
    if member.startswith("_") or member == "extra_repr" or re.fullmatch(r"set_\w+_request", member):
        return False
    return isinstance(value, (property, classmethod, staticmethod)) or inspect.isfunction(value)


def _explains(base: type, member: str) -> bool:
    value = vars(base).get(member)
    return bool(value is not None and _shown(member, value) and value.__doc__)


def _is_property(cls: type, member: str) -> bool:
    return isinstance(inspect.getattr_static(cls, member), property)


def escaped(text: str) -> str:
    """Text of a docstring in which the star of (*batch, m) and the end of mean_ are no markup; code stays."""
    pieces: list[tuple[bool, list[str]]] = []
    doctest, literal = False, None  # the latter: how far the line that ends in :: is indented
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        doctest = bool(line.strip()) and (doctest or line.lstrip().startswith(">>>"))
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        code = doctest or literal is not None
        if not pieces or pieces[-1][0] != code:
            pieces.append((code, []))
        pieces[-1][1].append(line)
        if not code and line.rstrip().endswith("::"):
            literal = indent
    return "\n".join("\n".join(lines) if code else _escaped_prose("\n".join(lines)) for code, lines in pieces)


def _escaped_prose(text: str) -> str:
    parts = re.split("(`+[^`]+`+)", text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"(?<![\\*\w])\*(?=[\w*])(?!\*?(?:[^*\n]|\n(?!\n))*\w\*)", r"\\*", parts[i])
        parts[i] = parts[i].replace(r"\**", r"\*\*")
        parts[i] = re.sub(r"(?<![\\\w])([A-Za-z]\w*)_(?!\w)", r"\1\_", parts[i])
    return "".join(parts)


def describe_value(value: Any) -> str:
    """What a public constant is, in a few words."""
    if isinstance(value, tuple) and value:
        kinds = sorted({type(item).__name__ for item in value})
        return f"{len(value)} {' or '.join(f'``{kind}``' for kind in kinds)} in a tuple"
    return f"``{value!r}``"


def _items(value: Any) -> Iterator[str]:
    """The names of what is in a public constant."""
    for item in value if isinstance(value, tuple) else ():
        if isinstance(getattr(item, "name", None), str):
            yield f"   * ``{item.name}``"
