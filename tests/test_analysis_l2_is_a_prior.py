"""The analysis finds its claims on a small run, and denies them to a penalty or a strength that is not the prior's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy as sp

from analyses import l2_is_a_prior as analysis
from mdl import symbolic

TABLES = ("identity", "orders", "penalties", "scaling", "stationarity")


@pytest.fixture(scope="module")
def models() -> list[analysis.Trained]:
    return analysis.train(seed=0, quick=True)


@pytest.fixture(scope="module")
def tables(models: list[analysis.Trained]) -> dict[str, pd.DataFrame]:
    rows = pd.concat([analysis.identity(trained) for trained in models], ignore_index=True)
    return {
        "rows": rows,
        "orders": analysis.slopes(rows),
        "pulls": pd.concat([analysis.stationarity(trained, 0, 1) for trained in models], ignore_index=True),
        "rises": pd.concat([analysis.scaling(trained) for trained in models], ignore_index=True),
    }


def verdict(tables: dict[str, pd.DataFrame], **changed: pd.DataFrame) -> list[str]:
    """The claims that failed."""
    found = analysis.verdict(*({**tables, **changed}[name] for name in ("orders", "pulls", "rises")))
    return [claim for claim, held in found.items() if not held]


def test_every_claim_holds(tables: dict[str, pd.DataFrame]) -> None:
    assert verdict(tables) == []


def test_every_family_and_step_is_measured(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["rows"]
    assert rows.groupby("model").prior.nunique().tolist() == [len(symbolic.FAMILIES)] * 2
    assert set(rows.prior) == {*analysis.SMOOTH, *analysis.KINKED, "Uniform"}
    assert np.isfinite(rows.select_dtypes("number")).all(axis=None)


def test_a_penalty_one_percent_too_strong_is_found_out(
    models: list[analysis.Trained], tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = symbolic.penalty

    def too_strong(prior: Any) -> sp.Expr:
        return sp.Rational(101, 100) * derived(prior)

    monkeypatch.setattr(symbolic, "penalty", too_strong)
    failed = verdict(tables, orders=analysis.slopes(analysis.identity(models[0])))
    assert failed[:2] == [
        "smooth priors: the gap falls like the square of the step",
        "all priors: the gap is the one derived, to 2 %",
    ]


def test_weights_that_are_no_optimum_are_found_out(
    models: list[analysis.Trained], tables: dict[str, pd.DataFrame]
) -> None:
    trained = models[0]
    moved = analysis.Trained(
        "shrunk", trained.with_penalised(0.95 * trained.weights), trained.X, trained.y, trained.prior
    )
    failed = verdict(tables, pulls=analysis.stationarity(moved, 0, 1), rises=analysis.scaling(moved))
    assert failed == [
        "trained optimum: both parts' slopes cancel",
        "scaled weights make a longer message",
    ]


def test_files_and_report(
    models: list[analysis.Trained],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(analysis, "HALVINGS", range(4, 8))
    monkeypatch.setattr(analysis, "train", lambda seed, quick: models)
    analysis.main(["--quick", "--out", str(tmp_path / "new")])
    made = {path.name for path in (tmp_path / "new").iterdir()}
    assert made == {f"{name}.csv" for name in TABLES} | {"penalties.tex", "identity.pdf", "identity.png"}
    assert "Verdict:" in capsys.readouterr().out
