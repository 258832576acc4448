"""What the page of benchmarks quotes: tables of shares, from what ``make bench`` left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COMMITTED = Path(__file__).resolve().parents[1] / "benchmarks"


def shares() -> dict[str, str]:
    """Markdown by name: the bits of mdl as a share of nncodec's, at equal error and at equal loss, and their means."""
    import pandas as pd

    rate, loss = (pd.read_csv(COMMITTED / f"{name}.csv") for name in ("rate", "calibration"))
    few = rate[rate["states"] == 8]
    mean = few.groupby("model")["share"].mean()
    return {
        "rate": _table(few, "qp", ascending=False),
        "loss": _table(loss, "more", ascending=True),
        "fewer": f"{100 * (1 - mean.mean()):.1f} %",
        "fewer_without_lenet": f"{100 * (1 - mean.drop('LeNet-300-100').mean()):.1f} %",
        "most": f"{few['share'].max():.3f}",
    }


def _table(table: pd.DataFrame, columns: str, *, ascending: bool) -> str:
    """A row a model, a column a setting, and the mean over settings."""
    wide = table.pivot(index="model", columns=columns, values="share").sort_index(axis=1, ascending=ascending)
    rows = [["", *(f"{value:g}" for value in wide.columns), "mean"], ["---"] * (len(wide.columns) + 2)]
    rows += [[str(name), *(f"{v:.3f}" for v in row), f"{row.mean():.3f}"] for name, row in wide.iterrows()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
