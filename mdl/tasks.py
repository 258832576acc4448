"""Runs tasks that do not depend on one another: in parallel, each result stored as it comes, resumable."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from mdl.errors import MdlError
from mdl.files import write_atomically

T = TypeVar("T", bound=Hashable)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Store:
    """One file a task, named by a digest of everything that determines its rows.

    ``facts`` are what the caller knows of that: the data, its own source. The source of this library and the versions
    of those that it computes with are always among them, so that rows of other code are not taken over.
    """

    folder: Path
    facts: tuple[str, ...]

    @classmethod
    def at(cls, folder: Path, facts: Sequence[str] = ()) -> Store:
        """A store in a folder, which is made; MdlError if it cannot be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MdlError(f"out: {folder} cannot be made: {error.strerror or error}") from error
        versions = [f"{name} {metadata.version(name)}" for name in ("numpy", "scipy", "scikit-learn")]
        return cls(folder, (*facts, _source_digest(), *versions))

    def path(self, task: Hashable) -> Path:
        """Where the rows of a task are or will be; its ``repr`` has to tell it from the others."""
        return self.folder / f"{_digest([*self.facts, repr(task)])[:32]}.json"

    def read(self, task: Hashable) -> Rows | None:
        """The rows, or None where there is no file or a damaged one."""
        try:
            stored = json.loads(self.path(task).read_text(encoding="utf-8"))
            rows: Rows = stored["rows"]
            return rows if stored["sha256"] == _digest(rows) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, task: Hashable, rows: Rows) -> None:
        """Whole or not at all."""
        text = json.dumps({"sha256": _digest(rows), "rows": rows})
        write_atomically(self.path(task), lambda stream: stream.write(text.encode()))


def run(
    compute: Callable[[T], Rows],
    tasks: Sequence[T],
    *,
    store: Store | None = None,
    n_jobs: int = -1,
    title: str = "",
    progress: bool = True,
) -> Rows:
    """The rows of every task, in the order of the tasks.

    Parameters
    ----------
    compute
        Gives the rows of one task, dictionaries of numbers and texts. It is sent to other processes: a function of a
        module, or a ``functools.partial`` of one.
    tasks
        Hashable, and told apart by their ``repr``: tuples or frozen dataclasses.
    store
        Takes every task's rows as it finishes; what it holds already is not computed again.
    n_jobs
        Processes of joblib, -1 for one a core. Each computes on one thread, so that sums have one order and the rows
        do not depend on the number of processes.
    title
        Shown before the bar.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    MdlError
        If ``n_jobs`` is no number of processes.

    Examples
    --------
    >>> run(lambda task: [{"task": task, "half": task / 2}], [1, 4], n_jobs=1, progress=False)
    [{'task': 1, 'half': 0.5}, {'task': 4, 'half': 2.0}]
    """
    if n_jobs == 0 or not isinstance(n_jobs, int):
        raise MdlError(f"n_jobs: expected a number of processes, or -1 for one a core, got {n_jobs!r}")
    finished = dict(_run_all(compute, tasks, store, n_jobs, _bar(title, len(tasks), progress)))
    return [row for task in tasks for row in finished[task]]


def _run_all(
    compute: Callable[[T], Rows], tasks: Sequence[T], store: Store | None, n_jobs: int, bar: Any
) -> Iterator[tuple[T, Rows]]:
    """Every task's rows, as they finish; those that are stored come first."""
    import joblib

    with bar:
        pending = []
        for task in tasks:
            rows = None if store is None else store.read(task)
            if rows is None:
                pending.append(task)
            else:
                bar.advance(0)
                yield task, rows
        parallel = joblib.Parallel(n_jobs=n_jobs if len(pending) > 1 else 1, return_as="generator_unordered")
        for task, rows in parallel(joblib.delayed(_run)(compute, task, store) for task in pending):
            bar.advance(0)
            yield task, rows


def _run(compute: Callable[[T], Rows], task: T, store: Store | None) -> tuple[T, Rows]:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        rows = compute(task)
    if store is not None:
        store.write(task, rows)
    return task, rows


def _bar(title: str, total: int, progress: bool) -> Any:
    """A bar with one row, which is number 0."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not progress)
    bar.add_task(title, total=total)
    return bar


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


@functools.cache
def _source_digest() -> str:
    """Of this library's own source, but for what shows rows and computes none."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(set(root.rglob("*.py")) - {root / "cli.py", *(root / "plot").glob("*.py")}):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
