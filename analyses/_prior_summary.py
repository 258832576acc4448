"""What the table of matched priors says: where lengths and losses are least, and what a related centre gains."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analyses import _text
from analyses._centre_summary import paid, span, told

#: Parts, and the column that is swept; what it is at the teachers' own prior.
SWEEPS = {"scale": "step", "centre": "shift", "network scale": "step", "network centre": "shift"}
TRUE = {"step": 0.0, "shift": 1.0}
_RESAMPLES = 1000


def swept(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """One sweep, with what each student's code takes more than that of the true prior on the same examples."""
    rows = table[table["part"] == part].dropna(axis=1, how="all").reset_index(drop=True)
    x = SWEEPS[part]
    true = rows[rows[x] == TRUE[x]].set_index(["n", "seed"])
    at = pd.MultiIndex.from_frame(rows[["n", "seed"]])
    extra = {
        f"extra_{c}": rows[c] - true[c].loc[at].to_numpy()
        for c in ("bits", "laplace_bits", "two_part_bits")
        if c in rows
    }
    return rows.assign(**extra)


def least(table: pd.DataFrame, part: str, of: str) -> dict[int, float]:
    """Where the mean over teachers is least, for each number of examples."""
    rows = table[table["part"] == part]
    means = rows.groupby(["n", SWEEPS.get(part, "step")])[of].mean()
    return {int(n): float(means[n].idxmin()) for n in means.index.get_level_values("n").unique()}


def least_range(table: pd.DataFrame, part: str, of: str, n: int) -> tuple[float, float]:
    """Where the mean is least if teachers are drawn anew from those that there are: 95 % of such draws lie between."""
    rows = table[(table["part"] == part) & (table["n"] == n)]
    each = rows.pivot_table(of, "seed", SWEEPS[part])
    drawn = np.random.default_rng(0).integers(len(each), size=(_RESAMPLES, len(each)))
    places = each.columns.to_numpy()[each.to_numpy()[drawn].mean(axis=1).argmin(axis=1)]
    low, high = np.quantile(places, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def gains(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """What each centre of a real task gains over zero: bits of labels, and of held-out loss, a row a draw."""
    rows = table[table["part"] == part].dropna(axis=1, how="all")
    columns = ["bits", "test_bits", "test_error", "sampled_bits", "averaged_test_bits"]
    zero = rows[rows["centre"] == "zero"].set_index(["seed", "n"])[columns]
    others = rows[rows["centre"] != "zero"].reset_index(drop=True)
    own = zero.loc[pd.MultiIndex.from_frame(others[["seed", "n"]])].reset_index(drop=True)
    with_labels = others["bits"] + others["labels_bits"]
    sent = others["sent_bits"] if "sent_bits" in others else with_labels * math.nan
    return others.assign(
        gain_bits=own["bits"] - others["bits"], loss_bits=others["test_bits"] - own["test_bits"],
        errors=others["test_error"] - own["test_error"], paid_bits=paid(sent, with_labels) - own["bits"],
        sampled_gain_bits=own["sampled_bits"] - others["sampled_bits"],
        averaged_loss_bits=others["averaged_test_bits"] - own["averaged_test_bits"],
    )  # fmt: skip


def shape_differences(table: pd.DataFrame, of: str) -> pd.DataFrame:
    """A row a teacher and student: what the student has more than the one of the teacher's shape."""
    rows = table[table["part"] == "shape"].pivot_table(of, ["teacher", "seed"], "student", sort=False).reset_index()
    own = np.array([row[row["teacher"]] for _, row in rows.iterrows()])
    students = [name for name in rows.columns if name not in ("teacher", "seed")]
    return rows.assign(**{name: rows[name] - own for name in students})


# --- in Markdown ---


def least_table(table: pd.DataFrame) -> str:
    """Where the mean of each length and loss is least, in scales or centres of the truth, with the interval."""
    names = {
        "bits": "evidence", "laplace_bits": "Laplace's method", "two_part_bits": "two parts",
        "excess_bits": "loss, average", "plugged_excess_bits": "loss, mode",
    }  # fmt: skip
    said = []
    for part in SWEEPS:
        rows = table[table["part"] == part]
        for n in sorted(rows["n"].unique()):
            own = {"sweep": part, "examples": f"{n:g}"}
            for of, name in names.items():
                own[name] = _least_place(table, part, of, int(n)) if rows[of].notna().any() else "–"
            said.append(own)
    return _text.table(pd.DataFrame(said), dict.fromkeys(said[0], str))


def _least_place(table: pd.DataFrame, part: str, of: str, n: int) -> str:
    ends = least(table, part, of)[n], *least_range(table, part, of, n)
    at, low, high = (_text.significant(2)(2.0 ** (0.5 * x) if SWEEPS[part] == "step" else x) for x in ends)
    return at if low == high else f"{at} ({low} to {high})"


def ridge_table(table: pd.DataFrame) -> str:
    """Expected length and squared error beside their values at the true scale."""
    rows = table[table["part"] == "ridge"]
    means = rows.groupby(["n", "ratio"])[["bits", "risk"]].mean().reset_index()
    true = means[means["ratio"] == 1.0].set_index("n")
    kept = means[means["ratio"].isin([0.25, 0.5, 1.0, 2.0, 4.0])]
    shown = pd.DataFrame({
        "examples": kept["n"], "scale / true scale": kept["ratio"],
        "extra bits": kept["bits"] - true["bits"].loc[kept["n"]].to_numpy(),
        "error / least error": kept["risk"] / true["risk"].loc[kept["n"]].to_numpy(),
    })  # fmt: skip
    formats = {
        "examples": "{:g}".format, "scale / true scale": "{:g}".format, "extra bits": _text.fixed(1),
        "error / least error": _text.fixed(3),
    }  # fmt: skip
    return _text.table(shown, formats)


def shape_table(table: pd.DataFrame, of: str, digits: int) -> str:
    """A row a teacher, a column a student: what it has more than the one of the teacher's shape."""
    found = shape_differences(table, of)
    students = [name for name in found.columns if name not in ("teacher", "seed")]
    said = [
        {"teacher": teacher, **{f"student {name}": span(part[name], digits) for name in students}}
        for teacher, part in found.groupby("teacher", sort=False)
    ]
    return _text.table(pd.DataFrame(said), dict.fromkeys(said[0], str))


def gains_table(found: pd.DataFrame) -> str:
    """A row a number of examples and centre."""
    said = []
    for (n, name), part in found.groupby(["n", "centre"], sort=False):
        said.append({
            "examples": f"{n:g}", "centre": name, "gain": span(part["gain_bits"], 1),
            "all modes": told(part["sampled_gain_bits"], _text.fixed(1)),
            "loss, mode": span(part["loss_bits"], 3),
            "loss, average": told(part["averaged_loss_bits"], _text.fixed(3)),
            "errors": _text.fixed(3)(part["errors"].mean()),
            "scale": _text.significant(2)(part["scale"].median()), "paid for": span(part["paid_bits"], 1),
        })  # fmt: skip
    return _text.table(pd.DataFrame(said), dict.fromkeys(said[0], str))
