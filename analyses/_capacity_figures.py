"""The figures of :mod:`analyses.limited_capacity`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analyses import _explained
from analyses._capacity import DIRECTIONS
from analyses._explained import CAPACITIES, MEASURES, Findings
from mdl import plot

FAMILIES = {"ridge": "ridge regression", "logistic": "logistic regression"}
NAMES = {"breast_cancer": "breast cancer"}
_LEFT = ("train_saved_bits", "random_saved_bits", "dof", "complexity_bits")
_LEAST = -2.0  # of an R²: what is worse is drawn there
_GREY, _DOTTED = "#666666", (0, (1, 2))


def part_of(table: pd.DataFrame, family: str, *, shuffled: bool) -> pd.DataFrame:
    return table[(table["family"] == family) & (table["shuffled"] == shuffled)]


@plot.styled()
def answers(table: pd.DataFrame) -> Figure:
    """What is left of capacity and fit; what capacity explains; what equal capacities save. A row a family."""
    families = [family for family in FAMILIES if len(part_of(table, family, shuffled=False))]
    found = _explained.findings(table)
    figure, axes = plot.panels(3, len(families), width=2.5, height=2.3, sharex="col")
    for family, row in zip(families, axes, strict=True):
        _left(part_of(table, family, shuffled=False), row[0])
        _explains(found, family, row[1])
        _matched(found, family, row[2])
        row[0].set_ylabel(f"{FAMILIES[family]}\nshare left")
        for ax in row[1:]:
            ax.axvline(0.0, color=_GREY, linewidth=0.8, linestyle=_DOTTED)
    titles = ("capacity and fits, by strength", "explained on tables left out", "at equal capacity")
    below = ("strength λ", "R² of the change in held-out loss", "saved over L2, bits an example")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    for ax, said in zip(axes[-1], below, strict=True):
        ax.set_xlabel(said)
    axes[0, 1].legend(loc="upper left", fontsize=6)
    axes[0, 2].legend(loc="lower left", fontsize=6)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


def _left(part: pd.DataFrame, axes: Axes) -> None:
    """Means and intervals over tables."""
    rows = _explained.paths(part)
    for first, name in enumerate(_LEFT):
        tables = rows.groupby(["table", "strength"], as_index=False)[f"left_{name}"].mean()
        said = {f"left_{name}": MEASURES[name]}
        plot.plot_lines(tables, "strength", f"left_{name}", labels=said, first=first, ax=axes)
    axes.set(xscale="log", ylim=(-0.03, 1.05))


def _explains(found: Findings, family: str, axes: Axes) -> None:
    """A row a measure, monotone; with the true targets and with shuffled ones."""
    names = list(MEASURES)
    for k, shuffled in enumerate((False, True)):
        values = [found.r2_by(family, name, "better", shuffled=shuffled) for name in names]
        _spans(values, np.arange(len(names)) + 0.18 * (2 * k - 1), k, ("true", "shuffled")[k], axes)
    axes.set_yticks(range(len(names)), [MEASURES[name].replace(" of ", "\nof ") for name in names], fontsize=6.5)
    axes.set(xlim=(_LEAST - 0.1, 1.15), ylim=(len(names) - 0.4, -1.4))


def _spans(values: Sequence[ArrayLike], places: np.ndarray, k: int, said: str, axes: Axes) -> None:
    """Means and intervals, cut where they would leave the panel."""
    spans = np.array([plot.mean_interval(one) for one in values]).clip(_LEAST)
    mean, low, high = spans.T
    axes.errorbar(mean, places, xerr=[mean - low, high - mean], fmt=plot.MARKERS[k], color=plot.COLOURS[k],
                  markersize=3.5, elinewidth=0.9, label=said)  # fmt: skip


def _matched(found: Findings, family: str, axes: Axes) -> None:
    """A row a way with few directions: medians of tables, their mean and interval, at each equal capacity."""
    for k, name in enumerate(CAPACITIES):
        values = [found.over_by(family, name, way, shuffled=False) for way in DIRECTIONS]
        _spans(values, np.arange(len(DIRECTIONS)) + 0.2 * (k - 1), k, MEASURES[name], axes)
    axes.set_yticks(range(len(DIRECTIONS)), [f"{way}\ndirections" for way in DIRECTIONS], fontsize=6.5)
    axes.set(ylim=(len(DIRECTIONS) + 0.3, -0.6))


@plot.styled()
def paths(table: pd.DataFrame) -> Figure:
    """The change of held-out loss against what is left of the fit of random labels, a line a table."""
    families = [family for family in FAMILIES if len(part_of(table, family, shuffled=False))]
    figure, axes = plot.panels(len(families), 2, width=3.6, height=2.3, sharex=True, sharey="row")
    for k, shuffled in enumerate((False, True)):
        for ax, family in zip(axes[k], families, strict=True):
            rows = _explained.paths(part_of(table, family, shuffled=shuffled))
            for first, (name, own) in enumerate(rows.groupby("table", sort=False)):
                line = own.groupby("strength")[["left_random_saved_bits", "better"]].mean()
                ax.plot(line["left_random_saved_bits"], line["better"], color=plot.COLOURS[first],
                        linestyle=plot.DASHES[first], marker=plot.MARKERS[first], markersize=3,
                        label=NAMES.get(name, str(name).removeprefix("keel:")))  # fmt: skip
            ax.axhline(0.0, color=_GREY, linewidth=0.8, linestyle=_DOTTED)
            ax.set_title(f"{FAMILIES[family]}, {'shuffled' if shuffled else 'true'} targets")
    for ax in axes[:, 0]:
        ax.set_ylabel("saved over no penalty,\nheld out, in spreads")
    for ax in axes[1]:
        ax.set_xlabel("share left of the fit of random labels")
        ax.legend(loc="lower left", ncols=2, fontsize=6)
    return figure
