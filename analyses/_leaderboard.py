"""Figures of a leaderboard: means with intervals over problems, comparisons with a peer, ranks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_RESAMPLES = 2000
_NEAR = 0.01  # of the best strength's bits: as good as the best


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each family, selector and way.

    ``mean`` excess in bits an example with its 95 % interval ``low`` to ``high``, a bootstrap over problems (splits of
    one table are not independent); the ``worst`` split; the mean excess ``error``; the share of splits ``near`` the
    best strength, within 1 % of its bits; ``trainings`` and ``seconds`` a split.
    """
    rows = []
    for (family, selector, way), part in table.groupby(["family", "selector", "way"], sort=False):
        low, high = _interval(part)
        rows.append({
            "family": family, "selector": selector, "way": way, "problems": part["problem"].nunique(),
            "mean": part["excess_bits"].mean(), "low": low, "high": high, "worst": part["excess_bits"].max(),
            "error": part["excess_error"].mean(),
            "near": (part["excess_bits"] <= _NEAR * part["best_bits"].abs()).mean(),
            "trainings": part["trainings"].mean(), "seconds": part["seconds"].mean(),
        })  # fmt: skip
    return pd.DataFrame(rows)


class Beside(NamedTuple):
    """One selector beside another on the same splits: ratios of mean and worst excess and of seconds."""

    mean: float
    low: float
    high: float
    worst: float
    seconds: float


def beside(own: pd.DataFrame, peer: pd.DataFrame) -> Beside:
    """Ratios, with a 95 % interval of the means' one by a bootstrap over problems that takes both along.

    NaN where the peer has no excess to divide by.
    """
    sums = pd.DataFrame({"own": _sums(own), "peer": _sums(peer)}).to_numpy()
    drawn = sums[_resamples(len(sums))].sum(axis=1)
    low, high = np.quantile(_ratio(*drawn.T), [0.025, 0.975])
    mean, worst = (float(_ratio(own["excess_bits"].agg(how), peer["excess_bits"].agg(how))) for how in ("mean", "max"))
    return Beside(mean, float(low), float(high), worst, own["seconds"].sum() / peer["seconds"].sum())


def _ratio(own: ArrayLike, peer: ArrayLike) -> NDArray[np.float64]:
    some = np.asarray(peer, np.float64) > 0.0
    return np.where(some, np.asarray(own, np.float64) / np.where(some, peer, 1.0), np.nan)


def ranks(table: pd.DataFrame) -> tuple[pd.Series, float]:
    """Mean rank of each selector and way over the problems of all families, and Nemenyi's critical difference at 5 %.

    Only of those that every problem has.

    References
    ----------
    J. Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006).
    """
    names = table["selector"] + ", " + table["way"]
    means = table.assign(name=names).pivot_table("excess_bits", ["family", "problem"], "name").dropna(axis=1)
    problems, count = means.shape
    q = stats.studentized_range.ppf(0.95, count, np.inf) / math.sqrt(2.0)
    return means.rank(axis=1).mean(), float(q * math.sqrt(count * (count + 1) / (6.0 * problems)))


def _sums(part: pd.DataFrame) -> pd.Series:
    return part.groupby(["family", "problem"], sort=True)["excess_bits"].sum()


def _interval(part: pd.DataFrame) -> tuple[float, float]:
    means = part.groupby("problem")["excess_bits"].mean().to_numpy()
    low, high = np.quantile(means[_resamples(len(means))].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _resamples(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
