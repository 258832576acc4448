"""What pages quote: ``{{ NAME.number }}`` from committed tables, ``{{ theory.NAME }}`` from derivations.

A name that does not exist is a warning of MyST, and so the end of the build.
"""

from __future__ import annotations

from analyses import _catalogue
from docs._ext import derivations


def substitutions() -> dict[str, dict[str, str]]:
    """Pieces of Markdown by the name of the analysis and their own."""
    found = {name: _catalogue.quoted(name) for name in _catalogue.measured()}
    return {**found, "theory": derivations.formulas(), "answers": {"list": answers()}}


def answers() -> str:
    """Every analysis that has a page: question, claim and verdict."""
    entries = [(question(answer["name"]), answer) for answer in _catalogue.answers() if page(answer["name"])]
    return "\n\n".join(
        f"**[{title}]({answer['name']}.md)** {answer['claim']}\n\n: {answer['verdict']}" for title, answer in entries
    )


def page(name: str) -> bool:
    """Whether the analysis has one."""
    return (_catalogue.COMMITTED / f"{name}.md").is_file()


def question(name: str) -> str:
    """The title of an analysis' page."""
    return (_catalogue.COMMITTED / f"{name}.md").read_text("utf-8").partition("\n")[0].removeprefix("# ")
