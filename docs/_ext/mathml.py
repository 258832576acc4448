"""Formulas as MathML, written when the documentation is built: no script has to be fetched to read them."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

from docs._ext.latex import braced


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}


def inline(self: Any, node: nodes.Element) -> None:
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def block(self: Any, node: nodes.Element) -> None:
    self.body.append(f'<div class="math">{mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def mathml(latex: str, *, as_block: bool = False) -> str:
    """With a space between a function and an argument without parentheses: ln p, not lnp."""
    return re.sub(r"(<mo>&ApplyFunction;</mo>)(?!\s*(<mrow>\s*)?<mo)", r'\1<mspace width="0.17em"/>',
                  tex2mathml(braced(latex), as_block=as_block))  # fmt: skip
