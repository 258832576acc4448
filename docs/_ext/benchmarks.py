"""What the page of benchmarks quotes: tables of shares, from what ``make bench`` left."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COMMITTED = Path(__file__).resolve().parents[1] / "benchmarks"


def shares() -> dict[str, str]:
    """Markdown by name: bits as a share of nncodec's, at equal error and at equal loss, their means, and all coders."""
    import pandas as pd

    rate, loss, coders = (pd.read_csv(COMMITTED / f"{name}.csv") for name in ("rate", "calibration", "coders"))
    few = rate[rate["states"] == 8]
    mean = few.groupby("model")["share"].mean()
    return {
        "rate": _shares(few, "qp", ascending=False),
        "loss": _shares(loss, "more", ascending=True),
        "coders": _coders(coders),
        "speed": _speed(coders),
        "faster": _faster(coders),
        "fewer": f"{100 * (1 - mean.mean()):.1f} %",
        "fewer_without_lenet": f"{100 * (1 - mean.drop('LeNet-300-100').mean()):.1f} %",
        "most": f"{few['share'].max():.3f}",
    }


def _shares(table: pd.DataFrame, columns: str, *, ascending: bool) -> str:
    """A row a model, a column a setting, and the mean over settings."""
    wide = table.pivot(index="model", columns=columns, values="share").sort_index(axis=1, ascending=ascending)
    rows = [[str(name), *(f"{v:.3f}" for v in row), f"{row.mean():.3f}"] for name, row in wide.iterrows()]
    return _markdown([*(f"{value:g}" for value in wide.columns), "mean"], rows)


def _coders(table: pd.DataFrame) -> str:
    """Bits a weight: a row a model and qp, a column a coder."""
    wide = table.pivot(index=["model", "qp"], columns="coder", values="bits_per_weight")[table["coder"].unique()]
    rows = [[f"{model}, qp {qp}", *(f"{bits:.3f}" for bits in row)] for (model, qp), row in wide.iterrows()]
    return _markdown(wide.columns, rows)


def _speed(table: pd.DataFrame) -> str:
    """Million weights a second on the largest model and on all others together: a row a coder."""
    largest = table.loc[table["weights"].idxmax(), "model"]
    of_largest = table["model"] == largest
    columns: dict[str, pd.Series] = {}
    for name, part in {largest: table[of_largest], "the others": table[~of_largest]}.items():
        sums = part.groupby("coder", sort=False)[["weights", "encode_s", "decode_s"]].sum()
        for what in ("encode", "decode"):
            columns[f"{name}, {what}"] = 1e-6 * sums["weights"] / sums[f"{what}_s"]
    coders = columns[f"{largest}, encode"].index
    rows = [[str(coder), *(f"{float(f'{rates[coder]:.2g}'):g}" for rates in columns.values())] for coder in coders]
    return _markdown(columns, rows)


def _faster(table: pd.DataFrame) -> str:
    """Nncodec's seconds over ours: a row a model and qp, and one a qp for the sum of all models."""
    ours, ways = [coder for coder in table["coder"].unique() if coder.startswith("mdl")], ["encode_s", "decode_s"]
    summed = table.groupby(["qp", "coder"], sort=False)[ways].sum().reset_index().assign(model="all together")
    rows = []
    for (model, qp), part in [
        *table.groupby(["model", "qp"], sort=False),
        *summed.groupby(["model", "qp"], sort=False),
    ]:
        seconds = part.set_index("coder")[ways]
        times = [seconds.loc["nncodec", way] / seconds.loc[coder, way] for coder in ours for way in ways]
        rows.append([f"{model}, qp {qp}", *(f"{float(f'{value:.2g}'):g}" for value in times)])
    return _markdown([f"{coder}, {way.removesuffix('_s')}" for coder in ours for way in ways], rows)


def _markdown(head: Iterable[str], rows: Iterable[list[str]]) -> str:
    head = list(head)
    lines = [["", *head], ["---", *["--:"] * len(head)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
