"""Lengths and held-out losses against strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdl.plot.style import COLOURS, DASHES, MARKERS, STYLE, TITLES, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
            axes[0, column].set_title(f"{part['dataset'].iloc[0]}: {TITLES.get(model, model)}", pad=20)
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


def parts_figure(table: pd.DataFrame, model: str, prior: str | None = None) -> Figure:
    """One model's message against strength, model and data and their sum, beside how well it predicts unseen data."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    part = table[table["model"] == model]
    about = f"{part['dataset'].iloc[0]}, {TITLES.get(model, model)}"
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        plot_lengths(part, prior=prior, ax=left)
        left.set_title(f"the message ({about})", pad=18)
        rows = part[part["prior"] == (prior or str(table["prior"].iloc[0]))]
        _line(right, rows, "trained_test_bits_per_example", 0, "as trained", minimum=True)
        _line(right, rows, "test_bits_per_example", 1, "as coded", minimum=True)
        right.set(xscale="log", yscale="log", xlabel=_STRENGTH, ylabel="held-out bits an example")
        right.set_title("how well it predicts", pad=18)
        _finish(right, right.get_legend_handles_labels(), columns=2)
    return figure


def _layout() -> Any:
    """Constrained, with room for the legends above the panels."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(h_pad=0.17)


def plot_lengths(table: pd.DataFrame, prior: str | None = None, ax: Axes | None = None) -> Axes:
    """Model bits, data bits and their sum under one prior, means over seeds with their range; the minimum marked."""
    axes = own_axes(ax)
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
    axes = own_axes(ax)
    for k, (prior, part) in enumerate(table.groupby("prior", sort=False)):
        _line(axes, part, "total_bits", k, str(prior), minimum=True)
    axes.set(xscale="log", yscale="log", xlabel=_STRENGTH, ylabel="total bits")
    _finish(axes, axes.get_legend_handles_labels(), columns=4)
    return axes


def plot_held_out(table: pd.DataFrame, prior: str | None = None, ax: Axes | None = None) -> Axes:
    """Held-out bits an example and error of the trained and the coded model against strength; the minima marked."""
    axes = own_axes(ax)
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


def _line(axes: Axes, part: pd.DataFrame, column: str, style: int, label: str, *, minimum: bool) -> None:
    """Mean over seeds against strength, the seeds' range shaded, and the mean's minimum marked."""
    over_seeds = part.groupby("strength")[column]
    mean, low, high = over_seeds.mean(), over_seeds.min(), over_seeds.max()
    colour, dash = COLOURS[style % len(COLOURS)], DASHES[style % len(DASHES)]
    axes.plot(mean.index, mean, color=colour, linestyle=dash, label=label)
    axes.fill_between(mean.index, low, high, color=colour, alpha=0.15, linewidth=0)
    if minimum:
        marker = MARKERS[style % len(MARKERS)]
        at = mean.idxmin()
        axes.plot([at], [mean[at]], marker, color=colour, markeredgecolor="white", markeredgewidth=0.6, zorder=5)
