"""What pages quote: ``{{ NAME.number }}`` from committed tables, ``{{ theory.NAME }}`` from derivations, and shares.

A name that does not exist is a warning of MyST, and so the end of the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from analyses import _catalogue
from docs._ext import benchmarks, derivations


def substitutions() -> dict[str, dict[str, str]]:
    """Pieces of Markdown by their owner, an analysis or one of a few more, and their own name."""
    return {owner: pieces(owner) for owner in (*_catalogue.measured(), *_OTHERS)}


def pieces(owner: str) -> dict[str, str]:
    """What one owner has to be quoted."""
    if owner in _OTHERS:
        return _OTHERS[owner]()
    return {key: unbroken(text) for key, text in _catalogue.quoted(owner).items()}


def unbroken(text: str) -> str:
    """With intervals in tables that do not break within their parentheses, however narrow the column."""
    if not text.startswith("|"):
        return text
    return re.sub(r"\([^()|\n]* to [^()|\n]*\)", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


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


_OTHERS: dict[str, Callable[[], dict[str, str]]] = {
    "theory": derivations.formulas,
    "shares": benchmarks.shares,
    "answers": lambda: {"list": answers()},
}
