"""A page of HTML from plain text, tables and figures; whatever goes in is escaped here, so nothing else has to be."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mdl
from mdl.plot.style import STYLE
from mdl.tables import cell, to_html

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Nothing is fetched, nothing runs: a browser that knows the policy keeps to it even if the page said otherwise.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_SHORT = 30  # rows that are printed on one sheet

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2rem 0 0.5rem; padding-top: 0.75rem; border-top: 1px solid #ccc;
  overflow-wrap: anywhere; }
p { max-width: 44rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1rem; }
figure { margin: 0.75rem 0; max-width: 36rem; }
img { display: block; width: 100%; height: auto; }
figcaption { font-size: 0.85rem; color: #444; }
.wide { overflow-x: auto; margin: 0.75rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; }
caption { text-align: left; color: #444; padding-bottom: 0.25rem; }
th, td { padding: 0.25rem 0.6rem; text-align: left; border-bottom: 1px solid #e3e3e3; vertical-align: top; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
tbody th { font-weight: normal; overflow-wrap: anywhere; min-width: 9.5rem; max-width: 26rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .n { white-space: normal; min-width: 5.2rem; }
@media screen { tr > th:first-child { position: sticky; left: 0; background: #fff; } }
.best > *, tr.best > th:first-child { font-weight: bold; background: #eef6ee; }
footer { margin-top: 2rem; padding-top: 0.75rem; border-top: 1px solid #ccc; font-size: 0.85rem; color: #444; }
@media print {
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  h1 { font-size: 16pt; }
  h2 { font-size: 12pt; margin-top: 1rem; }
  figcaption { font-size: 8pt; }
  .wide { overflow: visible; }
  figure { max-width: 11cm; margin: 0.4rem 0; }
  table { font-size: 7.5pt; }
  tbody th { min-width: 6rem; }
  footer { font-size: 8pt; }
  thead .n { min-width: 0; }
  th, td { padding: 0.1rem 0.35rem; }
  thead { display: table-header-group; }
  tr, figure, .short { break-inside: avoid; }
  h2, h2 + p, caption { break-after: avoid; }
  .figures { grid-template-columns: 7cm 7cm; gap: 0.2cm 1.5cm; }
}
"""


@dataclass(frozen=True)
class Markup:
    """Text that is HTML already: only this module makes it."""

    text: str


def paragraph(text: str) -> Markup:
    """Plain text."""
    return Markup(f"<p>{_escaped(text)}</p>")


def table(rows: pd.DataFrame, best: Collection[Any] = (), caption: str = "") -> Markup:
    """A table, which scrolls on its own where it is too wide; rows whose index is in ``best`` stand out."""
    about = _escaped(caption or "table")
    inner = to_html(rows, best, caption)
    kind = "wide short" if len(rows) <= _SHORT else "wide"
    return Markup(f'<div class="{kind}" role="region" aria-label="{about}" tabindex="0">{inner}</div>')


def figures(drawn: Iterable[Markup]) -> Markup:
    """Figures side by side, as many as there is room for."""
    return Markup(f'<div class="figures">{"".join(one.text for one in drawn)}</div>')


def figure(drawn: Figure, caption: str) -> Markup:
    """A figure as SVG inside the page, its letters as outlines; the caption is what a screen reader says of it."""
    import matplotlib as mpl

    stream = io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": "mdl"}):
        drawn.savefig(stream, format="svg", metadata={"Date": None})
    data = base64.b64encode(stream.getvalue()).decode()
    said = _escaped(caption)
    width, height = (round(96 * inches) for inches in drawn.get_size_inches())
    image = f'<img src="data:image/svg+xml;base64,{data}" width="{width}" height="{height}" alt="{said}">'
    return Markup(f"<figure>{image}<figcaption>{said}</figcaption></figure>")


@dataclass(frozen=True)
class Section:
    """A heading and what is under it; the first section of a page has the page's own."""

    title: str
    blocks: tuple[Markup, ...]


def page(title: str, sections: Iterable[Section]) -> str:
    """The whole page.

    Examples
    --------
    >>> text = page("a <title>", [Section("", (paragraph("1 < 2"),))])
    >>> "<h1>a &lt;title&gt;</h1>" in text, "<p>1 &lt; 2</p>" in text
    (True, True)
    """
    body = []
    for section in sections:
        heading = f"<h2>{_escaped(section.title)}</h2>" if section.title else ""
        body.append(f"<section>{heading}{''.join(block.text for block in section.blocks)}</section>")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{_escaped(title)}</title><style>{_CSS}</style></head>\n'
        f"<body><main><h1>{_escaped(title)}</h1>\n{chr(10).join(body)}\n</main>"
        f"<footer>Made by mdl {mdl.__version__}. Lengths leave out the header (names, shapes, framing), which every "
        "code shares.</footer></body></html>\n"
    )


def _escaped(text: str) -> str:
    return html.escape(cell(text, ""))
