"""What the table of ``arbitrary_razor`` says: its parts, and means over tables with intervals over splits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from analyses import _text

_RANKED = ["table", "seed", "architecture", "tau", "tau_error", "tau_sd", "test_bits", "best_test_bits"]


class Span(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    def said(self, digits: int = 2) -> str:
        mean, low, high = (_text.fixed(digits)(value) for value in self)
        return f"{mean} ({low} to {high})"


def span(values: pd.Series) -> Span:
    """Mean over tables of the means over splits, by a bootstrap over the splits of each; indexed by (table, seed)."""
    rng = np.random.default_rng(0)
    parts = [part.to_numpy() for _, part in values.groupby(level="table")]
    means = [part[rng.integers(len(part), size=(2000, len(part)))].mean(axis=1) for part in parts]
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    return Span(float(np.mean([part.mean() for part in parts])), float(low), float(high))


def ranks(table: pd.DataFrame, code: str, labels: str) -> pd.DataFrame:
    chosen = (table["part"] == "rank") & (table["code"] == code) & (table["labels"] == labels)
    found = table.loc[chosen, _RANKED]
    return found.assign(excess=found["test_bits"] - found["best_test_bits"])


def within(table: pd.DataFrame, code: str, labels: str = "true") -> pd.DataFrame:
    """Means over architectures, by (table, seed)."""
    found = ranks(table, code, labels)
    return (
        found[found["architecture"] != "all"]
        .groupby(["table", "seed"])[["tau", "tau_error", "tau_sd", "excess"]]
        .mean()
    )


def across(table: pd.DataFrame, code: str) -> pd.DataFrame:
    """All architectures together, by (table, seed)."""
    found = ranks(table, code, "true")
    return found[found["architecture"] == "all"].set_index(["table", "seed"])[["tau", "excess"]]


def searches(table: pd.DataFrame, name: str, labels: str = "true") -> pd.DataFrame:
    return table[(table["part"] == "search") & (table["table"] == name) & (table["labels"] == labels)]


def ends(table: pd.DataFrame, name: str, labels: str = "true") -> pd.DataFrame:
    """The last sweep."""
    found = searches(table, name, labels)
    found = found[found["sweep"] == found["sweep"].max()]
    found = found.assign(total_bits=found["weights_bits"] + found["data_bits"])
    columns = ["test_bits", "weights_bits", "data_bits", "total_bits"]
    return found.groupby(["code", "table", "n", "seed"], sort=False)[columns].mean().reset_index()


def more(table: pd.DataFrame, name: str, n: int, column: str, labels: str = "true") -> Span:
    """What the hashed search ends with more than the Gaussian one on the same splits."""
    last = ends(table, name, labels)
    wide = last[last["n"] == n].pivot(index=["table", "seed"], columns="code", values=column)
    return span(wide["hashed"] - wide["Gaussian"])


def constants(table: pd.DataFrame) -> dict[str, float]:
    found = table[table["part"] == "constant"]
    return dict(zip(found["code"], found["constant_bits"], strict=True))


def kept_share(table: pd.DataFrame, bits: float) -> Span:
    kept = table[(table["part"] == "kept") & (table["labels"] == "true") & np.isclose(table["constant_bits"], bits)]
    return span(kept.drop_duplicates(["table", "seed"]).set_index(["table", "seed"])["kept"])
