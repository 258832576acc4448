"""Panels, and lines with intervals: what most figures are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mdl.plot.style import COLOURS, DASHES, MARKERS, STYLE, own_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def styled() -> Any:
    """The style of every figure, as a ``with`` block or as a decorator: ``@plot.styled()``."""
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def panels(
    columns: int = 1, rows: int = 1, *, width: float = 3.2, height: float = 2.6, **shared: Any
) -> tuple[Figure, Any]:
    """A figure of panels of so many inches each, and its axes, (rows, columns); call it under :func:`styled`.

    ``shared`` is what ``Figure.subplots`` takes: ``sharex``, ``sharey``, ``width_ratios``.

    Examples
    --------
    >>> with styled():
    ...     figure, axes = panels(2, width=3.0)
    >>> axes.shape, figure.get_size_inches().tolist()
    ((1, 2), [6.0, 2.6])
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and Student's interval for it, from independent values; one value has itself as the interval.

    Examples
    --------
    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    from scipy import special

    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    if found.size < 2:
        value = float(found[0]) if found.size else math.nan
        return value, value, value
    mean = float(found.mean())
    half = float(special.stdtrit(found.size - 1, 0.5 + level / 2) * found.std(ddof=1) / math.sqrt(found.size))
    return mean, mean - half, mean + half


def plot_lines(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str | None = None,
    *,
    labels: Mapping[Any, str] | None = None,
    minimum: bool = False,
    markers: bool = False,
    first: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """``y`` against ``x``, a line for each value of ``by``: means over the rows of a point, their 95 % interval shaded.

    Parameters
    ----------
    table
        One row for each point and repetition (seed, split, problem).
    x, y, by
        Its columns.
    labels
        What the legend says for a value of ``by``; the value itself where it says nothing.
    minimum
        Whether to mark the least mean of each line.
    markers
        Whether to mark every point.
    first
        The place in :data:`COLOURS`, :data:`DASHES` and :data:`MARKERS` that the first line has.
    ax
        Axes to draw into; those of a new figure by default.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"strength": [1, 1, 2, 2], "bits": [3.0, 5.0, 1.0, 2.0], "seed": [0, 1, 0, 1]})
    >>> plot_lines(table, "strength", "bits").lines[0].get_ydata().tolist()
    [4.0, 1.5]
    """
    axes = own_axes(ax)
    groups = [(y, table)] if by is None else list(table.groupby(by, sort=False))
    for k, (value, part) in enumerate(groups, first):
        points = part.groupby(x)[y].apply(mean_interval)
        mean, low, high = (np.array([point[end] for point in points]) for end in range(3))
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
        said = (labels or {}).get(value, str(value))
        axes.plot(points.index, mean, color=colour, linestyle=DASHES[k % len(DASHES)], label=said,
                  marker=marker if markers else None, markersize=3.5)  # fmt: skip
        axes.fill_between(points.index, low, high, color=colour, alpha=0.15, linewidth=0)
        if minimum and np.isfinite(mean).any():
            at = int(np.nanargmin(mean))
            axes.plot([points.index[at]], [mean[at]], marker, color=colour, markeredgecolor="white",
                      markeredgewidth=0.6, zorder=5)  # fmt: skip
    return axes
