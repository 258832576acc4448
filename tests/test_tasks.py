"""Tasks: rows in order, stored as they come, and never taken over from other facts or a damaged file."""

from __future__ import annotations

import functools
import os
import signal

import pytest

from mdl import tasks
from mdl.errors import MdlError

TASKS = [("b", 2), ("a", 1)]


def computed(log: list[object], task: tuple[str, int]) -> tasks.Rows:
    log.append(task)
    return [{"name": task[0], "value": k / 3} for k in range(task[1])]


def run(log: list[object], store: tasks.Store | None = None) -> tasks.Rows:
    return tasks.run(functools.partial(computed, log), TASKS, store=store, n_jobs=1, progress=False)


def test_rows_come_in_the_order_of_the_tasks() -> None:
    assert [row["name"] for row in run([])] == ["b", "b", "a"]


def test_what_is_stored_is_not_computed_again(tmp_path) -> None:
    first, again = [], []
    store = tasks.Store.at(tmp_path / "rows", ["data"])
    rows = run(first, store)
    assert run(again, store) == rows
    assert (first, again) == (TASKS, [])


def test_other_facts_and_damage_are_computed_again(tmp_path) -> None:
    store = tasks.Store.at(tmp_path, ["data"])
    run([], store)
    other, damaged = [], []
    run(other, tasks.Store.at(tmp_path, ["other data"]))
    assert other == TASKS
    path = store.path(TASKS[0])
    path.write_bytes(path.read_bytes().replace(b"0.33", b"0.34"))
    run(damaged, store)
    assert damaged == TASKS[:1]


def test_a_folder_that_cannot_be_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MdlError, match="file"):
        tasks.Store.at(tmp_path / "file" / "rows")


@pytest.mark.parametrize("n_jobs", [0, 1.5])
def test_no_number_of_processes_is_named(n_jobs) -> None:
    with pytest.raises(MdlError, match="n_jobs"):
        tasks.run(list, TASKS, n_jobs=n_jobs)


def deadly(task: int) -> tasks.Rows:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"task": task}]


def test_a_process_that_dies_is_said(tmp_path) -> None:
    """Nothing hangs, and a second run goes on with what the first has stored."""
    with pytest.raises(MdlError, match="a process ended before its task, killed or out of memory"):
        tasks.run(deadly, list(range(4)), store=tasks.Store.at(tmp_path), n_jobs=2, progress=False)
