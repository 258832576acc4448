"""Where the bits of a model are: its tensors, the longest on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdl.plot.lines import styled
from mdl.plot.style import COLOURS, own_axes, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LONGEST = 44  # characters of a name


@styled()
def plot_tensors(table: pd.DataFrame, most: int = 15, ax: Axes | None = None) -> Axes:
    """Bits of each tensor, the longest ``most`` of them and all others together, with their bits a weight.

    Parameters
    ----------
    table
        What :meth:`mdl.lengths.checkpoint.reports.Report.table` returns.
    most
        How many tensors have a bar of their own.
    ax
        Axes to draw into; those of a new figure by default.
    """
    from matplotlib.ticker import EngFormatter

    ranked = table.sort_values("bits", ascending=False, kind="stable")
    rows, rest = ranked.iloc[:most], ranked.iloc[most:]
    bars = [(_short(row.name), row.bits, row.weights) for row in rows.itertuples(index=False)]
    if len(rest):
        bars.append((f"{len(rest)} others", float(rest["bits"].sum()), int(rest["weights"].sum())))
    axes = own_axes(ax, (4.2, 0.6 + 0.29 * len(bars)))
    axes.barh(range(len(bars)), [bits for _, bits, _ in bars], height=0.35, color=COLOURS[0])
    for place, (name, bits, weights) in enumerate(bars):
        said = f"{name}: {bits / max(weights, 1):.2f} a weight"
        axes.annotate(said, (0.0, place - 0.19), (2, 1), textcoords="offset points", va="bottom", fontsize=7.5)
    axes.set(xlabel="bits", yticks=[], ylim=(len(bars) - 0.7, -0.9))
    axes.spines["left"].set_visible(False)
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_formatter(EngFormatter())
    return axes


def _short(name: str) -> str:
    """Both ends of a long name."""
    said = plain(name)
    kept = (_LONGEST - 3) // 2
    return said if len(said) <= _LONGEST else f"{said[:kept]}...{said[-kept:]}"
