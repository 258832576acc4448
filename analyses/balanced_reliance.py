"""Does a large weight mean that a neuron relies on one input, and does L2 make it use its inputs in a balanced way?

Participation ratios of what inputs contribute to neurons, under L2, L1 and without a penalty, at equal training loss,
with inputs as they are and whitened; what the strongest input is worth; linear models whose inputs' correlation is
dialled and whose truth is known; and what holds exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses import (
    _balance,
    _balance_facts,
    _balance_figures,
    _balance_found,
    _balance_said,
    _command,
    _dialled,
    _text,
)
from analyses._balance import Cell
from analyses._dialled import Draw

CLAIM = (
    "A large weight means that a neuron relies on one input, and L2 makes it use its inputs in a balanced way: among "
    "the neurons of a model the larger the largest weight, the smaller the participation ratio (rank correlation below "
    "−0.5); at equal training loss the participation ratio is greater under L2 than under L1 and than without a "
    "penalty, whether inputs are correlated or not; and holding every neuron's strongest input at its mean then costs "
    "fewer held-out bits under L2 than under either."
)
RANK = -0.5
TABLES = ("digits", "breast_cancer", "wine")
SPLITS = 5
HIDDEN = 16
L2 = tuple(float(f"{strength:.4g}") for strength in np.logspace(-4.0, 0.0, 9))
L1 = tuple(float(f"{strength:.4g}") for strength in np.logspace(-4.0, -0.5, 8))
ITERATIONS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MOST = {0: 2000, HIDDEN: 600}  # iterations of the optimiser, by hidden units
CORRELATIONS = (0.0, 0.3, 0.6, 0.9, 0.99)
DRAWS = 18
_OVER_NONE = "L2 is more balanced than no penalty"


def measure(options: _command.Options) -> pd.DataFrame:
    seeds = range(options.seed, options.seed + (1 if options.quick else SPLITS))
    draws = range(options.seed, options.seed + (2 if options.quick else DRAWS))
    cells = _cells(options.quick, seeds)
    networks = [cell for cell in cells if cell.hidden and cell.inputs == "standardised"]
    small = [replace(cell, l2=cell.l2[2:7:2]) for cell in networks if cell.table == TABLES[-1]]
    parts = [
        options.rows(_balance.rows, cells),
        options.rows(
            _dialled.rows, [Draw(c, t, seed) for c in CORRELATIONS for t in _dialled.TRUTHS for seed in draws]
        ),
        options.rows(_balance_facts.facts, list(seeds)),
        options.rows(_balance_facts.longer, small),
        options.rows(_balance_facts.starts, networks),
    ]
    return pd.concat(parts, ignore_index=True)


def _cells(quick: bool, seeds: range) -> list[Cell]:
    """Softmax regression and networks of every table, split and kind of inputs; shuffled labels for the former."""
    kinds = [("standardised", "true"), ("whitened", "true"), ("standardised", "shuffled")]
    every = {"true": slice(None, None, 4 if quick else 1), "shuffled": slice(None, None, 4 if quick else 2)}
    return [
        Cell(
            table, hidden, inputs, labels, seed, L2[every[labels]], L1[every[labels]], ITERATIONS[every[labels]],
            30 if quick else MOST[hidden],
            lengths=not hidden and (inputs, labels) == kinds[0],
        )
        for table in (TABLES[2:] if quick else TABLES)
        for hidden in MOST
        for inputs, labels in (kinds[:2] if hidden else kinds)
        for seed in seeds
    ]  # fmt: skip


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    return {
        "balanced_reliance": _balance_figures.ratios(table),
        "balanced_reliance_losses": _balance_figures.losses(table),
        "balanced_reliance_lengths": _balance_figures.lengths(table),
    }


def captions(table: pd.DataFrame) -> dict[str, str]:
    said = numbers(table)
    return {
        "balanced_reliance": "Participation ratio of what inputs contribute to the outputs of softmax regression, at "
        "equal training loss: inputs as they are (above) and whitened (below). Dotted: independent normal weights, "
        f"{said['normal_pr']}. Means and 95 % intervals over {said['splits']} splits.",
        "balanced_reliance_losses": "Above, and below left: linear models of known truths, their inputs' correlation "
        f"dialled, {said['draws']} draws. Balance; what L2 costs a new example over L1; what it costs to hold the "
        f"strongest input at its mean. L1 and L2 have the same training error, {said['dial_share']} of the way from "
        "that of least squares (here no penalty is least squares) to that of no inputs. Below, middle and right: the "
        f"same for the strongest input of every neuron on the largest table, {said['splits']} splits. Means and 95 % "
        "intervals.",
        "balanced_reliance_lengths": "Softmax regression. Above: participation ratio against strength, of weights "
        "times the inputs' spread and of weights alone, in the inputs' own units; means and 95 % intervals over "
        f"{said['splits']} splits. Below: what a Laplace prior saves over a Gaussian one in the shortest two-part "
        "message, and on a fine grid (crosses), against the participation ratio of all weights, every model. The line "
        f"is derived and meets zero at {said['equal']}.",
    }


def numbers(table: pd.DataFrame) -> dict[str, str]:
    levels = _balance_found.at_levels(table)
    low, high = _balance_said.link_span(levels)
    return {
        "hidden": str(HIDDEN), "tables": str(len(TABLES)),
        "l2_strengths": str(len(L2)), "l2_least": f"{min(L2):g}", "l2_most": f"{max(L2):g}",
        "l1_strengths": str(len(L1)), "l1_least": f"{min(L1):g}", "l1_most": f"{max(L1):g}",
        "iterations": f"{min(ITERATIONS)} to {max(ITERATIONS)}", "most": str(MOST[HIDDEN]),
        "dial_inputs": str(_dialled.INPUTS), "dial_examples": str(_dialled.EXAMPLES),
        "dial_correlations": _text.listed([f"{correlation:g}" for correlation in CORRELATIONS]),
        "links": _text.between(*map(_text.fixed(2), (low, high))),
        **_balance_said.model_numbers(table, levels), **_balance_said.dial_numbers(table),
        **_balance_said.length_numbers(table), **_balance_said.fact_numbers(table),
    }  # fmt: skip


def held(table: pd.DataFrame) -> dict[str, str]:
    """Each part of the claim, and in how many groups it held: all, most and none the opposite, or neither."""
    levels = _balance_found.at_levels(table)

    def of(quantity: str, rival: str, sign: int) -> str:
        found = _balance_found.signs(_balance_found.differences(levels, quantity, rival))
        return _how(*((found.above, found.below) if sign > 0 else (found.below, found.above)), found.groups)

    ranks = _balance_found.below(levels, "link_pr", RANK)
    return {
        f"a large weight goes with little balance (a rank correlation below {_text.fixed(1)(RANK)})": _how(
            ranks.below, ranks.above, ranks.groups
        ),
        "L2 is more balanced than L1": of("pr", "L1", 1),
        _OVER_NONE: of("pr", "none", 1),
        "the strongest input is worth less than under L1": of("lost_bits", "L1", -1),
        "the strongest input is worth less than without a penalty": of("lost_bits", "none", -1),
    }


def _how(for_it: int, against: int, groups: int) -> str:
    lead = "yes" if for_it == groups else "mostly" if not against and 2 * for_it > groups else "no"
    return f"{lead} ({for_it} of {groups} groups, the opposite in {against})"


def verdict(table: pd.DataFrame) -> str:
    parts, said = held(table), numbers(table)
    answers = {answer.split()[0] for answer in parts.values()}
    lead = "Yes." if answers == {"yes"} else "No." if answers == {"no"} else "Only in part."
    listed = "; ".join(f"{part}: {answer}" for part, answer in parts.items())
    compared = "" if parts[_OVER_NONE].startswith("yes") else " What looks like L2's balance is L1's lack of it."
    return (
        f"{lead} At equal training loss, {listed}.{compared} With uncorrelated inputs of one spread ridge multiplies "
        f"all weights by one factor and leaves the participation ratio as it is (to {said['orthonormal_change']}). It "
        f"does give copies of an input equal weights (to {said['copies_apart']}): what says the same is balanced. "
        f"Balance is no protection: on inputs correlated at {said['correlation_close']} least squares has a ratio of "
        f"{said['close_pr_none']} and loses {said['close_lost_none']} bits an example without its strongest input, "
        f"ridge has {said['close_pr_l2']} and loses {said['close_lost_l2']}. In code length a Gaussian prior of one "
        f"scale charges the norm and does not see balance. With fitted scales balance is all that decides between the "
        f"two priors: on a fine grid a Laplace prior is the shorter one where the ratio of all weights is below "
        f"{said['equal']}. Copies that share every weight have a longer message than one that has it, under a Gaussian "
        f"prior too, by {said['copies_gaussian_bits']} bits; the evidence is the same."
    )


if __name__ == "__main__":
    _command.main(__file__)
