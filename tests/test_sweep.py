"""Sweeps: honest rows, the same table from one and two processes, and nothing lost when one is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from mdl import datasets, sweep, training
from mdl.errors import DataError, MdlError
from mdl.length import LN2
from mdl.penalties import CONVENTIONS

WINE = datasets.load("wine")
SMALL = {"models": ("logistic",), "strengths": (1e-3, 1e-1), "seeds": (0, 1), "priors": ("gaussian", "hashed")}
KILLED = """
import sys
from pathlib import Path
from mdl import datasets, sweep
if __name__ == "__main__":
    sweep.sweep(datasets.load("wine"), models=("mlp-tanh",), strengths=[10.0**-k for k in range(12)], seeds=(0, 1),
                priors=("gaussian", "laplace", "mixture"), out=Path(sys.argv[1]), n_jobs=1, progress=False)
"""


def _same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a.drop(columns="seconds"), b.drop(columns="seconds"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return sweep.sweep(WINE, **SMALL, n_jobs=1, progress=False)


def test_a_row_for_every_model_strength_seed_and_prior(table) -> None:
    keys = table[["model", "strength", "seed", "prior"]]
    assert len(keys) == len(keys.drop_duplicates()) == 8
    assert not table.isna().any().any()


def test_rows_add_up_and_realised_is_no_longer_than_ideal(table) -> None:
    np.testing.assert_allclose(table["model_bits"] + table["data_bits"], table["total_bits"])
    whole = table["total_bits"] + table["header_bits"]
    assert (table["realised_bits"] + table["header_bits"] <= 1.0002 * whole + 64).all()
    assert (table["uniform_bits"] == table["n"] * np.log2(3)).all()


def test_losses_are_those_of_the_trained_model(table) -> None:
    split = training.Split.of(WINE, seed=1)
    model, _ = training.train("logistic", 1e-1, 1, split)
    nats = -model.likelihood.log_prob(model.predict(split.X_test), split.y_test).mean()
    row = table[(table["seed"] == 1) & (table["strength"] == 1e-1)].iloc[0]
    assert row["trained_test_bits_per_example"] == pytest.approx(nats / LN2)


# not of ReLU units: their optimum may lie on a kink, where there is no slope
@pytest.mark.parametrize("name", ["logistic", "mlp-tanh", "mlp-logistic"])
def test_the_trained_weights_are_stationary_for_the_strength_asked_for(name) -> None:
    strength, split = 1e-2, training.Split.of(WINE, seed=0)
    model, converged = training.train(name, strength, 0, split)
    assert converged
    rng = np.random.default_rng(0)

    def objective(shift: float) -> float:
        moved = {k: v + shift * direction[k] for k, v in model.weights.items()}
        nll = -model.likelihood.log_prob(model.with_weights(moved).predict(split.X), split.y).mean()
        return nll + 0.5 * strength * sum(float((w**2).sum()) for k, w in moved.items() if k not in model.free)

    for _ in range(3):
        direction = {k: rng.normal(size=v.shape) for k, v in model.weights.items()}
        slope = (objective(1e-5) - objective(-1e-5)) / 2e-5
        pull = strength * sum(float((direction[k] * w).sum()) for k, w in model.weights.items() if k not in model.free)
        assert abs(slope) < 0.02 * max(abs(pull), strength)


def test_ridge_has_the_strength_of_its_convention() -> None:
    split = training.Split.of(datasets.load("diabetes"), seed=0)
    model, _ = training.train("ridge", 0.1, 0, split)
    z = (split.y - split.y.mean()) / split.y.std()
    gram = split.X.T @ split.X / len(z) + 0.1 * np.eye(split.X.shape[1])
    weights = np.linalg.solve(gram, split.X.T @ z / len(z)) * split.y.std()
    np.testing.assert_allclose(model.weights["layers.0.weight"][:, 0], weights, rtol=1e-8)
    assert CONVENTIONS["sklearn.Ridge.alpha"].needs == ("noise_variance",)


@pytest.mark.parametrize("name", ["ridge", "mlp-relu"])
def test_regression_rows(name) -> None:
    options = {**SMALL, "models": (name,), "seeds": (0,)}
    rows = sweep.sweep(datasets.load("diabetes"), **options, n_jobs=1, progress=False)
    assert (rows["trained_test_error"] < 1.1 * datasets.load("diabetes").y.std()).all()
    assert (rows["realised_bits"] <= 1.0002 * rows["total_bits"] + 64).all()


def test_two_processes_make_the_same_table(table, tmp_path) -> None:
    two = sweep.sweep(WINE, **SMALL, out=tmp_path, n_jobs=2, progress=False)
    _same(table, two)
    _same(two, pd.read_parquet(tmp_path / "sweep.parquet"))
    assert len(pd.read_csv(tmp_path / "sweep.csv")) == len(two)


def test_a_killed_sweep_goes_on_where_it_was(tmp_path) -> None:
    (tmp_path / "script.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")]
    rows = tmp_path / "out" / "rows"
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(list(rows.glob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in rows.glob("*.json")}
    assert 3 <= len(done) < 24
    damaged = next(iter(done))
    damaged.write_bytes(damaged.read_bytes()[:-10])
    subprocess.run(command, check=True)
    assert len(list(rows.glob("*.json"))) == 24
    assert all(path.stat().st_mtime_ns == when for path, when in done.items() if path != damaged)
    json.loads(damaged.read_text())
    resumed = pd.read_parquet(tmp_path / "out" / "sweep.parquet")
    fresh = sweep.sweep(
        WINE, models=("mlp-tanh",), strengths=[10.0**-k for k in range(12)], seeds=(0, 1),
        priors=("gaussian", "laplace", "mixture"), n_jobs=2, progress=False,
    )  # fmt: skip
    assert len(resumed) == 72
    _same(resumed, fresh)


def test_the_summary_chooses_the_shortest_total(table) -> None:
    chosen = sweep.summary(table).set_index("prior")["strength"]
    means = table.groupby(["prior", "strength"])["total_bits"].mean().unstack()
    assert chosen.to_dict() == means.idxmin(axis=1).to_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"models": ("forest",)}, "forest"),
        ({"models": ("ridge",)}, "ridge"),
        ({"models": "logistic"}, "list"),
        ({"strengths": (0.0,)}, "strengths"),
        ({"strengths": (float("nan"),)}, "strengths"),
        ({"strengths": ()}, "strengths"),
        ({"seeds": (-1,)}, "seeds"),
        ({"priors": ("normal",)}, "normal"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_arguments_are_named(change, said) -> None:
    with pytest.raises((DataError, MdlError), match=said):
        sweep.sweep(WINE, **{**SMALL, "n_jobs": 1, "progress": False, **change})
