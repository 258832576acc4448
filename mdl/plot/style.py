"""One style for every figure: colours, dashes and markers that are told apart without colour, and files that repeat."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdl.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What every figure is drawn and saved under.
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
#: Okabe & Ito's colours, each with a dash and a marker of its own: told apart without colour as well.
COLOURS = (
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
DASHES: tuple[Any, ...] = (
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
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
#: Models as titles name them.
TITLES = {"logistic": "logistic regression", "ridge": "ridge regression"}


def own_axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    """Those that were given, or those of a new figure of so many inches."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def plain(text: object) -> str:
    r"""A name from outside as a figure can show it: ASCII, the rest as escapes, and no formula.

    Examples
    --------
    >>> plain("w\u03bb$x$")
    'w\\u03bb\\$x\\$'
    """
    said = str(text).encode("ascii", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in said).replace("$", r"\$")


def save_figure(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path`` as PDF and PNG, whole or not at all, without dates: the same figure gives the same bytes.

    The PNG names the version of matplotlib that drew it: another may place a pixel elsewhere.
    """
    import matplotlib as mpl

    files = Path(f"{path}.pdf"), Path(f"{path}.png")
    metadata: Sequence[dict[str, Any]] = (
        {"CreationDate": None},
        {"Software": f"matplotlib {mpl.__version__}"},
    )
    with mpl.rc_context(STYLE):
        for file, about in zip(files, metadata, strict=True):
            kind = file.suffix[1:]
            write_atomically(file, functools.partial(figure.savefig, format=kind, metadata=about))
    return files
