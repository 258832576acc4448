"""Code length less penalty, against the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdl.plot.style import COLOURS, DASHES, MARKERS, STYLE, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gap_figure(table: pd.DataFrame) -> Figure:
    """A panel a model; the gap between code length and penalty for every prior that has one."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(table["model"]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.3), layout="constrained")
        axes = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for model, ax in zip(models, axes, strict=True):
            part = table[(table["model"] == model) & (table["prior"] != "Uniform")]  # whose gap is none
            plot_gap(part, ax=ax)
            ax.set_title(f"{model}, {part['weights'].iloc[0]:,.0f} weights")
            ax.label_outer()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def plot_gap(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """One model's gap in nats a weight against the step in units of the prior's scale, a line a prior."""
    axes = own_axes(ax)
    for k, (prior, part) in enumerate(table.groupby("prior", sort=False)):
        gap = part["gap_nats_per_weight"].abs()
        axes.plot(2.0 ** -part["halvings"], gap, color=COLOURS[k], linestyle=DASHES[k], marker=MARKERS[k],
                  markersize=3.5, linewidth=1.0, markerfacecolor="none", label=str(prior))  # fmt: skip
    finest = 2.0 ** -float(table["halvings"].max())
    axes.plot([finest, 1.0], [0.3 * finest**2, 0.3], color="0.75", linewidth=4, alpha=0.6, zorder=0, label="slope 2")
    axes.set(xscale="log", yscale="log", xlabel="step Δ / scale of the L2 prior")
    axes.set_ylabel("|code length − penalty|, nats per weight")
    return axes
