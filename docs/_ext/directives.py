"""The directives ``run`` and ``shell``: an example and what it prints, run when the documentation is built."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs._ext import examples


class _Example(SphinxDirective):
    has_content = True
    option_spec: ClassVar = {"status": directives.nonnegative_int, "hidden": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Runs, and shows both; what goes wrong ends the build, with the place on the page."""
        page = self.env.temp_data.setdefault("examples", examples.Examples())
        try:
            shown = self.shown(page, "\n".join(self.content))
        except Exception as error:
            raise self.error(f"{type(error).__name__}: {error}") from error
        if "hidden" in self.options:
            return []
        return [nodes.literal_block(text, text, language=language) for text, language in shown if text.strip()]

    def shown(self, page: examples.Examples, code: str) -> list[tuple[str, str]]:
        """``(text, language)`` of what to show."""
        raise NotImplementedError


class Run(_Example):
    """Python."""

    def shown(self, page: examples.Examples, code: str) -> list[tuple[str, str]]:
        """The code, and what it prints."""
        return [(code, "python"), (page.run(code).rstrip(), "text")]


class Shell(_Example):
    """Commands."""

    def shown(self, page: examples.Examples, code: str) -> list[tuple[str, str]]:
        """Every command with what it prints below."""
        status = self.options.get("status", 0)
        lines = [f"$ {command}\n{page.shell(command, status)}".rstrip() for command in examples.commands(code)]
        return [("\n".join(lines), "text")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("run", Run)
    app.add_directive("shell", Shell)
    return {"parallel_read_safe": True}
