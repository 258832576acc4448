"""Which code picks the right strength?

Ridge, logistic regression and perceptrons on small samples of real tables: every code chooses an L2 strength from the
training data alone, or averages over strengths by length, and is measured by what that costs on held-out data beside
the best strength of the grid. Cross-validation and other customs do the same on the same splits.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from analyses import _command, _leaderboard, _text
from analyses._held_out import HeldOut
from analyses._problems import MOST_TEST_ROWS, Drawn, Problem, problems
from analyses._selectors import PEER, SLOW, Selector, selectors
from mdl import plot
from mdl.masses import Array
from mdl.select.averaging import ETA, trained, weights
from mdl.select.candidates import STRENGTHS, Candidates
from mdl.select.codes import CODE, RIDGE_CODE

CLAIM = (
    "A code length of the training data alone picks an L2 strength that predicts held-out data better than ten-fold "
    "cross-validation does, in less time."
)
FAMILIES = ("ridge", "logistic", "mlp")
SPLITS = {"reporting": 10, "tuning": 3}
MLP_STRENGTHS = tuple(float(f"{strength:.6g}") for strength in np.logspace(-3.5, 0.0, 8))
HIDDEN, ITERATIONS = 12, 100  # of the perceptrons
#: What the estimators of ``mdl.select`` do.
DEFAULTS = {"ridge": RIDGE_CODE, "logistic": CODE, "mlp": CODE}
_NAMES = {"ridge": "ridge regression", "logistic": "logistic regression", "mlp": "perceptrons", "all": "all"}
_SHOWN = (PEER, "rotated", "prequential", "evidence", "lnml", "two-part")
_QUICK = (
    Problem("tuning", "ridge", "diabetes", 30),
    Problem("reporting", "ridge", "diabetes", 100),
    Problem("tuning", "logistic", "iris", 50),
    Problem("reporting", "logistic", "wine", 50),
    Problem("reporting", "mlp", "iris", 60),
)


@dataclass(frozen=True)
class Cell:
    """One problem and one split."""

    problem: Problem
    seed: int


def measure(options: _command.Options) -> pd.DataFrame:
    if options.quick:
        return options.rows(rows, [Cell(problem, options.seed) for problem in _QUICK])
    cells = [
        Cell(problem, options.seed + split)
        for half, splits in SPLITS.items()
        for family in FAMILIES
        for problem in problems(half, family)
        for split in range(splits)
    ]
    return options.rows(rows, cells)


def rows(cell: Cell) -> list[dict[str, Any]]:
    """What every selector makes of one split, and what that costs on the examples held out."""
    drawn, problem = cell.problem.split(cell.seed), cell.problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # all selectors get the same trainer as it is
        trained_ones = _candidates(cell, drawn)
        held_out = HeldOut.of(trained_ones, drawn)
        bits, _ = held_out.each()
        about = {
            "half": problem.half, "family": problem.family, "problem": problem.name, "seed": cell.seed,
            "best_strength": trained_ones.strengths[int(bits.argmin())], "best_bits": round(float(bits.min()), 5),
        }  # fmt: skip
        size = trained_ones.n, trained_ones.models[0].weights.count
        return [
            {**about, "selector": name, **row}
            for name, selector in selectors(problem.family).items()
            if all(own <= most for own, most in zip(size, SLOW.get(name, size), strict=True))
            for row in _used(selector, _candidates(cell, drawn), held_out)
        ]


def _candidates(cell: Cell, drawn: Drawn) -> Candidates:
    family, seed = cell.problem.family, cell.seed
    if family == "ridge":
        return Candidates.of(Ridge(), STRENGTHS, drawn.X, drawn.y, seed)
    if family == "logistic":
        return Candidates.of(LogisticRegression(solver="newton-cg", max_iter=200), STRENGTHS, drawn.X, drawn.y, seed)
    perceptron = MLPClassifier((HIDDEN,), solver="lbfgs", max_iter=ITERATIONS, random_state=seed)
    return Candidates.of(perceptron, MLP_STRENGTHS, drawn.X, drawn.y, seed)


def _used(selector: Selector, candidates: Candidates, held_out: HeldOut) -> list[dict[str, Any]]:
    """The strength that it chooses, and the average over strengths that it weighs, each with all the work."""
    bits, errors = held_out.each()
    began = time.perf_counter()
    nats = selector(candidates)
    scoring, trainings = time.perf_counter() - began, candidates.n_trainings
    found = []
    for way, eta in {"chosen": None, "averaged": ETA}.items():
        shares = weights(nats, eta)
        began = time.perf_counter()
        kept = _trained(candidates, shares)
        found.append({
            "way": way,
            "strength": candidates.strengths[int(nats.argmin())],
            "excess_bits": round(held_out.bits(shares) - float(bits.min()), 5),
            "excess_error": round(held_out.error(shares) - float(errors[bits.argmin()]), 5),
            "trainings": trainings + kept,
            "seconds": round(scoring + time.perf_counter() - began, 4),
        })  # fmt: skip
    return found


def _trained(candidates: Candidates, shares: Array) -> int:
    """How many trainings on all examples the shares need that were not done yet; they are done."""
    if candidates.ridge:
        done = "spectrum" in candidates.__dict__
        return 0 if done else bool(candidates.spectrum)
    return 0 if candidates.is_trained else len(trained(candidates, shares))


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    reporting = table[table["half"] == "reporting"]
    chosen = reporting[(reporting["way"] == "chosen") & (reporting["family"] == "logistic")]
    return {
        "which_code_predicts": plot.excess_figure(_leaderboard.summary(reporting)),
        "which_code_predicts_ranks": plot.plot_ranks(*_leaderboard.ranks(reporting)).figure,
        "which_code_predicts_choices": plot.choices_figure(chosen, _SHOWN),
    }


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "which_code_predicts": "Mean excess of held-out bits over the best strength of the grid, by the strength of "
        "the shortest code (or least score) and by an average over strengths; 95 % intervals over problems. Reporting "
        f"half: {said['reporting_problems']} problems, {said['reporting_splits']} splits each. Slow codes on the "
        "smallest problems only, which are not the same for all of them.",
        "which_code_predicts_ranks": "Mean ranks over all problems of the reporting half, of those selectors that all "
        "families have.",
        "which_code_predicts_choices": "Strengths chosen against the best on held-out data, logistic regression, "
        "reporting half; areas are numbers of splits.",
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    said = {"eta": f"{ETA:g}", "hidden": str(HIDDEN), "test_rows": _text.thousands(MOST_TEST_ROWS)}
    said["most_examples"] = _text.thousands(table["problem"].str.rpartition("-")[2].astype(int).max())
    for half, part in table.groupby("half", sort=False):
        said[f"{half}_problems"] = _text.thousands(part.groupby(["family", "problem"]).ngroups)
        said[f"{half}_splits"] = str(part["seed"].nunique())
        said["defaults" if half == "reporting" else f"defaults_{half}"] = _defaults(part)
        for family, own in [("all", part), *part.groupby("family", sort=False)]:
            said |= {f"{half}_{family}_{name}": value for name, value in _beside_peer(own).items()}
        for family, own in part.groupby("family", sort=False):
            said[f"{half}_{family}_table"] = _shown(own)
    return said


def verdict(table: pd.DataFrame) -> str:
    reporting = table[table["half"] == "reporting"]
    peer = _of(reporting, "chosen", PEER)
    averaged, chosen = (_leaderboard.beside(_of(reporting, way), peer) for way in ("averaged", "chosen"))
    said = _beside_peer(reporting)
    return (
        f"{'Yes' if averaged.high < 1.0 else 'No'}, when it averages over strengths: the mean excess of the default "
        f"codes is {said['mean']} bits against {said['peer_mean']} of ten-fold cross-validation ({said['ratio']} "
        f"times, {said['low']} to {said['high']}), {said['worst']} against {said['peer_worst']} at worst, in "
        f"{said['time']} of its time. {'Yes' if chosen.high < 1.0 else 'No'}, when it chooses one strength: "
        f"{said['chosen_ratio']} times."
    )


def _of(part: pd.DataFrame, way: str, selector: str | None = None) -> pd.DataFrame:
    """The rows of one selector, or of each family's default."""
    wanted = part["family"].map(DEFAULTS) if selector is None else selector
    return part[(part["selector"] == wanted) & (part["way"] == way)]


def _beside_peer(part: pd.DataFrame) -> dict[str, str]:
    """The default beside ten-fold cross-validation, and what choosing instead of averaging makes of it."""
    default, peer = _of(part, "averaged"), _of(part, "chosen", PEER)
    both, alone = _leaderboard.beside(default, peer), _leaderboard.beside(_of(part, "chosen"), peer)
    worst, peer_worst = (rows.sort_values("excess_bits", ascending=False) for rows in (default, peer))
    bits, ratio = _text.fixed(3), _text.fixed(2)
    return {
        "mean": bits(default["excess_bits"].mean()), "peer_mean": bits(peer["excess_bits"].mean()),
        "worst": bits(worst["excess_bits"].iloc[0]), "peer_worst": bits(peer_worst["excess_bits"].iloc[0]),
        "worst_problem": worst["problem"].iloc[0], "peer_worst_problem": peer_worst["problem"].iloc[0],
        "second": bits(worst["excess_bits"].iloc[:2].min()),
        "peer_second": bits(peer_worst["excess_bits"].iloc[:2].min()),
        "ratio": ratio(both.mean), "low": ratio(both.low), "high": ratio(both.high), "worst_ratio": ratio(both.worst),
        "time": ratio(both.seconds), "chosen_ratio": ratio(alone.mean), "chosen_worst_ratio": ratio(alone.worst),
        "error": bits(default["excess_error"].mean()), "peer_error": bits(peer["excess_error"].mean()),
    }  # fmt: skip


def _defaults(part: pd.DataFrame) -> str:
    """What the estimators do by default beside ten-fold cross-validation that chooses, a row a family."""
    rows = []
    for family, own in [*part.groupby("family", sort=False), ("all", part)]:
        said = _beside_peer(own)
        rows.append({
            "family": _NAMES[family], "code, averaged": DEFAULTS.get(family, "as above"),
            "mean bits (CV)": f"{said['mean']} ({said['peer_mean']})",
            "ratio, 95 %": f"{said['ratio']} ({said['low']} to {said['high']})",
            "worst bits (CV)": f"{said['worst']} ({said['peer_worst']})", "ratio of worst": said["worst_ratio"],
            "ratio of time": said["time"], "excess error (CV)": f"{said['error']} ({said['peer_error']})",
            "chosen: ratio": said["chosen_ratio"],
        })  # fmt: skip
    found = pd.DataFrame(rows)
    return _text.table(found, dict.fromkeys(found.columns, str))


def _shown(part: pd.DataFrame) -> str:
    """The leaderboard of one family, a row a selector, the least mean first."""
    rows = _leaderboard.summary(part).sort_values("mean")
    fixed, count = _text.fixed(3), int(part["problem"].nunique())
    names = [
        row.selector + (f" ({row.problems} problems)" if row.problems < count else "") for row in rows.itertuples()
    ]
    spans = [f"{fixed(row.low)} to {fixed(row.high)}" for row in rows.itertuples()]
    formats = {
        "selector": str, "way": str, "mean": fixed, "95 %": str, "worst": fixed, "error": fixed,
        "near": _text.percent(), "trainings": _text.fixed(0), "seconds": fixed,
    }  # fmt: skip
    return _text.table(rows.assign(**{"selector": names, "95 %": spans}), formats)


if __name__ == "__main__":
    _command.main(__file__)
