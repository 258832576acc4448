"""``kill -9`` at random moments of a sweep and an encode: nothing lost, no row twice, no half file, nothing left.

A few kills here, fifty of each by ``make kill``: MDL_KILLS says how many.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mdl import decode, encode, files, load, save
from mdl.tasks import Rows, Store

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("MDL_KILLS", "3"))
SWEEP = ["sweep", "wine", "--strengths", "6", "--seeds", "2", "-m", "logistic", "-p", "gaussian", "-q"]
KEYS = ["model", "strength", "seed", "prior"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from mdl.cli import main; main()", *map(str, arguments)]


def killed(what: list[str], seconds: float, watched: Path | None = None) -> bool:
    """Whether the command was still running when its moment came, which may be that of a first temporary file."""
    process, end = subprocess.Popen(what, cwd=ROOT), time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not (watched and temporary(watched)):
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def temporary(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.tmp"))


def timed(what: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(what, cwd=ROOT, check=True)
    return time.monotonic() - began


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "sweep.parquet").drop(columns="seconds")


def stored(folder: Path) -> dict[str, Rows]:
    """The rows of every file of a store, each whole."""
    files = sorted((folder / "rows").glob("*.json"))
    store = Store(folder / "rows", ())
    found = {}
    for file in files:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "path", lambda self, task, file=file: file)
            rows = store.read(None)
        assert rows is not None, f"half a file: {file}"
        found[file.name] = rows
    return found


def test_a_sweep_killed_at_random_moments_loses_nothing(tmp_path) -> None:
    rng, kills, folders = random.Random(0), 0, 0
    seconds = timed(command(*SWEEP, "--jobs", 1, "--out", tmp_path / "whole"))
    whole = table(tmp_path / "whole")
    assert not whole[KEYS].duplicated().any()
    while kills < KILLS:
        out, before, folders = tmp_path / str(folders), {}, folders + 1
        again = command(*SWEEP, "--jobs", 1 + folders % 2, "--out", out)
        while killed(again, rng.uniform(0.0, seconds), out if kills % 3 == 2 else None):
            kills += 1
            after = stored(out)
            assert {name: after.get(name) for name in before} == before
            before = after
            if (out / "sweep.parquet").exists():
                pd.testing.assert_frame_equal(table(out), whole)
            if kills == KILLS:
                time.sleep(files._YOUNG)
                subprocess.run(again, cwd=ROOT, check=True)
                break
        pd.testing.assert_frame_equal(table(out), whole)
        pd.testing.assert_frame_equal(pd.read_csv(out / "sweep.csv")[KEYS], whole[KEYS])
        assert {name: stored(out)[name] for name in before} == before
        assert len(stored(out)) == 12
        assert temporary(out) == []
        assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}


def test_an_encode_killed_at_random_moments_leaves_the_old_file_or_the_new(tmp_path) -> None:
    rng, kills, tries = random.Random(1), 0, 0
    values = np.random.default_rng(0)
    save({str(k): values.normal(size=(300, 300)) for k in range(12)}, tmp_path / "w.safetensors")
    folder = tmp_path / "out"
    folder.mkdir()
    again = command("encode", tmp_path / "w.safetensors", "-o", folder / "m.mdl", "--step", 1e-3, "-q")
    seconds = timed(again)
    new, old = (folder / "m.mdl").read_bytes(), encode({"old": [1.0, 2.0]}, step=1.0)
    while kills < KILLS:
        (folder / "m.mdl").write_bytes(old)
        tries += 1
        dead = killed(again, rng.uniform(0.0, seconds), folder if tries % 2 else None)
        kills += dead
        assert (folder / "m.mdl").read_bytes() in ((old, new) if dead else (new,))
    time.sleep(files._YOUNG)  # what a writer left a moment ago might still be some living writer's
    timed(again)
    assert [path.name for path in folder.iterdir()] == ["m.mdl"]
    assert (folder / "m.mdl").read_bytes() == new
    assert decode(new) == decode(encode(load(tmp_path / "w.safetensors"), step=1e-3))


def test_two_sweeps_into_one_folder_at_once_make_one_table(tmp_path) -> None:
    both = [subprocess.Popen(command(*SWEEP, "--jobs", 1, "--out", tmp_path / "both"), cwd=ROOT) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    subprocess.run(command(*SWEEP, "--jobs", 2, "--out", tmp_path / "alone"), cwd=ROOT, check=True)
    pd.testing.assert_frame_equal(table(tmp_path / "both"), table(tmp_path / "alone"))
    assert len(stored(tmp_path / "both")) == 12
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "two-level"])
def test_bytes_do_not_depend_on_the_threads_of_blas(tmp_path, prior) -> None:
    """Nor on the process: each is one of its own."""
    rng = np.random.default_rng(0)
    save({"w": rng.normal(size=(500, 400)), "v": rng.laplace(size=3000)}, tmp_path / "w.safetensors")
    made = []
    for threads in ("1", "2", "1"):
        out = tmp_path / f"{len(made)}.mdl"
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        encoding = command("encode", tmp_path / "w.safetensors", "-o", out, "-p", prior, "--levels", 9, "-q")
        subprocess.run(encoding, cwd=ROOT, check=True, env=environment)
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


def test_a_sweep_does_not_depend_on_the_threads_of_blas(tmp_path) -> None:
    for threads, jobs in (("1", 1), ("2", 2)):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        what = command(*SWEEP, "--strengths", 2, "--jobs", jobs, "--out", tmp_path / threads)
        subprocess.run(what, cwd=ROOT, check=True, env=environment)
    pd.testing.assert_frame_equal(table(tmp_path / "1"), table(tmp_path / "2"))
