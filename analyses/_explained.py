"""How much of held-out loss is explained by what capacity is left; and what equal capacities save."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.tree import DecisionTreeRegressor

from analyses._capacity import DIRECTIONS
from mdl.masses import Array

CELL = ["family", "table", "shuffled", "n", "seed"]
#: Shares of what is left of a measure, by the measure; the strength knows nothing of the data.
MEASURES = {
    "dof": "degrees of freedom", "complexity_bits": "LNML complexity", "random_saved_bits": "fit of random labels",
    "norm": "norm of the weights", "train_saved_bits": "fit of true labels", "strength": "strength alone",
}  # fmt: skip
CAPACITIES = ("dof", "complexity_bits", "random_saved_bits")
BOTH = "both fits"
SHAPES = ("monotone", "any")
_STEPS, _FEWEST = 8, 20  # of a step function of any shape, and examples a step


def paths(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of L2, with ``left_*``, each measure as a share of what it is under the weakest penalty.

    ``better`` is the change of what is saved on held-out examples, ``closer`` that of the gap to training, both against
    the weakest penalty and in units of their spread over the strengths: how a path runs, not how far.
    """
    rows = table[table["way"] == "L2"].sort_values([*CELL, "strength"]).reset_index(drop=True)
    first = rows.groupby(CELL)[list(MEASURES)].transform("first")
    left = {f"left_{name}": rows[name] / first[name] for name in MEASURES if name != "strength"}
    gap = rows["test_saved_bits"] - rows["train_saved_bits"]
    rows = rows.assign(**left, left_strength=-np.log10(rows["strength"]), gap_bits=gap)
    for name, bits in {"better": "test_saved_bits", "closer": "gap_bits"}.items():
        groups = rows.groupby(CELL)[bits]
        rows[name] = (rows[bits] - groups.transform("first")) / groups.transform("std").clip(lower=1e-9)
    return rows


def left_out(rows: pd.DataFrame, measures: Sequence[str], target: str, shape: str) -> pd.Series:
    """R² on each table of a function of these measures that was fitted on all other tables.

    ``shape`` is ``"monotone"`` (isotonic, up or down as the others say) or ``"any"`` (a few steps).
    """
    columns = [f"left_{name}" for name in measures]
    found = {}
    for name in rows["table"].unique():
        others, own = rows[rows["table"] != name], rows[rows["table"] == name]
        up = bool(np.cov(others[columns[0]], others[target])[0, 1] > 0.0)
        fitted = _function(shape, up).fit(others[columns], others[target])
        error = own[target] - fitted.predict(own[columns])
        found[name] = 1.0 - float((error**2).sum() / ((own[target] - own[target].mean()) ** 2).sum())
    return pd.Series(found)


def _function(shape: str, up: bool) -> Any:
    if shape == "monotone":
        return IsotonicRegression(increasing=up, out_of_bounds="clip")
    return DecisionTreeRegressor(max_leaf_nodes=_STEPS, min_samples_leaf=_FEWEST, random_state=0)


def matched(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Held-out bits that a way with few directions saves over L2 at the same value of a measure, a row a model.

    L2's path is interpolated; values that it does not reach are left out.
    """
    found = []
    for cell, part in table.groupby(CELL, sort=False):
        path = part[part["way"] == "L2"].sort_values(measure)
        others = part[part["way"].isin(DIRECTIONS) & part[measure].between(path[measure].min(), path[measure].max())]
        bits = others["test_saved_bits"] - np.interp(others[measure], path[measure], path["test_saved_bits"])
        found.append(others.assign(**dict(zip(CELL, cell, strict=True)), over_bits=bits))
    return pd.concat(found, ignore_index=True)


def kept(table: pd.DataFrame, halved: float = 0.5) -> pd.DataFrame:
    """What is left of the fit of the labels where the fit of random ones is this share of that of the whole model.

    A row a cell and way. Ways with few directions end at the whole model.
    """
    found = []
    for cell, part in table.groupby(CELL, sort=False):
        whole = part[part["way"] == "L2"].sort_values("strength").iloc[0]
        for way, rows in part.groupby("way", sort=False):
            path = pd.concat([rows, whole.to_frame().T]) if way != "L2" else rows
            random = path["random_saved_bits"].to_numpy(float) / whole["random_saved_bits"]
            true = path["train_saved_bits"].to_numpy(float) / whole["train_saved_bits"]
            order = np.argsort(random, kind="stable")
            share = float(np.interp(halved, np.r_[0.0, random[order]], np.r_[0.0, true[order]]))
            found.append({**dict(zip(CELL, cell, strict=True)), "way": way, "kept": share})
    return pd.DataFrame(found)


def less_is_better(table: pd.DataFrame, measure: str) -> pd.Series:
    """Rank correlation of a measure with held-out loss along L2's path, a cell: 1 where less is always better."""
    rows = table[table["way"] == "L2"]

    def ranks(part: pd.DataFrame) -> float:
        return -float(stats.spearmanr(part[measure], part["test_saved_bits"]).statistic)

    return rows.groupby(CELL)[[measure, "test_saved_bits"]].apply(ranks)


def by_table(values: pd.Series, tables: pd.Series) -> Array:
    """Medians of the tables, whose splits and sizes are not independent; a few outliers are no matter."""
    return values.groupby(tables.to_numpy()).median().to_numpy()


def explained(rows: pd.DataFrame, target: str) -> pd.DataFrame:
    """``left_out`` of every measure and shape, and of a capacity with the fit of the true labels; a row a table."""
    single: dict[str, Sequence[str]] = {name: (name,) for name in MEASURES}
    parts = [
        left_out(rows, of, target, shape)
        .rename("r2")
        .rename_axis("table")
        .reset_index()
        .assign(measure=name, shape=shape)
        for name, of in (single | {BOTH: ("random_saved_bits", "train_saved_bits")}).items()
        for shape in (SHAPES if name != BOTH else SHAPES[1:])
    ]
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True, eq=False)
class Findings:
    """All of it for a table: what is ``kept``, what is saved ``over`` L2 by measure, and ``r2`` by target."""

    kept: pd.DataFrame
    over: dict[str, pd.DataFrame]
    r2: pd.DataFrame

    def kept_by(self, family: str, way: str, *, shuffled: bool) -> pd.Series:
        """What is left of the fit of the labels where that of random ones is halved, a table."""
        own = self.kept[(self.kept["way"] == way) & _part(self.kept, family, shuffled)]
        return own.groupby("table")["kept"].mean()

    def over_by(self, family: str, measure: str, way: str, *, shuffled: bool) -> Array:
        """What a way with few directions saves over L2 at the same capacity, a table."""
        found = self.over[measure]
        own = found[(found["way"] == way) & _part(found, family, shuffled)]
        return by_table(own["over_bits"], own["table"])

    def r2_by(self, family: str, measure: str, target: str, *, shuffled: bool, shape: str = "monotone") -> pd.Series:
        """On each table left out."""
        rows = self.r2[_part(self.r2, family, shuffled) & (self.r2["target"] == target)]
        return rows[(rows["measure"] == measure) & (rows["shape"] == shape)].set_index("table")["r2"]

    def best_capacity(self, family: str, *, shuffled: bool) -> tuple[str, pd.Series]:
        """The measure of capacity, with the better shape, that explains most on average."""
        each = {
            (name, shape): self.r2_by(family, name, "better", shuffled=shuffled, shape=shape)
            for name in CAPACITIES
            for shape in SHAPES
        }
        best = max(each, key=lambda key: each[key].mean())
        return best[0], each[best]


def _part(rows: pd.DataFrame, family: str, shuffled: bool) -> pd.Series:
    return (rows["family"] == family) & (rows["shuffled"] == shuffled)


def findings(table: pd.DataFrame) -> Findings:
    """Of a table; computed once for figures, numbers and verdict."""
    return _findings(table.to_csv(index=False))


@functools.lru_cache(maxsize=2)
def _findings(text: str) -> Findings:
    table = pd.read_csv(io.StringIO(text))
    r2 = [
        explained(paths(part), target).assign(family=family, shuffled=shuffled, target=target)
        for (family, shuffled), part in table.groupby(["family", "shuffled"], sort=False)
        for target in ("better", "closer")
    ]
    return Findings(kept(table), {name: matched(table, name) for name in CAPACITIES}, pd.concat(r2, ignore_index=True))
