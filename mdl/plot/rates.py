"""Bits a weight against error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdl.plot.lines import styled
from mdl.plot.style import COLOURS, DASHES, MARKERS, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@styled()
def plot_rates(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What :func:`mdl.rates.curve` returns: bits a weight against the root mean squared error, a line a ``prior``."""
    axes = own_axes(ax)
    parts = table.groupby("prior", sort=False) if "prior" in table else [("", table)]
    for k, (name, part) in enumerate(parts):
        axes.plot(np.sqrt(part["mse"]), part["bits_per_weight"], color=COLOURS[k % len(COLOURS)], label=str(name),
                  linestyle=DASHES[k % len(DASHES)], marker=MARKERS[k % len(MARKERS)])  # fmt: skip
    axes.set(xscale="log", xlabel="root mean squared error", ylabel="bits a weight")
    if "prior" in table:
        axes.legend()
    return axes
