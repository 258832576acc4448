"""Runs tasks that do not depend on one another: in parallel, each result stored as it comes, resumable."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from mdl import clusters
from mdl.errors import MdlError
from mdl.files import write_atomically

T = TypeVar("T", bound=Hashable)
Rows = list[dict[str, Any]]
_Shared = tuple[Callable[[T], Rows], tuple[str, ...]]
#: Where tasks run: in processes of this machine, or on the workers of a cluster.
BACKENDS: tuple[str, ...] = ("loky", "dask")


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
        return cls(folder, (*facts, *_code()))

    def path(self, task: Hashable) -> Path:
        """Where the rows of a task are or will be; its ``repr`` has to tell it from the others."""
        return self.folder / f"{_digest([*self.facts, repr(task)])[:32]}.json"

    def read(self, task: Hashable) -> Rows | None:
        """The rows, or None where there is no file or a damaged one."""
        try:
            stored = json.loads(self.path(task).read_text(encoding="utf-8"))
            rows: Rows = stored["rows"]
            return rows if stored["sha256"] == _digest(rows) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
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
    backend: str = "loky",
    scheduler: str | None = None,
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
        Takes every task's rows as they come; what it holds already is not computed again. Only this process writes.
    n_jobs
        Processes of joblib, -1 for one a core. Each computes on one thread, so that sums have one order and the rows
        do not depend on the number of processes.
    backend
        ``"loky"``, processes of this machine, or ``"dask"``, all workers of a cluster; they need this library in the
        same version, and the module of ``compute``.
    scheduler
        Address of the cluster's scheduler; by default that of the ``distributed.Client`` that is open.
    title
        Shown before the bar.
    progress
        Whether to show a bar on stderr.

    Raises
    ------
    MdlError
        If ``n_jobs`` is no number of processes, ``backend`` is unknown, the cluster cannot be used, or a process dies.

    Examples
    --------
    >>> run(lambda task: [{"task": task, "half": task / 2}], [1, 4], n_jobs=1, progress=False)
    [{'task': 1, 'half': 0.5}, {'task': 4, 'half': 2.0}]
    """
    ways: dict[str, Any] = {"n_jobs": n_jobs, "backend": backend, "scheduler": scheduler}
    finished = dict(each(compute, tasks, store=store, **ways, title=title, progress=progress))
    return [row for task in tasks for row in finished[task]]


def each(
    compute: Callable[[T], Rows],
    tasks: Sequence[T],
    *,
    store: Store | None = None,
    n_jobs: int = -1,
    backend: str = "loky",
    scheduler: str | None = None,
    title: str = "",
    progress: bool = True,
) -> Iterator[tuple[T, Rows]]:
    """Every task and its rows, as they finish; parameters as of ``run``."""
    check(n_jobs, backend, scheduler)
    shared = (compute, _code())

    def send(pending: Sequence[T]) -> Generator[tuple[T, Rows], None, None]:
        far = pending and backend == "dask"
        return clusters.results(_run, shared, pending, scheduler) if far else _near(shared, pending, n_jobs)

    return _run_all(send, tasks, store, _bar(title, len(tasks), progress))


def check(n_jobs: int, backend: str, scheduler: str | None) -> None:
    """MdlError unless this is a way to run tasks."""
    if n_jobs == 0 or not isinstance(n_jobs, int):
        raise MdlError(f"n_jobs: expected a number of processes, or -1 for one a core, got {n_jobs!r}")
    if backend not in BACKENDS:
        raise MdlError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if scheduler is not None and backend != "dask":
        raise MdlError(f"scheduler: expected backend 'dask' beside it, got {backend!r}")


def _run_all(
    send: Callable[[Sequence[T]], Generator[tuple[T, Rows], None, None]],
    tasks: Sequence[T],
    store: Store | None,
    bar: Any,
) -> Iterator[tuple[T, Rows]]:
    """Every task's rows, as they finish; those that are stored come first."""
    with bar:
        pending = []
        for task in tasks:
            rows = None if store is None else store.read(task)
            if rows is None:
                pending.append(task)
            else:
                bar.advance(0)
                yield task, rows
        with contextlib.closing(send(pending)) as coming:
            for task, rows in coming:
                if store is not None:
                    store.write(task, rows)
                bar.advance(0)
                yield task, rows


def _near(shared: _Shared[T], tasks: Sequence[T], n_jobs: int) -> Generator[tuple[T, Rows], None, None]:
    """Every task's rows, as they finish, from processes of this machine."""
    import joblib

    parallel = joblib.Parallel(n_jobs=n_jobs if len(tasks) > 1 else 1, return_as="generator_unordered")
    try:
        yield from parallel(joblib.delayed(_run)(shared, task) for task in tasks)
    except BrokenProcessPool as error:
        raise MdlError(
            "jobs: a process ended before its task, killed or out of memory; what is stored is kept, try fewer"
        ) from error


def _run(shared: _Shared[T], task: T) -> tuple[T, Rows]:
    """One task, in whatever process: on one thread, and beside no other task of this process."""
    import joblib
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    compute, expected = shared
    odd = [f"{ours} instead of {theirs}" for theirs, ours in zip(expected, _code(), strict=True) if theirs != ours]
    if odd:
        raise MdlError(f"backend: expected workers with this library and its versions, one has {'; '.join(odd)}")
    with _ALONE, threadpool_limits(1), joblib.parallel_config("threading", n_jobs=1):
        return task, compute(task)


#: Workers of a cluster may have several threads, but neither limits of threads nor filters of warnings are a thread's.
_ALONE = threading.RLock()


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


@functools.cache
def _code() -> tuple[str, ...]:
    """What rows depend on beside their task: this library's source, and the versions of those it computes with."""
    versions = (f"{name} {metadata.version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    return (f"mdl {_source_digest()}", *versions)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


_SHOWING = frozenset(["cli", "plot", "report", "tables.py"])


def _source_digest() -> str:
    """Of this library's own source, but for what shows rows and computes none."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in _SHOWING):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
