"""
Sphinx extension: names lead to their pages, citations to their works, and formulas need no net.

* ``FrechetMean``, ``rg.compare`` or ``frechet_mean(points)`` between backquotes: public names become links.
* "Székely and Rizzo 2014", or the key ``szekely2014``, leads to its row of docs/references.md. A work of
  several authors, or in the References of a docstring, that has no row there is a warning.
* Links of the Markdown pages to files that a code host would show lead to the pages made from them.
* MathJax, one file that draws with curves instead of fonts, is copied beside the pages.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from contents import escaped
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinx_gallery.sorting import FileNameSortKey

from repsim_geo.registry import as_metric, available_metrics

logger = logging.getLogger(__name__)

BIBLIOGRAPHY = "references"  # the page with a table of key and work

# ---------------------------------------------------------------------- names

# Lower-case words that are names of ours only when something says so: an underscore, "rg.", or parentheses.
NAME = re.compile(r"(?:rg\.|repsim_geo\.)?(?P<name>[A-Za-z_]\w*(?:\.\w+)*)(?P<call>\(.*\))?", re.DOTALL)


def known_names(builder: Builder) -> dict[str, tuple[str, str]]:
    """Page and anchor of every documented name, without the package in front; "angular_cka" is one too."""
    if not hasattr(builder, "repsim_geo_names"):
        names = {
            name.removeprefix("repsim_geo."): (entry.docname, entry.node_id)
            for name, entry in builder.env.domains["py"].objects.items()
            if name.startswith("repsim_geo.")
        }
        metrics = {key: names.get(type(as_metric(key)).__name__) for key in available_metrics()}
        builder.repsim_geo_names = {key: page for key, page in metrics.items() if page} | names
    return builder.repsim_geo_names


def target_of(text: str, names: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Where a literal leads, if anywhere."""
    match = NAME.fullmatch(text.strip())
    if not match:
        return None
    name = match["name"]
    if name in names:
        told = text.startswith(("rg.", "repsim_geo.")) or match["call"] or "_" in name or "." in name
        return names[name] if told or name[0].isupper() else None
    return None


def typed(text: str, names: dict[str, tuple[str, str]]) -> Iterator[tuple[int, int, tuple[str, str]]]:
    """Start, end and page of the classes in the type of a parameter or result."""
    for match in re.finditer(r"\b[A-Z]\w+\b", text):
        if match[0] in names:
            yield match.start(), match.end(), names[match[0]]


# ---------------------------------------------------------------------- works

AUTHOR = r"(?:(?:de|do|[Vv]an|von|der|Le|La)\s+)*[A-ZÀ-Þ][\w'’-]+"
CITATION = re.compile(
    rf"(?P<first>{AUTHOR})(?:(?:,\s+{AUTHOR})*,?\s+and\s+{AUTHOR}|,?\s+et\s+al\.)?,?\s+\(?(?P<year>(?:19|20)\d\d[a-z]?)\b"
)
UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue"}
LETTERS = str.maketrans({"ø": "o", "ł": "l", "ß": "ss", "æ": "ae", "đ": "d"})


def keys_of(author: str, year: str) -> list[str]:
    """Keys that a work may have in the bibliography: its first author without accents, and its year."""
    author = author.lower()
    german = re.sub("[äöü]", lambda match: UMLAUTS[match[0]], author)
    return [
        re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", name.translate(LETTERS))) + year
        for name in dict.fromkeys((author, german))
    ]


def anchor_works(app: Sphinx, tree: nodes.document) -> None:
    """Every row of the bibliography gets its key as an anchor."""
    env = app.env
    if env.docname != BIBLIOGRAPHY:
        return
    env.repsim_geo_works = set()
    for row in tree.findall(nodes.row):
        first = row.next_node(nodes.literal)
        if first is not None:
            key = first.astext()
            row["ids"].append(key)
            env.repsim_geo_works.add(key)


def under_references(node: nodes.Node) -> bool:
    """Whether a text stands under the heading "References" of a docstring."""
    while node.parent is not None:
        siblings = node.parent.children
        for before in reversed(siblings[: siblings.index(node)]):
            if isinstance(before, nodes.rubric):
                return before.astext() == "References"
        node = node.parent
    return False


def cited(text: str, works: set[str]) -> Iterator[tuple[int, int, str, bool]]:
    """Start, end and key of the citations in a text, and whether the bibliography has them."""
    for match in CITATION.finditer(text):
        keys = keys_of(match["first"], match["year"])
        key = next((key for key in keys if key in works), keys[0])
        yield match.start(), match.end(), key, key in works


# ---------------------------------------------------------------------- both, on a page


def join_lines(tree: nodes.document) -> None:
    """Markdown has one text for every line; a citation may go from one to the next."""
    for parent in tree.findall(nodes.TextElement):
        for i in range(len(parent.children) - 1, 0, -1):
            before, after = parent.children[i - 1 : i + 1]
            if isinstance(before, nodes.Text) and isinstance(after, nodes.Text):
                parent[i - 1 : i + 1] = [nodes.Text(before.astext() + after.astext())]


def link(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Turn names and citations of a page into links."""
    env, builder = app.env, app.builder
    join_lines(tree)
    names = known_names(builder)
    works = getattr(env, "repsim_geo_works", set())

    def leads(to: tuple[str, str], content: nodes.Node) -> nodes.reference:
        return make_refnode(builder, docname, to[0], to[1], [content])

    for literal in list(tree.findall(nodes.literal)):
        if not is_prose(literal):
            continue
        text = literal.astext()
        if text in works and docname != BIBLIOGRAPHY:
            literal.replace_self(leads((BIBLIOGRAPHY, text), literal.deepcopy()))
            continue
        to = target_of(text, names)
        if to and not (to[0] == docname and to[1] in enclosing(literal)):
            literal.replace_self(leads(to, literal.deepcopy()))

    if docname == BIBLIOGRAPHY:
        return
    for text in list(tree.findall(nodes.Text)):
        if not is_prose(text) or isinstance(text.parent, nodes.literal):
            continue
        string, parts, done = text.astext(), [], 0
        finds = typed(string, names) if isinstance(text.parent, (nodes.classifier, nodes.term)) else ()
        for start, end, to in finds:
            if not (to[0] == docname and to[1] in enclosing(text)):
                parts += [nodes.Text(string[done:start]), leads(to, nodes.Text(string[start:end]))]
                done = end
        for start, end, key, present in () if parts else cited(string, works):
            if present:
                parts += [
                    nodes.Text(string[done:start]),
                    leads((BIBLIOGRAPHY, key), nodes.Text(string[start:end])),
                ]
                done = end
            elif re.search(r"\band\b|\bet al", string[start:end]) or under_references(text):
                logger.warning(
                    "%s cites a work that docs/references.md does not list: %r would have the key %s",
                    docname,
                    string[start:end],
                    key,
                    type="repsim_geo",
                    subtype="citation",
                )
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(string[done:])])


def is_prose(node: nodes.Node) -> bool:
    """Whether a link may stand here: not in headings, in code, in signatures, in other links."""
    while node is not None:
        if isinstance(
            node, (nodes.title, nodes.reference, nodes.literal_block, nodes.doctest_block, nodes.rubric)
        ):
            return False
        if node.tagname in (
            "desc_signature",
            "download_reference",
            "toctree",
            "math",
            "math_block",
            "pending_xref",
        ):
            return False
        node = node.parent
    return True


def enclosing(node: nodes.Node) -> set[str]:
    """Anchors of the objects in whose description a node stands."""
    found: set[str] = set()
    while node is not None:
        if node.tagname == "desc":
            found |= {
                anchor
                for signature in node.findall(lambda n: n.tagname == "desc_signature")
                for anchor in signature["ids"]
            }
            break
        node = node.parent
    return found


# ---------------------------------------------------------------------- links between files

PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def mend_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links that are right on a code host, made right here: examples and the files above docs/."""
    if not str(app.env.doc2path(docname)).endswith(".md"):
        return
    text = source[0]
    text = re.sub(r"(\]\((?:\.\./)*)gallery/(plot_\w+)\.py\)", r"\1examples/\2.rst)", text)
    text = re.sub(r"(\]\((?:\.\./)*)gallery/?(?:README\.rst)?\)", r"\1examples/index.rst)", text)
    for name, page in PAGES.items():
        text = re.sub(rf"(\]\((?:\.\./)*)\.\./{re.escape(name)}([#)])", rf"\g<1>{page}\2", text)
    source[0] = text


# ---------------------------------------------------------------------- what is not markup


def escape_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let sentences of docstrings say (*batch, m) and mean_."""
    lines[:] = escaped("\n".join(lines)).split("\n")


def trim_code(app: Sphinx, tree: nodes.document) -> None:
    """Examples end with an empty line for doctest; a reader needs none."""
    for block in tree.findall(nodes.literal_block):
        text = block.astext()
        if text.endswith("\n") and block.rawsource == text:
            block.rawsource = text.rstrip("\n")
            block[:] = [nodes.Text(block.rawsource)]


# ---------------------------------------------------------------------- gallery and formulas


class StoryOrder(FileNameSortKey):
    """Examples from simple to special; those that are not listed come last, by name."""

    STORY = (
        "plot_distances_of_networks.py",
        "plot_two_metrics_disagree.py",
        "plot_few_inputs.py",
        "plot_barycenter.py",
        "plot_tangent_pca.py",
        "plot_paths_of_layers.py",
        "plot_training_trajectories.py",
        "plot_brain_like_data.py",
        "plot_pretrained_pitch.py",
        "plot_between_two_networks.py",
        "plot_sampling.py",
        "plot_students.py",
        "plot_training_loss.py",
        "plot_trilateration.py",
        "plot_optimal_stimuli.py",
        "plot_verification.py",
    )

    def __call__(self, filename: Any) -> str:
        """Key by which examples are sorted."""
        name = str(filename)
        place = self.STORY.index(name) if name in self.STORY else len(self.STORY)
        return f"{place:03d} {name}"


def reset_torch(gallery_conf: dict[str, Any], fname: str) -> None:
    """Start every example with the same random numbers and the usual dtype."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax beside the pages."""
    if exception is not None or app.builder.format != "html":
        return
    wanted = Path(app.config.mathjax_path).name
    files = importlib.metadata.files("sphinx-mathjax-offline") or ()
    source = next(Path(str(file.locate())) for file in files if file.name == wanted)
    target = Path(app.outdir) / "_static" / app.config.mathjax_path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", mend_links)
    app.connect("autodoc-process-docstring", escape_docstring, priority=900)  # after numpydoc
    app.connect("doctree-read", anchor_works)
    app.connect("doctree-read", trim_code)
    app.connect("doctree-resolved", link)
    app.connect("build-finished", copy_mathjax)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
