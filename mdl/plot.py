"""Draws tables that others computed; every plot takes ``ax=`` and returns it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdl.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
}
# Okabe & Ito's colours, each with a dash of its own: told apart without colour as well
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#8C6D00",
    "#7F3C8D",
    "#666666",
)
_DASHES = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (7, 2)),
    (0, (4, 1, 1, 1)),
    (0, (2, 2)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_TITLES = {"logistic": "logistic regression", "ridge": "ridge regression"}
_KINDS = (
    "no model", "literal", "compressor", "criterion", "two-part file", "Bayesian", "minimax", "predictive file",
)  # fmt: skip
_STRENGTH = "L2 strength λ per example"


def sweep_figure(table: pd.DataFrame, prior: str | None = None) -> Figure:
    """The figure of a sweep: a column a model; lengths, totals of every prior, and held-out losses against strength.

    Parameters
    ----------
    table
        What :func:`mdl.sweep.sweep` returns.
    prior
        The one whose parts the top row shows; the table's first by default.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(table["model"]))
    chosen = prior or str(table["prior"].iloc[0])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(3.6, 3.5 * len(models)), 7.2), layout=_layout())
        axes = figure.subplots(3, len(models), sharex=True, squeeze=False)
        for column, model in enumerate(models):
            part = table[table["model"] == model]
            plot_lengths(part, prior=chosen, ax=axes[0, column])
            plot_totals(part, ax=axes[1, column])
            plot_held_out(part, prior=chosen, ax=axes[2, column])
            axes[0, column].set_title(f"{part['dataset'].iloc[0]}: {_TITLES.get(model, model)}", pad=20)
            shortest = part[part["prior"] == chosen].groupby("strength")["total_bits"].mean().idxmin()
            for row in range(3):
                axes[row, column].axvline(shortest, color="#999999", linewidth=0.7, zorder=1)
            for row in (0, 1):
                axes[row, column].set_xlabel("")
        figure.align_ylabels()
        seeds = table["seed"].nunique()
        said = f"lines: means over {seeds} splits; shaded: their range; markers: minima"
        figure.supxlabel(f"{said}; vertical: the shortest {chosen} total", fontsize=7)
    return figure


def _layout() -> Any:
    """Constrained, with room for the legends above the panels."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(h_pad=0.17)


def plot_lengths(table: pd.DataFrame, prior: str | None = None, ax: Axes | None = None) -> Axes:
    """Model bits, data bits and their sum under one prior, means over seeds with their range; the minimum marked."""
    axes = _axes(ax)
    prior = prior or str(table["prior"].iloc[0])
    part = table[table["prior"] == prior]
    parts = {"model": "model_bits", "data": "data_bits", "total": "total_bits"}
    for k, (label, column) in enumerate(parts.items()):
        _line(axes, part, column, k, label, minimum=label == "total")
    axes.axhline(float(part["uniform_bits"].mean()), color="#666666", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.annotate(
        "uniform labels", (0.01, float(part["uniform_bits"].mean())), xycoords=("axes fraction", "data"),
        ha="left", va="bottom", fontsize=6.5, color="#444444",
    )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel=_STRENGTH, ylabel=f"bits, {prior} prior")
    _finish(axes, axes.get_legend_handles_labels(), columns=3)
    return axes


def plot_totals(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The total of every prior, a line each, means over seeds with their range; the minima marked."""
    axes = _axes(ax)
    for k, (prior, part) in enumerate(table.groupby("prior", sort=False)):
        _line(axes, part, "total_bits", k, str(prior), minimum=True)
    axes.set(xscale="log", yscale="log", xlabel=_STRENGTH, ylabel="total bits")
    _finish(axes, axes.get_legend_handles_labels(), columns=4)
    return axes


def plot_held_out(table: pd.DataFrame, prior: str | None = None, ax: Axes | None = None) -> Axes:
    """Held-out bits an example and error of the trained and the coded model against strength; the minima marked."""
    axes = _axes(ax)
    prior = prior or str(table["prior"].iloc[0])
    part = table[table["prior"] == prior]
    _line(axes, part, "trained_test_bits_per_example", 0, "bits, trained", minimum=True)
    _line(axes, part, "test_bits_per_example", 1, "bits, coded", minimum=True)
    axes.set(xscale="log", yscale="log", xlabel=_STRENGTH, ylabel="held-out bits an example")
    right = axes.twinx()
    right.grid(visible=False)
    right.spines["right"].set_visible(True)
    classes = str(part["task"].iloc[0]) == "classification"
    for k, kind in ((2, "trained"), (3, "coded")):
        error = part["trained_test_error" if kind == "trained" else "test_error"]
        scaled = part.assign(error=error * (100.0 if classes else 1.0))
        _line(right, scaled, "error", k, f"error, {kind}", minimum=True)
    right.set_ylabel("held-out error, %" if classes else "held-out rms error")
    right.set_ylim(bottom=0.0)
    lines, labels = axes.get_legend_handles_labels()
    more, names = right.get_legend_handles_labels()
    _finish(axes, ([*lines, *more], [*labels, *names]), columns=2)
    return axes


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
            about = f"{part['dataset'].iloc[0]}: {_TITLES.get(model, model)}, λ = {part['strength'].iloc[0]:.2g}"
            ax.set_title(about)
    return figure


def plot_ladder(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One model's rungs: filled where a file of that size exists, open where the length is a formula's."""
    axes = _axes(ax)
    rows = table.assign(bits=table["realised_bits"].fillna(table["ideal_bits"]))
    rows = rows.sort_values("bits", ignore_index=True)
    kinds = list(dict.fromkeys([*_KINDS, *table["kind"]]))
    for kind, part in rows.groupby("kind", sort=False):
        style = kinds.index(str(kind)) % len(_COLOURS)
        colour, marker = _COLOURS[style], _MARKERS[style]
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


def random_labels_figure(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Share of uniform labels that each code takes, for true and shuffled labels: means over splits and their range."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        axes = ax or Figure(figsize=(4.6, 2.8), layout="constrained").subplots()
        rungs = list(dict.fromkeys(table["rung"]))
        for k, (labels, part) in enumerate(table.groupby("labels", sort=False)):
            share = part.groupby("rung")["share"]
            mean, low, high = (getattr(share, what)().reindex(rungs) for what in ("mean", "min", "max"))
            places = [place + 0.15 * (2 * k - 1) for place in range(len(rungs))]
            axes.errorbar(mean, places, xerr=[mean - low, high - mean], fmt=_MARKERS[k], color=_COLOURS[k],
                          capsize=2, label=f"{labels} labels")  # fmt: skip
        axes.axvline(1.0, color="#666666", linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_yticks(range(len(rungs)), rungs)
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel=f"length / uniform labels ({table['seed'].nunique()} splits: mean and range)")
        axes.set_xticks([0.1, 0.2, 0.5, 1.0, 2.0], ["0.1", "0.2", "0.5", "1", "2"])
        axes.minorticks_off()
        axes.legend(loc="lower center")
    return axes.figure  # type: ignore[return-value]


def certificates_figure(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Certified and held-out error of the message with the smallest bound, for each data set."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    best = table.loc[table.groupby("dataset", sort=False)["bound"].idxmin()]
    series = {"certified, 95 %": "bound", "held out": "test_error", "training": "training_error"}
    with mpl.rc_context(STYLE):
        axes = ax or Figure(figsize=(4.0, 2.4), layout="constrained").subplots()
        for k, (label, column) in enumerate(series.items()):
            axes.plot(100.0 * best[column], range(len(best)), _MARKERS[k], color=_COLOURS[k], label=label)
        axes.set_yticks(range(len(best)), best["dataset"])
        axes.set_ylim(-0.5, len(best) - 0.5)
        axes.invert_yaxis()
        axes.set_xlim(left=0.0)
        axes.set_xlabel("error of the coded model, %")
        axes.legend(loc="upper right")
    return axes.figure  # type: ignore[return-value]


def compare(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The table of :func:`mdl.compare` as stacked bars of parts, best on top."""
    axes = _axes(ax)
    parts = [name for name in table.columns if name.endswith("_bits") and name not in ("total_bits", "difference_bits")]
    rows = table[::-1]
    left = [0.0] * len(rows)
    for k, part in enumerate(parts):
        widths = rows[part].fillna(0.0).tolist()
        axes.barh([str(label) for label in rows.index], widths, left=left, color=_COLOURS[k % len(_COLOURS)],
                  label=part.removesuffix("_bits"), edgecolor="white", linewidth=0.5)  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_xlabel("bits, header left out")
    axes.legend(loc="lower right")
    return axes


def save_figure(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path`` as PDF and PNG, whole or not at all, without dates: the same figure gives the same bytes."""
    import matplotlib as mpl

    files = Path(f"{path}.pdf"), Path(f"{path}.png")
    metadata: Sequence[dict[str, Any]] = ({"CreationDate": None}, {"Software": None})
    with mpl.rc_context(STYLE):
        for file, about in zip(files, metadata, strict=True):
            kind = file.suffix[1:]
            write_atomically(file, functools.partial(figure.savefig, format=kind, metadata=about))
    return files


def _finish(axes: Axes, legend: tuple[list[Any], list[Any]], columns: int) -> None:
    """The legend above the axes, where no line is; plain numbers on the ordinate."""
    from matplotlib.ticker import LogLocator, ScalarFormatter

    above = axes.legend(
        *legend, loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=columns, fontsize=6.5,
        handlelength=2.2, handletextpad=0.4, labelspacing=0.2, columnspacing=0.6, borderaxespad=0.0,
    )  # fmt: skip
    above.set_in_layout(False)
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    low, high = axes.get_ylim()
    narrow = high < 10.0 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if narrow else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(formatter)
    axes.yaxis.set_minor_formatter("")


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(layout="constrained").subplots()


def _line(axes: Axes, part: pd.DataFrame, column: str, style: int, label: str, *, minimum: bool) -> None:
    """Mean over seeds against strength, the seeds' range shaded, and the mean's minimum marked."""
    over_seeds = part.groupby("strength")[column]
    mean, low, high = over_seeds.mean(), over_seeds.min(), over_seeds.max()
    colour, dash = _COLOURS[style % len(_COLOURS)], _DASHES[style % len(_DASHES)]
    axes.plot(mean.index, mean, color=colour, linestyle=dash, label=label)
    axes.fill_between(mean.index, low, high, color=colour, alpha=0.15, linewidth=0)
    if minimum:
        marker = _MARKERS[style % len(_MARKERS)]
        at = mean.idxmin()
        axes.plot([at], [mean[at]], marker, color=colour, markeredgecolor="white", markeredgewidth=0.6, zorder=5)
