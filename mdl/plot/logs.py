"""The losses of a training log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdl.plot.lines import styled
from mdl.plot.style import COLOURS, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@styled()
def plot_log(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What :meth:`LoggedLength.table` returns: bits an example, the area above the final shaded."""
    axes = own_axes(ax)
    final = float(table["final_bits_per_example"].iloc[0])
    starts = [0, *table["examples"].iloc[:-1]]
    bits = table["bits_per_example"].tolist()
    axes.step([*starts, table["examples"].iloc[-1]], [*bits, bits[-1]], where="post", color=COLOURS[0], label="loss")
    axes.fill_between(
        [*starts, table["examples"].iloc[-1]], final, [*bits, bits[-1]], step="post", color=COLOURS[0], alpha=0.2,
        linewidth=0, label="absorbed",
    )  # fmt: skip
    axes.axhline(final, color=COLOURS[1], linestyle="--", label="final loss")
    axes.set(xlabel="examples", ylabel="bits an example")
    axes.set_ylim(bottom=0.0)
    axes.legend()
    return axes
