"""What the table of balanced reliance says: paths at equal training loss, differences between penalties, links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analyses._balance import at
from analyses._balance_facts import LEVEL, saved_by_laplace
from mdl import plot

#: Training loss over that of the constant forecast, at which paths are compared.
LEVELS = (0.4, 0.2, LEVEL, 0.05)
TITLES = {"digits": "digits", "breast_cancer": "breast cancer", "wine": "wine"}
DIAL_SHOWN = 0.1  # share of the way from least squares' error to that of no inputs
RIVALS = ("none", "L1")
UNITS = ("softmax", "network, hidden units", "network, outputs")
PATH = ["table", "units", "inputs", "labels", "seed", "penalty"]
GROUP = ["table", "units", "inputs"]
QUANTITIES = (
    "pr", "squares_pr", "weights_pr", "own_units_pr", "reliance", "link_pr", "link_reliance", "lost_bits",
    "random_lost_bits", "alike_gap", "apart_gap", "test_bits",
)  # fmt: skip


def models(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of models, with the kind of unit."""
    found = table[table["part"] == "models"].copy()
    layers = found["layer"].map({0.0: UNITS[1], 1.0: UNITS[2]})
    found["units"] = layers.where(found["model"] == "network", UNITS[0])
    return found


def at_levels(table: pd.DataFrame) -> pd.DataFrame:
    """Every path at each level, between its settings by straight lines in the logarithm of the loss; NaN outside."""
    rows = []
    for key, path in models(table).groupby(PATH, sort=False):
        values = {name: at(path["loss_share"], path[name], LEVELS) for name in QUANTITIES}
        rows.append(pd.DataFrame({**dict(zip(PATH, key, strict=True)), "level": LEVELS, **values}))
    return pd.concat(rows, ignore_index=True)


def differences(levels: pd.DataFrame, quantity: str, rival: str) -> pd.DataFrame:
    """L2 less the rival, mean over the levels that both reach: a row a split of every group of true labels."""
    true = levels[levels["labels"] == "true"]
    wide = true.pivot(index=[*GROUP, "seed", "level"], columns="penalty", values=quantity)
    own = (wide["L2"] - wide[rival]).dropna().groupby([*GROUP, "seed"], sort=False).mean()
    return own.rename("difference").reset_index()


def below(levels: pd.DataFrame, quantity: str, bound: float) -> Signs:
    """In how many groups and penalties a mean rank correlation is above zero, below the bound, and measured."""
    means = links(levels, quantity).groupby([*GROUP, "penalty"])[quantity].mean()
    return Signs(int((means > 0.0).sum()), int((means < bound).sum()), len(means))


@dataclass(frozen=True)
class Signs:
    """In how many groups a mean difference is surely above zero, surely below, and in how many it was measured."""

    above: int
    below: int
    groups: int


def signs(found: pd.DataFrame) -> Signs:
    """By the 95 % interval over splits."""
    spans = [plot.mean_interval(own) for _, own in found.groupby(GROUP)["difference"]]
    return Signs(sum(low > 0.0 for _, low, _ in spans), sum(high < 0.0 for *_, high in spans), len(spans))


def disagreeing(levels: pd.DataFrame) -> int:
    """Groups and rivals for which the other participation ratio gives a mean difference of the other sign."""
    count = 0
    for rival in RIVALS:
        one, other = (
            differences(levels, name, rival).groupby(GROUP)["difference"].mean() for name in ("pr", "squares_pr")
        )
        count += int((np.sign(one) != np.sign(other)).sum())
    return count


def links(levels: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Rank correlations over neurons, mean over levels: a row a split of every group and penalty that has them."""
    true = levels[(levels["labels"] == "true") & levels[quantity].notna()]
    found = true.groupby([*GROUP, "penalty", "seed"], sort=False)[quantity].mean().reset_index()
    splits = found.groupby([*GROUP, "penalty"])["seed"].transform("nunique")
    return found[splits == true["seed"].nunique()]


def ends(table: pd.DataFrame, inputs: str, quantity: str = "pr") -> pd.DataFrame:
    """Of softmax regression under L2 at the weakest and the strongest strength, a row a split."""
    found = models(table)
    own = found[
        (found["units"] == UNITS[0]) & (found["inputs"] == inputs) & (found["labels"] == "true")
        & (found["penalty"] == "L2")
    ].sort_values("setting")  # fmt: skip
    paths = own.groupby(["table", "seed"], sort=False)[quantity]
    return pd.DataFrame({"weakest": paths.first(), "strongest": paths.last()}).reset_index()


def dial(table: pd.DataFrame, truth: str, share: float = DIAL_SHOWN) -> pd.DataFrame:
    """Draws of one truth: under penalties at one share, and least squares."""
    found = table[(table["part"] == "dial") & (table["truth"] == truth)]
    return found[(found["share"] == share) | (found["penalty"] == "none")]


def paired(found: pd.DataFrame, quantity: str, correlation: float) -> pd.Series:
    """L2 less L1 on the same draws."""
    wide = found[found["correlation"] == correlation].pivot(index="seed", columns="penalty", values=quantity)
    return wide["L2"] - wide["L1"]


def facts(table: pd.DataFrame) -> dict[str, float]:
    """Every fact: the greatest deviation over seeds, or the mean of what is a ratio or a length."""
    found = table[table["part"] == "facts"].groupby("fact")["value"]
    mean = found.mean()
    return {
        name: float(mean[name] if name.endswith(("_pr", "_bits")) else value) for name, value in found.max().items()
    }


def with_lengths(table: pd.DataFrame) -> pd.DataFrame:
    """Models whose messages were searched: what a Laplace prior saves, bits a weight.

    ``saved`` in the shortest messages, ``fine_saved`` on a fine grid, ``law`` by the participation ratio.
    """
    found = models(table)
    found = found[found["gaussian_bits"].notna()]
    saved = (found["gaussian_bits"] - found["laplace_bits"]) / found["weights"]
    fine = (found["gaussian_fine_bits"] - found["laplace_fine_bits"]) / found["weights"]
    return found.assign(saved=saved, fine_saved=fine, law=saved_by_laplace(found["whole_pr"]))


def length_links(table: pd.DataFrame) -> pd.DataFrame:
    """Over a split's models, rank correlation of what a Laplace prior saves with what the ratio says; same signs."""
    rows = []
    found = with_lengths(table)
    for (name, seed), own in found[found["whole_pr"].notna()].groupby(["table", "seed"], sort=False):
        row = {"table": name, "seed": seed, "off": float((own["fine_saved"] - own["law"]).abs().mean())}
        for column in ("saved", "fine_saved"):
            row[f"{column}_rank"] = float(stats.spearmanr(own["law"], own[column]).statistic)
            row[f"{column}_same"] = float((np.sign(own["law"]) == np.sign(own[column])).mean())
        rows.append(row)
    return pd.DataFrame(rows)


def shuffled_lost(table: pd.DataFrame) -> pd.Series:
    """What the strongest inputs of models of shuffled labels are worth on held-out examples, mean of a split."""
    found = models(table)
    found = found[found["labels"] == "shuffled"]
    return found.groupby(["table", "seed"])["lost_bits"].mean()
