"""What strengths save beside nearly no penalty: a row a training set, from a table with a row a strength."""

from __future__ import annotations

import pandas as pd
from scipy import stats

from analyses._nested import TRUTHS

CELL = ["family", "table", "shuffled", "n", "seed"]
WAYS = ("oracle", "evidence")


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Of every training set: held-out bits an example that a strength saves over the weakest of the grid.

    ``oracle_bits`` of the strength that is best on the held-out examples, never negative; ``evidence_bits`` of that of
    the least evidence; ``direction_bits`` of the latter where both models have the temperature that is best on the
    held-out examples, so that no scale of logits is to blame; ``evidence_error`` in errors. ``beside_*`` are saved
    beside the constant forecast, and ``strongest_bits`` is what the strongest penalty costs over the best.
    """
    sets = table.sort_values("strength").groupby(CELL, sort=False)
    weakest, strongest = (sets[list(table.columns)].nth(end).set_index(CELL) for end in (0, -1))
    best, least = (
        table.loc[sets[column].idxmin()].set_index(CELL).reindex(weakest.index)
        for column in ("test_bits", "evidence_bits")
    )
    found = pd.DataFrame({
        "weights": weakest["weights"], "none_bits": weakest["test_bits"], "none_error": weakest["test_error"],
        "none_train_bits": weakest["train_bits"],
        "oracle_bits": weakest["test_bits"] - best["test_bits"],
        "evidence_bits": weakest["test_bits"] - least["test_bits"],
        "evidence_error": weakest["test_error"] - least["test_error"],
        "direction_bits": weakest["tempered_bits"] - least["tempered_bits"],
        "beside_oracle_bits": weakest["constant_bits"] - best["test_bits"],
        "beside_evidence_bits": weakest["constant_bits"] - least["test_bits"],
        "strongest_bits": strongest["test_bits"] - best["test_bits"],
        "best_strength": best["strength"], "evidence_strength": least["strength"],
        "left": least["effective"] / weakest["weights"],
    }).reset_index()  # fmt: skip
    return found.assign(per=found["n"] / found["weights"])


def real(cells: pd.DataFrame) -> pd.DataFrame:
    """Tables as they are."""
    return cells[~cells["shuffled"] & ~cells["table"].isin(TRUTHS)]


def kept(cells: pd.DataFrame) -> pd.Series:
    """Which share of what the oracle saves the evidence saves, all training sets of a split together."""
    sums = cells.groupby("seed")[["evidence_bits", "oracle_bits"]].sum()
    return sums["evidence_bits"] / sums["oracle_bits"]


def falls(cells: pd.DataFrame) -> pd.Series:
    """Rank correlation of what the evidence saves with examples a parameter, a split."""
    return cells.groupby("seed")[["per", "evidence_bits"]].apply(
        lambda part: float(stats.spearmanr(part["per"], part["evidence_bits"]).statistic)
    )


def steps(cells: pd.DataFrame) -> pd.Series:
    """Share of the steps from one size to the next, within tables, at which the evidence saves less, a split."""
    ordered = cells.sort_values("n")
    change = ordered.groupby(["family", "table", "seed"])["evidence_bits"].diff()
    return (change[change.notna()] < 0.0).groupby(ordered.loc[change.notna(), "seed"]).mean()
