"""The analysis finds its claims on a small run, and denies them to a penalty or a strength that is not the prior's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy as sp

from analyses import _catalogue
from analyses import _penalised as measuring
from analyses import l2_is_a_prior as analysis
from mdl import symbolic


@pytest.fixture(scope="module")
def models() -> list[measuring.Trained]:
    return [measuring.train(name, seed=0, quick=True) for name in measuring.MODELS]


@pytest.fixture(scope="module")
def tables(models: list[measuring.Trained]) -> dict[str, pd.DataFrame]:
    rows = pd.concat([measuring.identity(trained) for trained in models], ignore_index=True)
    return {
        "rows": rows,
        "orders": analysis.orders(rows),
        "pulls": pd.concat([measuring.stationarity(trained, 0, 1) for trained in models], ignore_index=True),
        "rises": pd.concat([measuring.scaling(trained) for trained in models], ignore_index=True),
    }


def verdict(tables: dict[str, pd.DataFrame], **changed: pd.DataFrame) -> list[str]:
    """The claims that failed."""
    found = analysis.held(*({**tables, **changed}[name] for name in ("orders", "pulls", "rises")))
    return [claim for claim, held in found.items() if not held]


def test_every_claim_holds(tables: dict[str, pd.DataFrame]) -> None:
    assert verdict(tables) == []


def test_every_family_and_step_is_measured(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["rows"]
    assert rows.groupby("model").prior.nunique().tolist() == [len(symbolic.FAMILIES)] * 2
    assert set(rows.prior) == {*analysis.SMOOTH, *analysis.KINKED, "Uniform"}
    assert np.isfinite(rows.select_dtypes("number")).all(axis=None)


def test_a_penalty_one_percent_too_strong_is_found_out(
    models: list[measuring.Trained], tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = symbolic.penalty

    def too_strong(prior: Any) -> sp.Expr:
        return sp.Rational(101, 100) * derived(prior)

    monkeypatch.setattr(symbolic, "penalty", too_strong)
    failed = verdict(tables, orders=analysis.orders(measuring.identity(models[0])))
    assert failed[:2] == [
        "smooth priors: the gap falls like the square of the step",
        "all priors: the gap is the one derived, to 2 %",
    ]


def test_weights_that_are_no_optimum_are_found_out(
    models: list[measuring.Trained], tables: dict[str, pd.DataFrame]
) -> None:
    trained = models[0]
    moved = measuring.Trained(
        "shrunk", trained.with_penalised(0.95 * trained.weights), trained.X, trained.y, trained.prior
    )
    failed = verdict(tables, pulls=measuring.stationarity(moved, 0, 1), rises=measuring.scaling(moved))
    assert failed == [
        "trained optimum: both parts' slopes cancel",
        "scaled weights make a longer message",
    ]


def test_a_verdict_names_the_claims_that_failed() -> None:
    table = _catalogue.committed("l2_is_a_prior")
    assert analysis.verdict(table).startswith("Yes")
    shorter = table.assign(rise_nats=-table["rise_nats"])
    assert analysis.verdict(shorter) == "Not as claimed. Failed: scaled weights make a longer message."
