"""Which analyses there are, and what their committed tables say."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from mdl import plot
from mdl.errors import MdlError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analyses._command import Options

FOLDER = Path(__file__).parent
#: The tables that the documentation quotes, and the figures drawn from them.
COMMITTED = FOLDER.parent / "docs" / "analyses"


class Analysis(Protocol):
    """What a module here holds; everything but ``measure`` is a function of the table alone."""

    CLAIM: str

    def measure(self, options: Options) -> pd.DataFrame: ...

    def figures(self, table: pd.DataFrame) -> dict[str, Figure]: ...

    def captions(self, table: pd.DataFrame) -> dict[str, str]: ...

    def numbers(self, table: pd.DataFrame) -> dict[str, str]: ...

    def verdict(self, table: pd.DataFrame) -> str: ...


def names() -> list[str]:
    """Every analysis."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def measured() -> list[str]:
    """Those whose table is committed."""
    return [name for name in names() if (COMMITTED / f"{name}.csv").is_file()]


def load(name: str) -> Analysis:
    """The module of an analysis."""
    if name not in names():
        raise MdlError(f"analyses: expected one of {', '.join(names())}, got {name!r}")
    return importlib.import_module(f"analyses.{name}")  # type: ignore[return-value]


def read(path: Path) -> pd.DataFrame:
    """A table as it was written."""
    if not path.is_file():
        raise MdlError(f"{path}: expected a table, got no file; `python -m analyses.{path.stem}` measures one")
    return pd.read_csv(path)


def committed(name: str) -> pd.DataFrame:
    """The table that the documentation quotes."""
    return read(COMMITTED / f"{name}.csv")


def draw(analysis: Analysis, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Every figure as PDF and PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    found = analysis.figures(table).items()
    return [path for stem, figure in found for path in plot.save_figure(figure, folder / stem)]


def redraw(chosen: Iterable[str], folder: Path) -> list[Path]:
    """The figures of these analyses, or of all that have a committed table, from it."""
    return [path for name in chosen or measured() for path in draw(load(name), committed(name), folder)]


def answers() -> list[dict[str, str]]:
    """Name, claim and verdict of every analysis; no verdict where no table is committed."""
    tables = measured()
    return [
        {
            "name": name,
            "claim": load(name).CLAIM,
            "verdict": load(name).verdict(committed(name)) if name in tables else "not measured yet",
        }
        for name in names()
    ]


def quoted(name: str) -> dict[str, str]:
    """Everything that a page may quote, each a piece of Markdown: claim, verdict, captions by stem, and numbers."""
    analysis, table = load(name), committed(name)
    captions = {f"caption_{stem}": caption for stem, caption in analysis.captions(table).items()}
    return {"claim": analysis.CLAIM, "verdict": analysis.verdict(table), **captions, **analysis.numbers(table)}
