"""Figures of :mod:`analyses.l1_l2_and_the_rest`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses import _rest_said as said
from analyses._checkpoints import KINDS
from analyses._drawn_weights import RIGHT, TRUTHS
from analyses._named_penalties import PENALTIES
from analyses._prior_lengths import PRIORS, SHOWN
from mdl import plot
from mdl.plot.lines import mean_interval

_LEAST = 1e-3  # bits a weight that an axis of logarithms starts at
_GREY = "#666666"


def checkpoints(rows: pd.DataFrame) -> Figure:
    """What each prior costs above the shortest, and which is the shortest, by kind of tensor."""
    figure, axes = plot.panels(2, width=3.7, height=3.2)
    _costs(rows, axes[0, 0])
    _shares(rows, axes[0, 1])
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, title="shortest prior")
    return figure


def _costs(rows: pd.DataFrame, axes: Axes) -> None:
    order = said.excess(rows).mean().sort_values().index
    for k, (label, part) in enumerate(said.groups(rows).items()):
        spans = np.array([mean_interval(said.excess(part)[prior]) for prior in order])
        spans = np.maximum(spans, _LEAST)
        places = np.arange(len(order)) + 0.24 * (k - 0.5)
        reach = [spans[:, 0] - spans[:, 1], spans[:, 2] - spans[:, 0]]
        axes.errorbar(spans[:, 0], places, xerr=reach, fmt=plot.MARKERS[k], color=plot.COLOURS[k], markersize=4,
                      capsize=2, label=f"{label} ({len(part)})")  # fmt: skip
    axes.set_yticks(range(len(order)), [SHOWN[prior] for prior in order])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="bits a weight above the shortest prior", title="What a prior costs")
    axes.legend(loc="upper right")


def _shares(rows: pd.DataFrame, axes: Axes) -> None:
    kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()]
    left = np.zeros(len(kinds))
    for k, prior in enumerate(PRIORS):
        share = np.array([100.0 * (rows.loc[rows["kind"] == kind, "shortest"] == prior).mean() for kind in kinds])
        axes.barh(range(len(kinds)), share, left=left, color=plot.COLOURS[k], edgecolor="white", linewidth=0.6,
                  label=SHOWN[prior])  # fmt: skip
        left += share
    axes.set_yticks(range(len(kinds)), [f"{kind} ({(rows['kind'] == kind).sum()})" for kind in kinds])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set(xlim=(0, 100), xlabel="% of the tensors of a kind", title="Which prior is the shortest")


def confusion(drawn: pd.DataFrame) -> Figure:
    """How often weights of each truth are shortest under each prior, for each number of weights."""
    sizes = sorted(drawn["n"].unique())
    figure, axes = plot.panels(len(sizes), width=2.5, height=3.1, sharey=True)
    for panel, n in zip(axes[0], sizes, strict=True):
        counts = said.confusion(drawn[drawn["n"] == n])
        panel.imshow(counts, cmap="Blues", vmin=0, vmax=1.6 * counts.to_numpy().max(), aspect="auto")
        for (row, column), count in np.ndenumerate(counts.to_numpy()):
            right = RIGHT.get(counts.index[row], counts.index[row]) == counts.columns[column]
            if count or right:
                panel.text(column, row, str(count), ha="center", va="center", fontsize=6.5,
                           fontweight="bold" if right else None)  # fmt: skip
        panel.set_xticks(range(len(PRIORS)), [SHOWN[prior] for prior in PRIORS], rotation=90)  # fmt: skip
        panel.set_yticks(range(len(TRUTHS)), [said.truth(name) for name in TRUTHS])
        panel.grid(visible=False)
        panel.set_title(f"{n:,.0f} weights")
    axes[0, 0].set_ylabel("drawn from")
    figure.supxlabel("shortest under", fontsize=8)
    return figure


def named(trained: pd.DataFrame, control: pd.DataFrame) -> Figure:
    """A Gaussian's length less a Laplace's on the path of strengths, model by model, and how often that is right."""
    cases = list(trained.groupby(["table", "model"], sort=False))
    columns = 3 if len(cases) > 1 else 2
    figure, axes = plot.panels(columns, -(-(len(cases) + 1) // columns), width=2.45, height=2.1)
    panels = list(axes.ravel())
    for panel, ((table, model), part) in zip(panels, cases, strict=False):
        plot.plot_lines(part.assign(gap=said.gap(part)), "strength", "gap", "penalty",
                        labels={p: f"trained under {p}" for p in PENALTIES}, markers=True, ax=panel)  # fmt: skip
        panel.axhline(0.0, color=_GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        panel.set_yscale("symlog", linthresh=0.5, linscale=1.5)
        panel.set_ylim(-0.5, 6.0)
        panel.set_yticks([-0.5, 0.0, 0.5, 1.0, 4.0], ["−0.5", "0", "0.5", "1", "4"])
        panel.minorticks_off()
        panel.set(xscale="log", title=said.case(table, model))
    _right(trained, control, panels[len(cases)])
    for spare in panels[len(cases) + 1 :]:
        spare.set_visible(False)
    for panel in panels[max(0, len(cases) - columns + 1) : len(cases)]:
        panel.set_xlabel("strength per example")
    for first in axes[:, 0]:
        first.set_ylabel("Gaussian less Laplace,\nbits a weight")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _right(trained: pd.DataFrame, control: pd.DataFrame, axes: Axes) -> None:
    sources = {"trained": trained[trained["chosen"].astype(bool)], "drawn": control}
    for k, penalty in enumerate(PENALTIES):
        shares = [100.0 * said.right(part[part["penalty"] == penalty]).mean() for part in sources.values()]
        places = np.arange(len(sources)) + 0.38 * (k - 0.5)
        axes.bar(places, shares, 0.34, color=plot.COLOURS[k], label=penalty, hatch="//" if k else None,
                 edgecolor="white")  # fmt: skip
        for place, share in zip(places, shares, strict=True):
            axes.text(place, share + 2.0, penalty, ha="center", fontsize=6.5)
    axes.set_xticks(range(len(sources)), list(sources))
    axes.set(ylim=(0, 112), ylabel="named right, %", title="All five" if len(trained) > 20 else "All")
    axes.set_yticks([0, 50, 100])
