"""Codes side by side: a ladder's rungs, and the parts of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdl.plot.lines import styled
from mdl.plot.style import COLOURS, MARKERS, STYLE, TITLES, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KINDS = (
    "no model", "literal", "compressor", "criterion", "two-part file", "Bayesian", "minimax", "predictive file",
)  # fmt: skip


def ladder_figure(table: pd.DataFrame) -> Figure:
    """The figure of :func:`mdl.ladder.ladder`: a column a model, a row a rung, the longest code on top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(table["model"]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(5.0, 4.2 * len(models)), 4.6), layout="constrained")
        axes = figure.subplots(1, len(models), squeeze=False)[0]
        for model, ax in zip(models, axes, strict=True):
            part = table[table["model"] == model]
            plot_ladder(part, ax=ax)
            about = f"{part['dataset'].iloc[0]}: {TITLES.get(model, model)}, λ = {part['strength'].iloc[0]:.2g}"
            ax.set_title(about)
    return figure


def plot_ladder(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One model's rungs: filled where a file of that size exists, open where the length is a formula's."""
    axes = own_axes(ax)
    rows = table.assign(bits=table["realised_bits"].astype(float).fillna(table["ideal_bits"]))
    rows = rows.sort_values("bits", ignore_index=True)
    kinds = list(dict.fromkeys([*_KINDS, *table["kind"]]))
    for kind, part in rows.groupby("kind", sort=False):
        style = kinds.index(str(kind)) % len(COLOURS)
        colour, marker = COLOURS[style], MARKERS[style]
        formulas = part["realised_bits"].isna()
        axes.scatter(part["bits"], part.index, marker=marker, s=26, linewidths=1.1, edgecolors=colour, zorder=3,
                     facecolors=["none" if ideal else colour for ideal in formulas], label=str(kind))  # fmt: skip
        axes.hlines(part.index, rows["bits"].min() * 0.8, part["bits"], color=colour, linewidth=0.7, alpha=0.5)
    for place, bits in rows["bits"].items():
        axes.annotate(f"{bits:,.0f}", (bits, place), (5, 0), textcoords="offset points", va="center", fontsize=6.5)
    axes.set(xscale="log", xlabel="bits without header; filled: a file, open: a formula")
    axes.set_xlim(rows["bits"].min() * 0.8, rows["bits"].max() * 2.5)
    axes.set_yticks(rows.index, rows["rung"], fontsize=7)
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower right", fontsize=6.5)
    return axes


@styled()
def compare(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The table of :func:`mdl.compare` as stacked bars of parts, best on top."""
    from matplotlib.ticker import EngFormatter

    axes = own_axes(ax, (4.2, 1.2 + 0.3 * len(table)))
    parts = [name for name in table.columns if name.endswith("_bits") and name not in ("total_bits", "difference_bits")]
    rows = table[::-1]
    left = [0.0] * len(rows)
    for k, part in enumerate(parts):
        widths = rows[part].fillna(0.0).tolist()
        axes.barh([str(label) for label in rows.index], widths, left=left, color=COLOURS[k % len(COLOURS)],
                  label=part.removesuffix("_bits"), edgecolor="white", linewidth=0.5)  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_xlabel("bits, header left out")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderaxespad=0.0)
    return axes
