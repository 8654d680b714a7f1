"""Building blocks of a plain HTML page: sections, tables, pictures. No script, nothing from the network."""

from __future__ import annotations

import html
import math
import re
import struct
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

# Pictures are written with the first number and shown with the second, so that their letters are equally
# large.
_DOTS_PER_INCH = 160
_PIXELS_PER_INCH = 108


def document(title: str, *blocks: str) -> str:
    """
    A complete page.

    Parameters
    ----------
    title : str
        For the browser's tab.
    *blocks : str
        HTML of the body.
    """
    style = resources.files("repsim_geo.demo").joinpath("page.css").read_text(encoding="utf-8")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{html.escape(title)}</title><style>\n{style}</style>"
    body = "\n".join(blocks)
    page = f"<head>{head}</head>\n<body>\n<main>\n{body}\n</main>\n</body>"
    return f'<!doctype html>\n<html lang="en">\n{page}\n</html>\n'


def section(anchor: str, title: str, *blocks: str) -> str:
    """A part of the page with a heading that can be linked to."""
    inner = "\n".join(blocks)
    return f'<section id="{anchor}">\n<h2>{html.escape(title)}</h2>\n{inner}\n</section>'


def paragraph(text: str, kind: str = "") -> str:
    """Running text; ``text`` is HTML already, line breaks in it do not matter."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{' '.join(text.split())}</p>"


def figure(file: str, alternative: str, caption: str, kind: str = "") -> str:
    """
    A picture that opens in full size when clicked, with a caption.

    Parameters
    ----------
    file : str
        Path relative to the page.
    alternative : str
        What the picture shows, for those who cannot see it.
    caption : str
        HTML.
    kind : {"", "wide", "matrix"}
        Wide pictures and matrices full of numbers keep a readable size on narrow screens and can be moved
        sideways.
    """
    image = f'<a href="{file}"><img src="{file}" alt="{html.escape(alternative)}" loading="lazy"></a>'
    text = " ".join(caption.split())
    return (
        f'<figure class="{kind}"><div class="picture">{image}</div><figcaption>{text}</figcaption></figure>'
    )


def with_picture_sizes(text: str, folder: Path) -> str:
    """
    The page with width and height in every image tag, so that nothing jumps while pictures load.

    Parameters
    ----------
    text : str
        HTML.
    folder : Path
        What the paths of the pictures are relative to. All are PNG files.
    """

    def add_size(match: re.Match[str]) -> str:
        # The first chunk of a PNG file begins with width and height, at byte 16.
        with (folder / match[1]).open("rb") as file:
            width, height = struct.unpack(">II", file.read(24)[16:])
        shown = round(width * _PIXELS_PER_INCH / _DOTS_PER_INCH)
        return f'{match[0]} width="{width}" height="{height}" style="max-width:{shown}px"'

    return re.sub(r'<img src="([^"]+)"', add_size, text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], note: str = "", kind: str = "") -> str:
    """
    A table; the first column holds names, all others are aligned to the right.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns, HTML.
    rows : iterable of sequence of str
        Cells, HTML.
    note : str
        Explanation below the table, HTML.
    kind : {"", "text"}
        Cells of text tables are aligned to the left, and wrap.
    """
    top = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    body = "\n".join(lines)
    caption = paragraph(note, "note") if note else ""
    inner = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="table {kind}"><table>\n{inner}</table></div>{caption}'


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """
    A row of large numbers with a line of explanation each.

    Parameters
    ----------
    facts : iterable of (str, str)
        Number and explanation, HTML.
    """
    cells = "".join(f'<div class="tile"><b>{number}</b><span>{text}</span></div>' for number, text in facts)
    return f'<div class="tiles">{cells}</div>'


def bar(share: float, text: str) -> str:
    """
    A number with a small bar behind it.

    Parameters
    ----------
    share : float
        Length of the bar, between 0 and 1.
    text : str
        The number as it is read.
    """
    length = 100 * min(max(share, 0.0), 1.0)
    return f'<span class="bar"><i style="width:{length:.0f}%"></i><em>{text}</em></span>'


def code(text: str) -> str:
    """Program text as a block."""
    return f"<pre><code>{html.escape(text.strip())}</code></pre>"


def percent(share: float, digits: int = 1) -> str:
    """
    A share as percent.

    Examples
    --------
    >>> percent(0.9866)
    '98.7 %'
    """
    return f"{100 * share:.{digits}f} %"


def scientific(value: float) -> str:
    """
    A very small or large number with a power of ten, as HTML.

    Examples
    --------
    >>> scientific(1.84e-15)
    '1.8 × 10<sup>−15</sup>'
    >>> scientific(0.0)
    '0'
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "∞" if value > 0 else "unknown"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10<sup>{int(exponent)}</sup>".replace("-", "−")


def pvalue(p: float) -> str:
    """
    A p-value in two digits, as HTML.

    Examples
    --------
    >>> pvalue(0.0286), pvalue(3.33e-6)
    ('0.029', '3.3 × 10<sup>−6</sup>')
    """
    return f"{p:.2g}" if p >= 0.001 else scientific(p)


def give_or_take(error: float) -> str:
    """
    A Monte Carlo error in one digit, as HTML.

    Examples
    --------
    >>> give_or_take(0.00099), give_or_take(0.0)
    ('± 0.001', 'exact')
    """
    return f"± {error:.1g}" if error >= 1e-4 else f"± {scientific(error)}" if error else "exact"


def listing(words: Sequence[str]) -> str:
    """
    Words as a list in a sentence.

    Examples
    --------
    >>> listing(["1", "2", "3"])
    '1, 2 and 3'
    """
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
