"""Strengths that were chosen: what they cost on held-out data, how the choosers rank, and where they go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mdl.plot.lines import styled
from mdl.plot.style import COLOURS, MARKERS, STYLE, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WAYS = ("chosen", "averaged")
_FAMILIES = {"ridge": "ridge regression", "logistic": "logistic regression", "mlp": "perceptrons"}
_LINEAR = 0.01  # bits; beyond, the axis is logarithmic


def excess_figure(summary: pd.DataFrame) -> Figure:
    """Mean excess of held-out bits over the best strength, a panel a family, a row a selector.

    Parameters
    ----------
    summary
        Columns ``family``, ``selector``, ``way``, ``mean``, ``low``, ``high``, in bits an example.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(summary["family"]))
    rows = max(part["selector"].nunique() for _, part in summary.groupby("family"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.7 * len(families), 0.19 * rows + 1.0), layout="constrained")
        panels = figure.subplots(1, len(families), squeeze=False)[0]
        for axes, family in zip(panels, families, strict=True):
            plot_excess(summary[summary["family"] == family], axes)
            axes.set_title(_FAMILIES.get(family, family))
        panels[-1].legend(loc="lower left")
        figure.supxlabel("mean excess over the best strength, held-out bits an example", fontsize=8)
    return figure


def plot_excess(summary: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One family's panel of :func:`excess_figure`, selectors from the best average downwards."""
    axes = own_axes(ax)
    order = list(summary.groupby("selector")["mean"].min().sort_values().index)
    for k, way in enumerate(_WAYS):
        part = summary[summary["way"] == way].set_index("selector")
        mean, low, high = (part[name].reindex(order).to_numpy() for name in ("mean", "low", "high"))
        places = np.arange(len(order)) + 0.16 * (2 * k - 1)
        axes.errorbar(mean, places, xerr=[mean - low, high - mean], fmt=MARKERS[k], markersize=3.5, color=COLOURS[k],
                      elinewidth=0.8, label={"chosen": "shortest chosen"}.get(way, way))  # fmt: skip
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=0.6)
    axes.axvline(0.0, color="#666666", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_yticks(range(len(order)), order)
    axes.invert_yaxis()
    return axes


@styled()
def plot_ranks(ranks: pd.Series, difference: float, ax: Axes | None = None) -> Axes:
    """Mean rank of each chooser over problems, the least first, and the difference that could be chance.

    Parameters
    ----------
    ranks
        Mean ranks by name.
    difference
        The critical difference between two of them.
    """
    ordered = ranks.sort_values()
    axes = own_axes(ax, (4.6, 0.17 * len(ordered) + 0.8))
    axes.plot(ordered, range(len(ordered)), MARKERS[0], markersize=3.5, color=COLOURS[0])
    best = float(ordered.iloc[0])
    axes.axvspan(best, best + difference, color=COLOURS[1], alpha=0.15, linewidth=0.0,
                 label="not told from the first (Nemenyi, 5 %)")  # fmt: skip
    axes.set_yticks(range(len(ordered)), list(ordered.index))
    axes.invert_yaxis()
    axes.set_xlabel("mean rank of held-out bits over problems")
    axes.legend(loc="upper right")
    return axes


def choices_figure(table: pd.DataFrame, selectors: Sequence[str]) -> Figure:
    """Strengths chosen against the best ones, a panel a selector; areas are numbers of splits.

    Parameters
    ----------
    table
        Columns ``selector``, ``strength``, ``best_strength``, a row a split.
    selectors
        Which, in order.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = (len(selectors) + 1) // 2
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.75 * columns + 0.4, 3.9), layout="constrained")
        panels = figure.subplots(2, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, selector in zip(panels, selectors, strict=False):
            plot_choices(table[table["selector"] == selector], axes)
            axes.set_title(selector)
        for axes in panels[len(selectors) :]:
            axes.set_axis_off()
        figure.supxlabel("best strength λ on held-out data", fontsize=8)
        figure.supylabel("strength λ chosen", fontsize=8)
    return figure


def plot_choices(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One panel of :func:`choices_figure`."""
    axes = own_axes(ax)
    counts = table.groupby(["best_strength", "strength"]).size()
    best, chosen = (counts.index.get_level_values(level) for level in (0, 1))
    axes.scatter(best, chosen, s=90.0 * counts / counts.max(), color=COLOURS[0], alpha=0.7, linewidth=0.0)
    ends = [table[["best_strength", "strength"]].min().min(), table[["best_strength", "strength"]].max().max()]
    axes.plot(ends, ends, color="#666666", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set(xscale="log", yscale="log")
    return axes
