"""LaTeX as docutils reads it."""

from __future__ import annotations

import re


def braced(latex: str) -> str:
    r"""With braces where none are needed: of \frac12 x docutils makes a fraction of 12 over x."""
    return re.sub(r"(\\[dt]?frac) ?(\d) ?(\d)", r"\1{\2}{\3}", latex)
