"""Does the code that chooses strengths choose well among degrees, widths and priors?

Ridge regression on polynomials of one feature, perceptrons of six widths, and logistic regression under L2 and L1, on
small samples of real tables: every chooser takes an option from the training data alone, or averages over all by
length, and is measured by what that costs on held-out data beside the best option.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import _command, _leaderboard, _text
from analyses._choices import DEGREES, ITERATIONS, PENALTY_OF, PENALTY_STRENGTHS, WIDTH_STRENGTH, WIDTHS, Cell, rows
from analyses._selectors import PEER
from mdl import plot
from mdl.select.averaging import ETA
from mdl.select.codes import CODE, RIDGE_CODE

CLAIM = (
    "The codes that choose strengths choose as well beyond them: averaging over degrees, widths or priors by the "
    "default code costs at most the held-out bits of ten-fold cross-validation's choice, and of a Gaussian and a "
    "Laplace prior the one with the shorter two-part code names the penalty that predicts better."
)
SPLITS = 5
#: Tables of the reporting half of ``_problems``, with the numbers of examples learnt from, at most 70 % of a table;
#: those for widths and priors have at most 20 features (sonar has 60) and few classes, because of the time it takes.
PROBLEMS: dict[str, dict[str, tuple[int, ...]]] = {
    "degree": {
        "keel:texture": (20, 50, 200), "keel:phoneme": (20, 50, 200), "keel:sonar": (20, 50),
        "keel:twonorm": (20, 50, 200), "keel:wisconsin": (20, 50, 200), "keel:contraceptive": (20, 50, 200),
        "keel:penbased": (20, 50, 200), "keel:heart": (20, 50), "keel:saheart": (20, 50, 200),
        "keel:bupa": (20, 50, 200), "keel:ring": (20, 50, 200),
    },
    "width": {
        "wine": (60,), "keel:phoneme": (60, 200), "keel:wisconsin": (60, 200), "keel:saheart": (60, 200),
        "keel:ring": (60, 200),
    },
    "prior": {
        "keel:sonar": (50,), "keel:wisconsin": (50,), "keel:heart": (50,), "keel:twonorm": (50, 200),
        "keel:saheart": (50, 200), "keel:australian": (50, 200),
    },
}  # fmt: skip
#: What the estimators of ``mdl.select`` do where a strength is chosen.
DEFAULTS = {"degree": RIDGE_CODE, "width": CODE, "prior": CODE}
_NAMES = {"degree": "degree of a polynomial", "width": "width of a perceptron", "prior": "L1 or L2, and its strength"}
_QUICK = (
    Cell("degree", "diabetes", 50, 0), Cell("degree", "wine", 20, 0),
    Cell("width", "iris", 20, 0), Cell("prior", "breast_cancer", 30, 0),
)  # fmt: skip


def measure(options: _command.Options) -> pd.DataFrame:
    cells = [
        Cell(choice, table, n, options.seed + split)
        for choice, tables in PROBLEMS.items()
        for table, sizes in tables.items()
        for n in sizes
        for split in range(SPLITS)
    ]
    return options.rows(rows, _QUICK if options.quick else cells)


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    summary = _leaderboard.summary(_as_leaderboard(table))
    with mpl.rc_context(plot.STYLE):
        figure = Figure(figsize=(8.6, 3.1), layout="constrained")
        panels = figure.subplots(1, len(_NAMES))
        for axes, (choice, title) in zip(panels, _NAMES.items(), strict=True):
            plot.plot_excess(summary[summary["family"] == choice], axes)
            axes.set_title(title)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
        figure.supxlabel("mean excess over the best option, held-out bits an example", fontsize=8)
    return {"beyond_the_strength": figure}


def captions(table: pd.DataFrame) -> dict[str, str]:
    counts = table.groupby("choice")[["table", "n"]].apply(lambda part: len(part.drop_duplicates()))
    found = _text.listed([f"{counts[choice]} ({_NAMES[choice]})" for choice in _NAMES])
    return {
        "beyond_the_strength": "Mean excess of held-out bits over the best option, by the option of the shortest code "
        f"(or least score) and by an average over options; 95 % intervals over problems: {found}, "
        f"{table['seed'].nunique()} splits each."
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    said = {
        "eta": f"{ETA:g}", "splits": str(table["seed"].nunique()),
        "degrees": str(DEGREES[-1]), "widths": _text.listed([str(width) for width in WIDTHS]),
        "width_strength": f"{WIDTH_STRENGTH:g}", "iterations": str(ITERATIONS),
        "strengths": str(len(PENALTY_STRENGTHS)), "weakest": f"{PENALTY_STRENGTHS[0]:g}",
        "strongest": f"{PENALTY_STRENGTHS[-1]:g}",
    }  # fmt: skip
    for choice in _NAMES:
        part = _as_leaderboard(table[table["choice"] == choice])
        said |= {f"{choice}_{name}": value for name, value in _against_peer(part, choice).items()}
        said |= {f"{choice}_{name}": value for name, value in _who(part).items()}
        said[f"{choice}_table"] = _shown(part)
    return {
        **said,
        **_extremes(table[table["choice"] == "width"]),
        **_named_penalties(table[table["choice"] == "prior"]),
    }


def _extremes(table: pd.DataFrame) -> dict[str, str]:
    """On how many splits the narrowest or the widest network is taken, and is the best, per cent."""
    chosen, percent = table[table["way"] == "chosen"], _text.percent()
    taken = {"best": chosen["best_option"], **{name: part["option"] for name, part in chosen.groupby("selector")}}
    return {
        f"{end}_{name.replace('-', '_').replace(', ', '_').replace(' ', '_')}": percent(
            (option == f"width {width}").mean()
        )
        for end, width in {"narrowest": WIDTHS[0], "widest": WIDTHS[-1]}.items()
        for name, option in taken.items()
    }


def verdict(table: pd.DataFrame) -> str:
    parts, holds = [], []
    for choice in _NAMES:
        part = _as_leaderboard(table[table["choice"] == choice])
        holds.append(_beside(part, choice).mean <= 0.0)
        parts.append(_compared(part, choice))
    said, naming = _named_penalties(table[table["choice"] == "prior"]), _naming(table[table["choice"] == "prior"])
    holds.append(naming.mean > 0.0)
    parts.append(
        f"the prior with the shorter code names the better penalty on {said['named']} % of splits, where always naming "
        f"{said['usual']} is right on {said['usual_share']} %, a difference of {said['naming']} points"
    )
    some = f"No, {sum(holds)} of {len(holds)} parts of the claim hold" if any(holds) else "No"
    return f"{'Yes' if all(holds) else some}: {'; '.join(parts)}. {_why(table)} Intervals are of 95 %, over problems."


def _why(table: pd.DataFrame) -> str:
    """What of the gain is the code's, what comes from averaging, and what errors say."""
    parts = dict(list(_as_leaderboard(table).groupby("choice", sort=False)))
    alone = {choice: _beside(part, choice, "chosen") for choice, part in parts.items()}
    errors = {choice: _beside(part, choice, of="excess_error") for choice, part in parts.items()}
    unsure = all(span.low <= 0.0 <= span.high for span in alone.values())
    lead = "Averaging does it, not the code: where" if unsure else "Where"
    return f"{lead} the code chooses too, the differences are {_each(alone)}; averaged, in errors, {_each(errors)}."


def _each(spans: dict[str, _Span]) -> str:
    return _text.listed([f"{span.said(3)} for the {choice}" for choice, span in spans.items()])


def _compared(part: pd.DataFrame, choice: str) -> str:
    said, found = _against_peer(part, choice), _beside(part, choice)
    unsure = ", which chance explains as well" if found.low <= 0.0 <= found.high else ""
    return (
        f"{_NAMES[choice]}, averaging by the {DEFAULTS[choice]} code has {said['mean']} bits of mean excess against "
        f"{said['peer_mean']} of ten-fold cross-validation's choice, a difference of {said['averaged']}{unsure}, and "
        f"{said['worst']} against {said['peer_worst']} at worst"
    )


def _as_leaderboard(table: pd.DataFrame) -> pd.DataFrame:
    """With the names that ``_leaderboard`` knows; a problem is a table with a number of examples."""
    return table.assign(
        family=table["choice"], problem=table["table"] + "-" + table["n"].astype(str), trainings=math.nan
    )


def _of(part: pd.DataFrame, selector: str, way: str) -> pd.DataFrame:
    return part[(part["selector"] == selector) & (part["way"] == way)]


class _Span(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    def said(self, digits: int) -> str:
        mean, low, high = (_text.fixed(digits)(value) for value in self)
        return f"{mean} ({low} to {high})"


def _span(values: pd.Series, units: pd.Series) -> _Span:
    """Of the mean over splits, by a bootstrap over units, whose splits stay together."""
    sums = values.groupby(units.to_numpy()).agg(["sum", "size"]).to_numpy()
    resamples = np.random.default_rng(0).integers(len(sums), size=(2000, len(sums)))
    drawn = sums[resamples].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return _Span(float(values.mean()), float(low), float(high))


def _beside(
    part: pd.DataFrame, choice: str, way: str = "averaged", peer_way: str = "chosen",
    unit: str = "problem", of: str = "excess_bits",
) -> _Span:  # fmt: skip
    """Excess of the default code less that of ten-fold cross-validation on the same splits."""
    split = ["table", "n", "seed"]
    own, peer = (_of(part, *which).sort_values(split) for which in ((DEFAULTS[choice], way), (PEER, peer_way)))
    return _span(pd.Series(own[of].to_numpy() - peer[of].to_numpy()), own[unit])


def _against_peer(part: pd.DataFrame, choice: str) -> dict[str, str]:
    default, peer, weighed = (
        _of(part, *which) for which in ((DEFAULTS[choice], "averaged"), (PEER, "chosen"), (PEER, "averaged"))
    )
    hardest = peer.groupby("problem")["excess_bits"].mean().idxmax()
    bits, fewer = _text.fixed(3), part[part["problem"] != hardest]
    return {
        "code": DEFAULTS[choice], "problems": str(part["problem"].nunique()), "tables": str(part["table"].nunique()),
        "mean": bits(default["excess_bits"].mean()), "peer_mean": bits(peer["excess_bits"].mean()),
        "peer_averaged": bits(weighed["excess_bits"].mean()),
        "worst": bits(default["excess_bits"].max()), "peer_worst": bits(peer["excess_bits"].max()),
        "error": bits(default["excess_error"].mean()), "peer_error": bits(peer["excess_error"].mean()),
        "time": _text.fixed(2)(default["seconds"].sum() / peer["seconds"].sum()),
        "averaged": _beside(part, choice).said(3), "chosen": _beside(part, choice, "chosen").said(3),
        "both_averaged": _beside(part, choice, "averaged", "averaged").said(3),
        "averaged_error": _beside(part, choice, of="excess_error").said(3),
        "beats": _text.percent()((default["excess_bits"] < 0.0).mean()),
        "averaged_tables": _beside(part, choice, unit="table").said(3),
        "hardest": str(hardest), "averaged_rest": _beside(fewer if len(fewer) else part, choice).said(3),
    }  # fmt: skip


def _who(part: pd.DataFrame) -> dict[str, str]:
    """Who has the least mean excess, in each way and at worst."""
    found = _leaderboard.summary(part)
    said = {}
    for way in ("chosen", "averaged"):
        own = found[found["way"] == way].set_index("selector")
        said |= {f"best_{way}": str(own["mean"].idxmin()), f"best_{way}_mean": _text.fixed(3)(own["mean"].min())}
        said |= {f"safest_{way}": str(own["worst"].idxmin()), f"safest_{way}_worst": _text.fixed(3)(own["worst"].min())}
    return said


def _shown(part: pd.DataFrame) -> str:
    """A row a chooser and way, the least mean first."""
    found, fixed = _leaderboard.summary(part).sort_values("mean"), _text.fixed(3)
    spans = [f"{fixed(row.low)} to {fixed(row.high)}" for row in found.itertuples()]
    formats = {
        "selector": str, "way": str, "mean": fixed, "95 %": str, "worst": fixed, "error": fixed,
        "near": _text.percent(), "seconds": fixed,
    }  # fmt: skip
    return _text.table(found.assign(**{"95 %": spans}), formats)


def _splits(table: pd.DataFrame) -> pd.DataFrame:
    """A row a split: the shortest length under each prior, and the better penalty at its best strength."""
    chosen = table[table["way"] == "chosen"]
    lengths = chosen.pivot_table("length_bits", ["table", "n", "seed"], "selector")
    priors = [*PENALTY_OF, "mixture"]
    found = lengths[[f"two-part, {prior}" for prior in priors]].set_axis(priors, axis=1)
    held_out = chosen.groupby(["table", "n", "seed"])[["l1_bits", "l2_bits"]].first()
    return found.assign(better=(held_out["l1_bits"] < held_out["l2_bits"]).map({True: "L1", False: "L2"}))


def _named(splits: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Where the shorter of the Gaussian and the Laplace prior names the better penalty, and where the usual one is."""
    named = splits[list(PENALTY_OF)].idxmin(axis=1).map(PENALTY_OF)
    return named == splits["better"], splits["better"] == splits["better"].mode().iloc[0]


def _naming(table: pd.DataFrame) -> _Span:
    """How much more often the shorter prior is right than always naming the same penalty, per cent of splits."""
    splits = _splits(table).reset_index()
    right, usual = _named(splits)
    return _span(100.0 * (right.astype(float) - usual.astype(float)), splits["table"] + "-" + splits["n"].astype(str))


def _named_penalties(table: pd.DataFrame) -> dict[str, str]:
    splits, percent = _splits(table), _text.percent()
    right, usual = _named(splits)
    shortest = splits[[*PENALTY_OF, "mixture"]].idxmin(axis=1)
    return {
        "named": percent(right.mean()), "usual_share": percent(usual.mean()), "naming": _naming(table).said(0),
        "usual": str(splits["better"].mode().iloc[0]), "split_count": str(len(splits)),
        "l1_better": percent((splits["better"] == "L1").mean()),
        **{f"shortest_{prior.lower()}": percent((shortest == prior).mean()) for prior in [*PENALTY_OF, "mixture"]},
        "prior_gap": _text.fixed(1)((splits["Gaussian"] - splits["Laplace"]).abs().median()),
        "mixture_more": _text.fixed(0)((splits["mixture"] - splits[list(PENALTY_OF)].min(axis=1)).median()),
    }  # fmt: skip


if __name__ == "__main__":
    _command.main(__file__)
