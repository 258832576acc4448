"""The page about a file of weights: priors side by side, and where the bits are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mdl import length, plot, source
from mdl.errors import PriorError
from mdl.lengths import checkpoint
from mdl.lengths.checkpoint import Report
from mdl.report.page import Section, figure, page, paragraph, table
from mdl.source import Source
from mdl.sweep import CODES
from mdl.trials import default_step

PRIORS = ("gaussian", "laplace", "student-t")
_MOST = 500  # tensors that the table lists


def page_of(path: Path, priors: Sequence[str], step: float | None) -> str:
    """HTML about the weights in a file."""
    for prior in priors:
        if prior not in CODES:
            raise PriorError(f"prior: expected one of {', '.join(CODES)}, got {prior!r}")
    loaded = source.open_source(path)
    width = default_step(loaded) if step is None else step
    reports = {
        name: checkpoint.report(loaded, CODES[name], width, tensors=True) for name in dict.fromkeys(priors or PRIORS)
    }
    best = min(reports, key=lambda name: reports[name].length.comparable.nats)
    sections = [_summary(loaded, reports[best], best, width), _priors(reports)]
    if reports[best].tensors:
        sections.append(_tensors(reports[best], best))
    return page(f"Code length of {path.name}", sections)


def _summary(loaded: Source, found: Report, prior: str, step: float) -> Section:
    stored = sum(8 * dtype.itemsize * math.prod(shape) for dtype, shape in loaded.shapes.values())
    bits = found.length.comparable.bits
    return Section(
        "",
        (
            paragraph(
                f"{found.weights:,} weights in {len(loaded.shapes):,} tensors. Rounded to a step of {step:g} and coded "
                f"under a {prior} prior they take {bits:,.1f} bits: {found.bits_per_weight:.4f} a weight, "
                f"{stored / max(bits, 1.0):.1f} times less than the {stored:,} bits that they are stored in. "
                f"The mean squared error of rounding is {found.mse:.4g}."
            ),
        ),
    )


def _priors(reports: Mapping[str, Report]) -> Section:
    compared = length.compare({name: report.length for name, report in reports.items()})
    rows = compared.drop(columns="realised").reset_index(names="prior")
    return Section(
        "Priors",
        (
            paragraph(
                "Ideal lengths. What a reader needs is in them: the prior's parameters, the step, the ends of the "
                "alphabets, and which code was chosen."
            ),
            figure(plot.compare(compared).figure, "Bits under every prior by what they are for, the shortest on top."),
            table(rows, best=[0], caption="Bits under every prior, the shortest first"),
        ),
    )


def _tensors(found: Report, prior: str) -> Section:
    rows = found.table().sort_values("bits", ascending=False, kind="stable")
    listed, rest = rows.iloc[:_MOST], rows.iloc[_MOST:]
    more = f" {len(rest):,} more take {rest['bits'].sum():,.1f} bits together." if len(rest) else ""
    return Section(
        "Tensors",
        (
            paragraph(f"Under the {prior} prior, the longest first.{more}"),
            figure(plot.plot_tensors(rows).figure, "Bits of the longest tensors, and how many of them a weight takes."),
            table(listed, caption="Tensors of floating point"),
        ),
    )
