"""What every analysis shares: its options, its command line, and rows that are computed once."""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analyses import _catalogue
from analyses._catalogue import Analysis
from mdl import tasks as tasks_
from mdl.errors import MdlError
from mdl.files import write_atomically

_SHOW = {"CLAIM", "figures", "captions", "numbers", "verdict"}
_FRAME = {"_catalogue", "_command", "_text"}


@dataclass(frozen=True)
class Options:
    """How to measure: ``out`` may hold what an earlier run finished, ``jobs`` are processes, -1 for one a core."""

    out: Path
    quick: bool = False
    seed: int = 0
    jobs: int = -1

    @property
    def progress(self) -> bool:
        """Whether a bar is worth its lines."""
        return not self.quick

    def rows(self, compute: Callable[[Any], tasks_.Rows], tasks: Sequence[Any]) -> pd.DataFrame:
        """The rows of every task, in parallel; those that a run into the same folder finished are taken over.

        ``compute`` is a function of the analysis (of its module, not within another function). Its task, a tuple or a
        frozen dataclass, holds everything else that determines the rows. They are computed again when the source of
        mdl changes, or that of the module or of what it imports from here: functions that only show, and comments, are
        left out.
        """
        module = compute.__module__.rpartition(".")[2]
        store = tasks_.Store.at(self.out / "rows", (module, compute.__qualname__, _source(module)))
        found = tasks_.run(compute, tasks, store=store, n_jobs=self.jobs, title=self.out.name, progress=self.progress)
        return pd.DataFrame(found)


def main(name: str, arguments: Sequence[str] | None = None) -> None:
    """``python -m analyses.NAME``: measure, write the table, draw the figures, print the verdict.

    ``name`` may be a module's ``__file__``: the analysis is imported under its own name, not as ``__main__``, so that
    other processes find its functions.
    """
    name = Path(name).stem
    analysis = _catalogue.load(name)
    try:
        options = _options(name, analysis, arguments)
        print("\n".join(run(name, analysis, options)))
    except (MdlError, OSError) as error:
        print(f"analyses.{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def run(name: str, analysis: Analysis, options: Options) -> list[str]:
    """Table and figures into ``options.out``; returns what there is to say."""
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{name}.csv"
    text = analysis.measure(options).to_csv(index=False)
    write_atomically(path, lambda stream: stream.write(text.encode()))
    table = _catalogue.read(path)  # what is drawn and said is what the file gives
    drawn = _catalogue.draw(analysis, table, options.out)
    captions = analysis.captions(table).items()
    return [
        f"Claim: {analysis.CLAIM}",
        f"Verdict: {analysis.verdict(table)}",
        *(f"{stem}: {caption}" for stem, caption in captions),
        f"table {path}, figures {', '.join(map(str, drawn))}",
    ]


def _options(name: str, analysis: Analysis, arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m analyses.{name}", description=analysis.CLAIM)
    parser.add_argument("--quick", action="store_true", help="something small, to see that it runs")
    parser.add_argument("--seed", type=int, default=0, help="first of the splits, starts and draws")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one a core")
    parser.add_argument("--out", type=Path, help="default: results/NAME, with --quick results/quick/NAME")
    given = parser.parse_args(arguments)
    out = given.out or Path("results", *(["quick"] if given.quick else []), name)
    return Options(out, given.quick, given.seed, given.jobs)


def _source(module: str) -> str:
    """What computes rows: the module without docstrings, comments and what shows, and the modules that it imports."""
    tree = ast.parse((_catalogue.FOLDER / f"{module}.py").read_text("utf-8"))
    kept = [ast.unparse(node) for node in tree.body if not _shows(node)]
    return "\n".join([*kept, *(_source(name) for name in sorted(_helpers(tree)))])


def _shows(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id in _SHOW for target in node.targets)
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or (isinstance(node, ast.FunctionDef) and node.name in _SHOW)


def _helpers(tree: ast.Module) -> set[str]:
    """The modules of this folder that it imports, this frame left out."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    direct = {node.module.partition(".")[2] for node in imports if node.module.startswith("analyses.")}
    named = {alias.name for node in imports if node.module == "analyses" for alias in node.names}
    return (direct | named) - _FRAME
