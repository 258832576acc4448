"""Shares of uniform labels, and certified errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdl.plot.lines import styled
from mdl.plot.style import COLOURS, MARKERS, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@styled()
def plot_random_labels(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Share of uniform labels that each code takes, for true and shuffled labels: means over splits and their range."""
    axes = own_axes(ax, (4.6, 2.8))
    rungs = list(dict.fromkeys(table["rung"]))
    for k, (labels, part) in enumerate(table.groupby("labels", sort=False)):
        share = part.groupby("rung")["share"]
        mean, low, high = (getattr(share, what)().reindex(rungs).to_numpy() for what in ("mean", "min", "max"))
        places = [place + 0.15 * (2 * k - 1) for place in range(len(rungs))]
        axes.errorbar(mean, places, xerr=[mean - low, high - mean], fmt=MARKERS[k], color=COLOURS[k],
                      capsize=2, label=f"{labels} labels")  # fmt: skip
    axes.axvline(1.0, color="#666666", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_yticks(range(len(rungs)), rungs)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel=f"length / uniform labels ({table['seed'].nunique()} splits: mean and range)")
    axes.set_xticks([0.1, 0.2, 0.5, 1.0, 2.0], ["0.1", "0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.legend(loc="lower center")
    return axes


@styled()
def plot_certificates(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Certified and held-out error of the message with the smallest bound, for each data set."""
    best = table.loc[table.groupby("dataset", sort=False)["bound"].idxmin()]
    series = {"certified, 95 %": "bound", "held out": "test_error", "training": "training_error"}
    axes = own_axes(ax, (4.0, 2.4))
    for k, (label, column) in enumerate(series.items()):
        axes.plot(100.0 * best[column], range(len(best)), MARKERS[k], color=COLOURS[k], label=label)
    axes.set_yticks(range(len(best)), best["dataset"])
    axes.set_ylim(-0.5, len(best) - 0.5)
    axes.invert_yaxis()
    axes.set_xlim(left=0.0)
    axes.set_xlabel("error of the coded model, %")
    axes.legend(loc="upper right")
    return axes
