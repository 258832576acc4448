"""Clusters: the same table from workers elsewhere, one of them killed on the way, or clear words."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

import mdl
from mdl import clusters, datasets, sweep, tasks
from mdl.codes import archive
from mdl.errors import MdlError
from mdl.lengths.checkpoint import encode_file

ROOT = Path(__file__).parents[1]
WINE = datasets.load("wine")
SMALL = {"models": ("logistic", "mlp-tanh"), "strengths": (1e-4, 1e-2, 1e-1), "seeds": (0, 1), "priors": ("gaussian",)}


def local(workers: int, threads: int = 1) -> Any:
    """Processes of this machine, watched by nannies as those of a command line are."""
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=threads, dashboard_address=":0", silence_logs=logging.CRITICAL
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two processes of two threads each."""
    with local(2, threads=2) as cluster:
        yield cluster


def doubled(task: tuple[int, Path | None]) -> tasks.Rows:
    """A row; the first to find the folder empty takes its worker with it."""
    number, folder = task
    if folder is not None and number == 3 and not (folder / "killed").exists():
        (folder / "killed").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"number": 2 * number, "process": os.getpid()}]


def nested(task: int) -> tasks.Rows:
    """What a library does that uses joblib itself, and keeps what is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        processes = set(joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(3)))
        warnings.warn(f"of {task}", UserWarning, stacklevel=1)
    said = [str(warning.message) for warning in caught]
    return [{"task": task, "inside": processes == {os.getpid()}, "said": json.dumps(said)}]


def deadly(task: int) -> tasks.Rows:
    os.kill(os.getpid(), signal.SIGKILL)
    return [{"task": task}]


def failing(task: int) -> tasks.Rows:
    raise MdlError(f"task {task} cannot be")


def run(cluster: Any, compute: Any, what: Any, **more: Any) -> tasks.Rows:
    address = cluster.scheduler_address
    return tasks.run(compute, what, backend="dask", scheduler=address, progress=False, **more)


def test_a_killed_worker_loses_nothing(cluster, tmp_path) -> None:
    (tmp_path / "rows").mkdir()
    store = tasks.Store.at(tmp_path / "rows")
    what = [(number, tmp_path) for number in range(40)]
    rows = run(cluster, doubled, what, store=store)
    assert [row["number"] for row in rows] == list(range(0, 80, 2))
    assert int((tmp_path / "killed").read_text()) != os.getpid()
    assert [store.read(task) for task in what] == [[row] for row in rows]
    assert len(list((tmp_path / "rows").iterdir())) == 40


def test_a_sweep_whose_worker_is_killed_is_that_of_one_process(cluster, tmp_path) -> None:
    """By the command line; the worker dies of a signal as soon as the first rows are there."""
    options = ["--strengths", "4", "--seeds", "2", "-m", "mlp-tanh", "-p", "gaussian", "--json"]
    command = [sys.executable, "-c", "from mdl.cli import main; main()", "sweep", "wine", *options]
    where = ["--backend", "dask", "--scheduler", cluster.scheduler_address, "--out", str(tmp_path / "far")]
    victim = next(iter(cluster.workers.values())).pid
    process = subprocess.Popen([*command, *where], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "far").glob("rows/*.json")):
        pass
    assert process.poll() is None
    os.kill(victim, signal.SIGKILL)
    assert json.loads(process.communicate(timeout=60)[0])["rows"] == 8
    near = subprocess.run([*command, "--jobs", "1", "--out", str(tmp_path / "near")], cwd=ROOT, check=True)
    assert near.returncode == 0
    tables = [pd.read_parquet(tmp_path / name / "sweep.parquet").drop(columns="seconds") for name in ("far", "near")]
    pd.testing.assert_frame_equal(*tables)


def test_a_checkpoint_whose_worker_is_killed_is_that_of_one_process(cluster, tmp_path, monkeypatch) -> None:
    """Shards, by trellises part by part; the worker dies as soon as the first part is there."""
    monkeypatch.setattr(archive, "PART", 1 << 14)
    rng, weight_map = np.random.default_rng(0), {}
    for shard in ("a", "b", "c"):
        tensors = {f"{shard}{k}": rng.normal(0.0, 0.1, (300, 100)).astype(np.float32) for k in range(4)}
        mdl.save(tensors, tmp_path / f"{shard}.safetensors")
        weight_map |= dict.fromkeys(tensors, f"{shard}.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    victim, stored = next(iter(cluster.workers.values())).pid, []

    def kill() -> None:
        while not stored:
            time.sleep(0.01)
            stored.extend((tmp_path / ".far.mdl.parts").glob("*.json"))
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)  # if no part comes, it ends with the tests
    killer.start()
    how = (mdl.Shortest(), mdl.Trellis(0.005, states=64))
    far = encode_file(index, tmp_path / "far.mdl", *how, backend="dask", scheduler=cluster.scheduler_address)
    killer.join()
    near = encode_file(index, tmp_path / "near.mdl", *how)
    assert len(stored) < 24
    assert far == near
    assert (tmp_path / "far.mdl").read_bytes() == (tmp_path / "near.mdl").read_bytes()


def test_the_open_client_is_taken_without_an_address(cluster) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster.scheduler_address):
        far = sweep.sweep(WINE, **SMALL, backend="dask", progress=False)
    near = sweep.sweep(WINE, **SMALL, n_jobs=1, progress=False)
    pd.testing.assert_frame_equal(far.drop(columns="seconds"), near.drop(columns="seconds"))


def test_a_task_has_its_process_to_itself(cluster) -> None:
    rows = run(cluster, nested, list(range(12)))
    assert rows == [{"task": k, "inside": True, "said": json.dumps([f"of {k}"])} for k in range(12)]


def test_data_travel_with_their_task_without_a_warning(cluster) -> None:
    large = np.zeros(2_000_000)
    rows = run(cluster, functools.partial(_sum, large), [1, 2, 3])
    assert [row["sum"] for row in rows] == [1.0, 2.0, 3.0]


def _sum(values: np.ndarray, task: int) -> tasks.Rows:
    return [{"sum": float(values.sum()) + task}]


def test_what_a_task_raises_comes_back(cluster) -> None:
    with pytest.raises(MdlError, match="cannot be"):
        run(cluster, failing, [1, 2])


def test_workers_with_other_code_are_refused(cluster, monkeypatch) -> None:
    monkeypatch.setattr(tasks, "_code", lambda: ("mdl 0", "numpy 1", "scipy 1", "scikit-learn 1"))
    with pytest.raises(MdlError, match=r"one has mdl .* instead of mdl 0; numpy .* instead of numpy 1"):
        run(cluster, doubled, [(1, None)])


def test_a_task_that_kills_its_workers_is_given_up(cluster) -> None:
    with pytest.raises(MdlError, match="gave up a task"):
        run(cluster, deadly, [1])


def test_a_module_that_the_workers_lack_is_named(cluster, monkeypatch) -> None:
    module = types.ModuleType("of_this_process_only")
    exec("def compute(task): return []", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(MdlError, match="its workers need what this process has: No module named 'of_this_process"):
        run(cluster, module.compute, [1])


def test_a_cluster_without_workers_is_said(monkeypatch) -> None:
    monkeypatch.setattr(clusters, "_SECONDS", 1)
    with local(0) as empty, pytest.raises(MdlError, match="expected workers, came none"):
        run(empty, doubled, [(1, None)])


def test_what_came_before_the_end_of_a_cluster_is_kept(cluster, tmp_path, monkeypatch) -> None:
    """Cancelled is what tasks are whose scheduler is lost."""
    distributed = pytest.importorskip("distributed")
    store, result, came = tasks.Store.at(tmp_path), distributed.Future.result, []

    def cancelled(future: Any) -> Any:
        came.append(future)
        if len(came) > 3:
            raise CancelledError
        return result(future)

    monkeypatch.setattr(distributed.Future, "result", cancelled)
    with pytest.raises(MdlError, match=r"cluster tcp://.*: lost, or told to stop"):
        run(cluster, doubled, [(number, None) for number in range(9)], store=store)
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_no_cluster_is_said(monkeypatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(clusters, "_SECONDS", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(MdlError, match=f"scheduler: expected an address .*, got '{address}'"):
            tasks.run(doubled, [(1, None)], backend="dask", scheduler=address, progress=False)
    with pytest.raises(MdlError, match="or an open Client"):
        tasks.run(doubled, [(1, None)], backend="dask", progress=False)


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MdlError, match=r"needs distributed, .*description-length\[dask\]"):
        tasks.run(doubled, [(1, None)], backend="dask", scheduler="tcp://127.0.0.1:9", progress=False)


@pytest.mark.parametrize("options", [{"backend": "ray"}, {"scheduler": "tcp://127.0.0.1:9"}], ids=str)
def test_options_that_make_no_sense_are_named(options) -> None:
    with pytest.raises(MdlError, match=r"backend"):
        tasks.run(doubled, [(1, None)], progress=False, **options)
