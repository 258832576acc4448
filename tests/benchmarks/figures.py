"""The figures of docs/benchmarks, drawn from the tables there by ``python -m tests.benchmarks.figures``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mdl import plot
from mdl.plot.style import COLOURS, DASHES, MARKERS

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"


def rate(table: pd.DataFrame) -> Figure:
    """Bits as a share of the peer's at equal error, against the peer's: a line a model, a panel a trellis."""
    with plot.styled():
        sizes = sorted(table["states"].unique())
        figure, axes = plot.panels(len(sizes), width=3.4, height=2.9, sharey=True)
        for ax, states in zip(axes[0], sizes, strict=True):
            of_size = table[table["states"] == states].sort_values("nncodec_bits")
            for k, (model, part) in enumerate(of_size.groupby("model")):
                ax.plot(part["nncodec_bits"], part["share"], label=model, color=COLOURS[k], linestyle=DASHES[k],
                        marker=MARKERS[k])  # fmt: skip
            ax.axhline(1.0, color="black", linewidth=0.8)
            ax.set(xlabel="nncodec, bits a weight", title=f"{states} states")
        axes[0, 0].set_ylabel("bits, as a share of nncodec's")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw(folder: Path) -> list[Path]:
    """All of them, as PDF and PNG."""
    return list(plot.save_figure(rate(pd.read_csv(COMMITTED / "rate.csv")), folder / "rate"))


if __name__ == "__main__":
    draw(COMMITTED)
