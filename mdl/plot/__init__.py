"""Draws tables that others computed; a ``plot_`` takes ``ax=`` and returns it, a ``_figure`` is a whole figure."""

from mdl.plot.labels import plot_certificates, plot_random_labels
from mdl.plot.ladders import compare, ladder_figure, plot_ladder
from mdl.plot.lines import mean_interval, panels, plot_lines, styled
from mdl.plot.logs import plot_log
from mdl.plot.penalties import gap_figure, plot_gap
from mdl.plot.rates import plot_rates
from mdl.plot.selection import choices_figure, excess_figure, plot_choices, plot_excess, plot_ranks
from mdl.plot.style import COLOURS, DASHES, MARKERS, STYLE, TITLES, own_axes, save_figure
from mdl.plot.sweeps import parts_figure, plot_held_out, plot_lengths, plot_totals, sweep_figure
from mdl.plot.tensors import plot_tensors

__all__ = [
    "COLOURS",
    "DASHES",
    "MARKERS",
    "STYLE",
    "TITLES",
    "choices_figure",
    "compare",
    "excess_figure",
    "gap_figure",
    "ladder_figure",
    "mean_interval",
    "own_axes",
    "panels",
    "parts_figure",
    "plot_certificates",
    "plot_choices",
    "plot_excess",
    "plot_gap",
    "plot_held_out",
    "plot_ladder",
    "plot_lengths",
    "plot_lines",
    "plot_log",
    "plot_random_labels",
    "plot_ranks",
    "plot_rates",
    "plot_tensors",
    "plot_totals",
    "save_figure",
    "styled",
    "sweep_figure",
]
