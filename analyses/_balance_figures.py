"""Figures of balanced reliance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import _balance_found as found_in
from analyses._balance_facts import saved_by_laplace
from analyses._penalty_paths import PENALTIES
from mdl import plot

LABELS = {"none": "none, stopped early", "L2": "L2", "L1": "L1"}
_LOST = "bits lost per example"
_LOSS = "training loss / constant forecast's"


def ratios(table: pd.DataFrame) -> Figure:
    """Participation ratio against training loss, of softmax regression, tables across."""
    levels = _paths(found_in.at_levels(table))
    tables, softmax = (
        [name for name in found_in.TITLES if name in set(levels["table"])],
        levels["units"] == found_in.UNITS[0],
    )
    with plot.styled():
        figure, axes = plot.panels(len(tables), 2, width=2.35, height=2.1, sharex=True, sharey=True)
        for row, inputs in enumerate(("standardised", "whitened")):
            for column, name in enumerate(tables):
                own = levels[(levels["table"] == name) & (levels["inputs"] == inputs) & softmax]
                _lines(own, "level", "pr", axes[row, column])
                axes[row, column].set_title(f"{found_in.TITLES[name]}, {inputs}")
                axes[row, column].axhline(2.0 / np.pi, color="black", linewidth=0.6, linestyle=":")
                axes[row, column].set_xscale("log")
            axes[row, 0].set_ylabel("participation ratio")
        _levels_axis(axes[1])
        _legend(figure, axes[0, 0])
    return figure


def losses(table: pd.DataFrame) -> Figure:
    """Known truths: balance, what the strongest input is worth, the price of balance; below, the largest table."""
    with plot.styled():
        figure, axes = plot.panels(3, 2, width=2.35, height=2.2)
        for ax, truth in zip(axes[0, :2], ("equal", "one"), strict=True):
            _lines(found_in.dial(table, truth), "correlation", "pr", ax)
            ax.set_title({"equal": "truth: all inputs alike", "one": "truth: one input"}[truth])
            ax.set(xlabel="correlation of the inputs", ylabel="participation ratio", ylim=(0.0, 1.05))
        _over(table, axes[0, 2])
        _lines(found_in.dial(table, "equal"), "correlation", "lost_bits", axes[1, 0])
        axes[1, 0].set_yscale("symlog", linthresh=0.1, linscale=0.5)
        axes[1, 0].set(title="truth: all inputs alike", xlabel="correlation of the inputs", ylabel=_LOST)
        _of_largest(table, axes[1, 1:])
        _legend(figure, axes[0, 0])
    return figure


def lengths(table: pd.DataFrame) -> Figure:
    """Softmax regression: the ratio against the strength, and what it says of two code lengths, tables across."""
    found = found_in.with_lengths(table)
    tables = [name for name in found_in.TITLES if name in set(found["table"])]
    with plot.styled():
        figure, axes = plot.panels(len(tables), 2, width=2.35, height=2.2)
        for column, name in enumerate(tables):
            own = found[found["table"] == name]
            _by_strength(own, axes[0, column])
            _by_law(own, axes[1, column])
            axes[0, column].set_title(found_in.TITLES[name])
        axes[0, 0].set_ylabel("participation ratio")
        axes[1, 0].set_ylabel("Laplace saves, bits/weight")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _by_strength(own: pd.DataFrame, ax: Any) -> None:
    """Contributions, and weights alone in the inputs' own units."""
    kinds = {"pr": "weight × spread", "own_units_pr": "weight alone"}
    parts = [
        own[own["penalty"] == penalty].assign(ratio=own[column], of=f"{penalty}, {said}")
        for column, said in kinds.items()
        for penalty in PENALTIES[1:]
    ]
    plot.plot_lines(pd.concat(parts), "setting", "ratio", "of", first=1, ax=ax)
    ax.set(xscale="log", xlabel="strength per example", ylim=(0.0, 1.0))


def _by_law(own: pd.DataFrame, ax: Any) -> None:
    for k, penalty in enumerate(PENALTIES):
        part = own[own["penalty"] == penalty]
        ax.plot(part["whole_pr"], part["saved"], plot.MARKERS[k], color=plot.COLOURS[k], markersize=2.5, alpha=0.7,
                label=LABELS[penalty])  # fmt: skip
    ax.plot(own["whole_pr"], own["fine_saved"], "+", color="grey", markersize=3.0, zorder=1, label="on a fine grid")
    ratios = np.linspace(own["whole_pr"].min(), own["whole_pr"].max(), 100)
    ax.plot(ratios, saved_by_laplace(ratios), color="black", linewidth=0.9, label="derived")
    ax.axhline(0.0, color="black", linewidth=0.5)
    ax.set_xlabel("participation ratio, all weights")


def _of_largest(table: pd.DataFrame, axes: Any) -> None:
    """What the strongest input is worth in softmax regression, and in a network's hidden units."""
    levels = _paths(found_in.at_levels(table))
    name = next(name for name in found_in.TITLES if name in set(levels["table"]))
    for ax, units in zip(axes, found_in.UNITS[:2], strict=True):
        own = levels[(levels["table"] == name) & (levels["units"] == units) & (levels["inputs"] == "standardised")]
        _lines(own, "level", "lost_bits", ax)
        ax.set_title(f"{found_in.TITLES[name]}, {'softmax' if units == found_in.UNITS[0] else 'hidden units'}")
        ax.set_xscale("log")
        ax.set_ylabel(_LOST)
        ax.set_ylim(bottom=0.0)
    _levels_axis(axes)


def _over(table: pd.DataFrame, ax: Any) -> None:
    """What L2 costs a new example over L1 at the same training error."""
    parts = []
    for truth, said in (("equal", "truth: all alike"), ("one", "truth: one input")):
        own = found_in.dial(table, truth)
        wide = own.pivot(index=["correlation", "seed"], columns="penalty", values="excess_bits")
        parts.append((wide["L2"] - wide["L1"]).rename("over").reset_index().assign(truth=said))
    plot.plot_lines(pd.concat(parts), "correlation", "over", "truth", markers=True, first=3, ax=ax)
    ax.axhline(0.0, color="black", linewidth=0.6)
    ax.set(title="price of L2 over L1", xlabel="correlation of the inputs", ylabel="bits per new example")
    ax.legend(loc="lower right")
    ax.set_ylim(-0.26, None)


def _paths(levels: pd.DataFrame) -> pd.DataFrame:
    return levels[levels["labels"] == "true"]


def _lines(own: pd.DataFrame, x: str, y: str, ax: Any) -> None:
    """Penalties in one order, so that colours are theirs in every panel."""
    ordered = own.assign(penalty=pd.Categorical(own["penalty"], PENALTIES)).sort_values("penalty")
    plot.plot_lines(ordered.astype({"penalty": str}), x, y, "penalty", labels=LABELS, markers=True, ax=ax)


def _levels_axis(row: Any) -> None:
    for ax in row:
        ax.set_xlabel(_LOSS)
        ax.set_xticks(found_in.LEVELS, [f"{level:g}" for level in found_in.LEVELS])
        ax.minorticks_off()


def _legend(figure: Figure, ax: Any) -> None:
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=len(PENALTIES))
