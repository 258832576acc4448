"""Ends the build if a page would load anything from another host: fonts, scripts, styles, images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\bhref=["']?((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)
_STYLED = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}


def check(app: Sphinx, failed: Exception | None) -> None:
    """After a build that did not fail otherwise."""
    from sphinx.errors import SphinxError

    found = [] if failed else loaded(Path(app.outdir))
    if found:
        raise SphinxError("pages load from other hosts: " + "; ".join(found))


def loaded(folder: Path) -> list[str]:
    """``FILE: address`` of everything that would be fetched."""
    patterns = {".html": _LOADED, ".css": _STYLED}
    return [
        f"{path.relative_to(folder)}: {next(filter(None, match.groups()))}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in patterns
        for match in patterns[path.suffix].finditer(path.read_text("utf-8"))
    ]
