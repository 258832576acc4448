"""The figures of :mod:`analyses.l2_prevents_overfitting`."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses import _gains
from analyses._nested import TRUTHS
from mdl import plot

FAMILIES = {"ridge": "ridge regression", "logistic": "logistic regression", "mlp": "perceptrons"}
NAMES = {"breast_cancer": "breast cancer"}
_CURVES = ("digits", 100)  # whose losses are drawn, where they were measured
_SMALL = ("diabetes", "breast_cancer", "wine")  # the first of a family has its codes drawn
_TABLES = ("digits", "breast_cancer", "wine", "diabetes")  # a colour each
_LOSSES = {
    "train_bits": "train", "test_bits": "held out",
    "evidence_bits": "evidence / n", "two_part_bits": "two-part file / n",
}  # fmt: skip
_CODES = {
    "test_bits": "held-out loss", "evidence_bits": "evidence", "lnml_bits": "LNML", "prequential_bits": "prequential",
    "two_part_bits": "two-part file", "refined_bits": "refined",
}  # fmt: skip
_GREY, _DOTTED = "#666666", (0, (1, 2))


@plot.styled()
def saved(table: pd.DataFrame, close: float, many: float) -> Figure:
    """Losses against the strength at one size, above what is saved against examples a parameter."""
    cells = _gains.real(_gains.gains(table))
    families = _families(table)
    figure, axes = plot.panels(len(families), 2, width=2.45, height=2.35)
    for k, (family, title) in enumerate(families.items()):
        _losses(_real(table, family), axes[0, k])
        part = cells[cells["family"] == family]
        means = part.assign(per=part.groupby(["table", "n"])["per"].transform("mean"))
        _gain(means, axes[1, k], close, many)
        axes[0, k].set_title(title)
    axes[0, 0].set_ylabel("bits an example")
    axes[1, 0].set_ylabel("saved, held-out bits an example")
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    drawn = {said: line for ax in axes[1] for line, said in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=4)
    return figure


def _families(table: pd.DataFrame) -> dict[str, str]:
    return {family: title for family, title in FAMILIES.items() if len(_real(table, family))}


def _real(table: pd.DataFrame, family: str) -> pd.DataFrame:
    return table[(table["family"] == family) & ~table["shuffled"] & ~table["table"].isin(TRUTHS)]


def _losses(part: pd.DataFrame, axes: Axes) -> None:
    """Lengths of ridge's targets, which hold the digits that they are stated to, are left out."""
    name, n = _CURVES
    rows = part[(part["table"] == name) & (part["n"] == n)]
    rows = rows if len(rows) else part[part["n"] == part["n"].iloc[0]]
    ridge = part["family"].iloc[0] == "ridge"
    for first, (column, said) in enumerate(list(_LOSSES.items())[: 2 if ridge else 4]):
        per = 1.0 if column in ("train_bits", "test_bits") else rows["n"]
        plot.plot_lines(rows.assign(bits=rows[column] / per), "strength", "bits", minimum=True, first=first,
                        labels={"bits": said}, ax=axes)  # fmt: skip
    axes.axhline(rows["constant_bits"].mean(), color=_GREY, linewidth=0.8, linestyle=_DOTTED, label="constant forecast")
    _by_strength(rows, axes)


def _by_strength(rows: pd.DataFrame, axes: Axes) -> None:
    name, n = rows["table"].iloc[0], rows["n"].iloc[0]
    axes.set(xscale="log", xlabel=f"strength λ ({NAMES.get(name, name)}, n = {n})")


def _gain(cells: pd.DataFrame, axes: Axes, close: float, many: float) -> None:
    for first, name in enumerate(_TABLES):
        part = cells[cells["table"] == name]
        if len(part):
            plot.plot_lines(part, "per", "evidence_bits", "table", markers=True, labels=NAMES, first=first, ax=axes)
    axes.axhspan(-close, close, color=_GREY, alpha=0.12, linewidth=0)
    axes.axhline(0.0, color=_GREY, linewidth=0.8, linestyle=_DOTTED)
    axes.axvline(many, color=_GREY, linewidth=0.8, linestyle=_DOTTED)
    axes.set_yscale("symlog", linthresh=close, linscale=0.4)
    axes.set(xscale="log", xlabel="examples a parameter, n / d", xlim=(0.04, 50.0), ylim=(-0.7, 2.0))


@plot.styled()
def lengths(table: pd.DataFrame) -> Figure:
    """Effective parameters by size, above what every code says of the strength."""
    families = _families(table)
    figure, axes = plot.panels(len(families), 2, width=2.45, height=2.35)
    for k, (family, title) in enumerate(families.items()):
        part = _real(table, family)
        name = part.loc[part["weights"].idxmax(), "table"]
        rows = part[part["table"] == name].assign(left=lambda here: here["effective"] / here["weights"])
        plot.plot_lines(rows, "strength", "left", "n", labels={n: f"n = {n}" for n in rows["n"]}, ax=axes[0, k])
        axes[0, k].set(title=title, xscale="log", ylim=(0.0, 1.03), xlabel=f"strength λ ({NAMES.get(name, name)})")
        _codes(part, axes[1, k])
    axes[0, 0].set_ylabel("effective share of the weights")
    axes[1, 0].set_ylabel("bits an example over the least")
    axes[0, -1].legend(loc="upper right")
    figure.legend(*axes[1, 1].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def _codes(part: pd.DataFrame, axes: Axes) -> None:
    """Every code's length beside the shortest under it; where two are one (LNML of ridge), only the first."""
    name = next((name for name in _SMALL if (part["table"] == name).any()), part["table"].iloc[0])
    small = part[part["table"] == name]
    rows = small[small["n"] == small.loc[small["n"] <= _CURVES[1], "n"].max()]
    if part["family"].iloc[0] == "ridge":
        rows = rows.drop(columns="lnml_bits")
    for first, (column, said) in enumerate(_CODES.items()):
        if column not in rows or rows[column].isna().all():
            continue
        per = 1.0 if column == "test_bits" else rows["n"]
        excess = (rows[column] - rows.groupby("seed")[column].transform("min")) / per
        plot.plot_lines(rows.assign(excess=excess), "strength", "excess", minimum=True, first=first,
                        labels={"excess": said}, ax=axes)  # fmt: skip
    axes.set_ylim(-0.03, 1.25)
    _by_strength(rows, axes)
