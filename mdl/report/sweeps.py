"""The page about a sweep: where each total is shortest, and how well the model there predicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mdl import plot, sweep
from mdl.errors import DataError
from mdl.plot.style import TITLES, plain
from mdl.report.page import Markup, Section, figure, figures, page, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

_WORDS = ("dataset", "task", "model", "prior")
_READ = (
    *_WORDS, "strength", "seed", "n", "n_test", "model_bits", "data_bits", "total_bits", "uniform_bits",
    "test_bits_per_example", "test_error", "trained_test_bits_per_example", "trained_test_error",
)  # fmt: skip


def page_of(path: Path, priors: Sequence[str], step: float | None) -> str:
    """HTML about a sweep's table, given as a file or as the folder that holds it."""
    if step is not None:
        raise DataError("step: expected none, a sweep has steps of its own")
    rows = _read(path / "sweep.csv" if path.is_dir() else path)
    known = list(dict.fromkeys(rows["prior"]))
    for prior in priors:
        if prior not in known:
            raise DataError(f"prior: expected one of {', '.join(known)}, got {prior!r}")
    rows = rows[rows["prior"].isin(priors or known)]
    names = list(dict.fromkeys(rows["dataset"]))
    sections = [_about(rows), *(_model(part) for _, part in rows.groupby(["dataset", "model"], sort=False))]
    return page(f"L2 strengths on {', '.join(names)}", [*sections, _words()])


def _read(path: Path) -> pd.DataFrame:
    """The table, checked to be one."""
    import pandas as pd

    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:  # what pandas raises for tables is a ValueError
        raise DataError(f"{path}: expected the table of a sweep, which cannot be read: {error}") from error
    if missing := [name for name in _READ if name not in rows]:
        raise DataError(f"{path}: expected the table of a sweep, got one without {', '.join(missing)}")
    if rows.empty:
        raise DataError(f"{path}: expected a row at least, got none")
    for name in _READ:
        if name not in _WORDS and not _finite(rows[name]):
            raise DataError(f"{path}: column {name}: expected finite numbers in every row")
    return rows.astype(dict.fromkeys(_WORDS, str))


def _finite(column: Any) -> bool:
    return bool(column.dtype.kind in "biuf" and np.isfinite(column).all())


def _about(rows: pd.DataFrame) -> Section:
    strengths = rows["strength"]
    return Section(
        "",
        (
            paragraph(
                f"{rows['model'].nunique()} models, each trained at {strengths.nunique()} strengths from "
                f"{strengths.min():g} to {strengths.max():g} on {rows['seed'].nunique()} splits "
                f"({int(rows['n'].iloc[0]):,} examples to train on, {int(rows['n_test'].iloc[0]):,} held out), and "
                f"coded under {rows['prior'].nunique()} priors. Numbers are means over the splits."
            ),
        ),
    )


def _model(rows: pd.DataFrame) -> Section:
    """One model on one data set."""
    found = sweep.summary(rows)
    best = int(found["total_bits"].idxmin())
    model = TITLES.get(rows["model"].iloc[0], rows["model"].iloc[0])
    return Section(
        f"{rows['dataset'].iloc[0]}: {model}",
        (
            paragraph(_verdict(rows, found.loc[best])),
            _panels(rows, str(found["prior"].iloc[best])),
            table(_shown(found, rows), best=[best], caption="Where each prior's total is shortest"),
        ),
    )


def _verdict(rows: pd.DataFrame, best: Any) -> str:
    per_cent = rows["task"].iloc[0] == "classification"
    error = f"on {best['test_error']:.1%} of" if per_cent else f"by {best['test_error']:.4g} (rms) on"
    if best["excess_bits"] > 0.0:
        end = f", {best['excess_bits']:.4f} more than at λ = {best['best_strength']:.3g}, where it predicts best."
    else:
        end = ", and at no other strength fewer."
    return (
        f"The shortest message takes {best['total_bits']:,.1f} bits, at λ = {best['strength']:.3g} under the "
        f"{best['prior']} prior: {best['model_bits']:,.1f} for the model, {best['data_bits']:,.1f} for the targets. "
        f"Without a model the targets take {rows['uniform_bits'].mean():,.1f}. The model in it errs {error} "
        f"unseen examples and takes {best['test_bits_per_example']:.4f} bits for each{end}"
    )


def _panels(rows: pd.DataFrame, prior: str) -> Markup:
    """Lengths, totals and held-out losses against strength, names as figures can show them."""
    drawn = rows.assign(prior=rows["prior"].map(plain))
    parts: tuple[tuple[Any, dict[str, str], str], ...] = (
        (plot.plot_lengths, {"prior": plain(prior)}, f"The message under the {prior} prior, and its two parts."),
        (plot.plot_totals, {}, "The total under every prior; markers: where it is shortest."),
        (plot.plot_held_out, {"prior": plain(prior)}, "How well the model predicts, trained and as it was coded."),
    )
    made = []
    with plot.styled():
        for draw, options, caption in parts:
            canvas, ((axes,),) = plot.panels(width=3.5, height=2.9)
            draw(drawn, ax=axes, **options)
            axes.get_legend().set_in_layout(True)  # a sweep's figure leaves room for it in another way
            made.append(figure(canvas, f"{caption} Lines: means over splits; shaded: their range."))
    return figures(made)


def _shown(found: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The summary's columns that people ask for first, in words."""
    per_cent = rows["task"].iloc[0] == "classification"
    names = {
        "prior": "prior", "strength": "λ", "model_bits": "model_bits", "data_bits": "data_bits",
        "total_bits": "total_bits", "test_bits_per_example": "held-out bits each",
        "test_error": f"held-out error{', %' if per_cent else ''}", "best_strength": "best λ",
        "excess_bits": "bits lost each",
    }  # fmt: skip
    table = found[list(names)].assign(test_error=found["test_error"] * (100.0 if per_cent else 1.0))
    return table.rename(columns=names)


def _words() -> Section:
    return Section(
        "Words",
        (
            paragraph(
                "λ is the L2 strength per example: mean loss + (λ/2)‖w‖². A total is the ideal length of a message "
                "that holds the quantised model and the training targets, from which both can be read, given the "
                "inputs. Held out are examples that neither training nor message has seen; bits lost is how "
                "many more the coded model takes for each of them at the shortest total than at the best λ, where "
                "it predicts best."
            ),
        ),
    )
