"""How well a measure orders networks: Kendall's tau, and sign errors over environments, with intervals over stars.

The sign error of a pair is 0 if the measure orders it as the target does, 1 if the other way round, and ½ if it sees no
difference. An environment is a table together with the hyper-parameter that its pairs differ in.

References
----------
G. K. Dziugaite et al., In search of robust measures of generalization, NeurIPS (2020).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mdl.masses import Array

SURE = 1.96  # standard errors that a pair's targets must differ by
FEWEST = 5  # pairs that an environment must have
RESAMPLES = 500


class Span(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pairs:
    """Sign errors (pairs, measures), and the environment and the star of each pair as places in lists."""

    errors: Array
    environments: Array
    stars: Array
    tables: Array
    names: list[tuple[str, str]]


def star_of(rows: pd.DataFrame) -> Array:
    """A number for each star."""
    return rows.groupby(["table", "seed"], sort=False).ngroup().to_numpy()


def pairs_of(
    networks: pd.DataFrame,
    pairs: pd.DataFrame,
    measures: pd.DataFrame,
    target: pd.Series,
    error: str,
    sure: float = SURE,
) -> Pairs:
    """The pairs whose targets differ by more than chance, in environments that have enough of them.

    Parameters
    ----------
    networks, pairs
        The two kinds of rows of ``_stars.rows``.
    measures
        A column for each measure, a row for each network; larger should mean a larger target.
    target
        A number for each network.
    error
        The column of ``pairs`` that has the standard error of the difference.
    sure
        How many of those it must exceed; 0 keeps all pairs.
    """
    place = pd.Series(np.arange(len(networks)), pd.MultiIndex.from_frame(networks[["table", "seed", "network"]]))
    ends = [place[pd.MultiIndex.from_frame(pairs[["table", "seed", end]])].to_numpy() for end in ("network", "other")]
    values, wanted = measures.to_numpy(), target.to_numpy()
    difference = wanted[ends[0]] - wanted[ends[1]]
    kept = np.abs(difference) > sure * pairs[error].to_numpy()
    errors = 0.5 * (1.0 - np.sign(values[ends[0]] - values[ends[1]]) * np.sign(difference)[:, None])
    where = pairs[["table", "varied"]].assign(kept=kept)
    kept &= (where.groupby(["table", "varied"])["kept"].transform("sum") >= FEWEST).to_numpy()
    chosen = pairs[kept]
    groups = chosen.groupby(["table", "varied"], sort=False)
    names = [tuple(name) for name in groups.size().index]
    stars = star_of(pd.concat([networks, chosen]))[len(networks) :]
    tables = networks.groupby("table", sort=False).ngroup().to_numpy()
    first = np.unique(star_of(networks), return_index=True)[1]
    return Pairs(errors[kept], groups.ngroup().to_numpy(), stars, tables[first], names)


def sign_errors(found: Pairs) -> Array:
    """Mean of each environment, (environments, measures)."""
    return _by_environment(found, np.ones((1, found.tables.size)))[0]


def _by_environment(found: Pairs, counts: Array) -> Array:
    """The same, (resamples, environments, measures), with stars counted as often as ``counts`` (resamples, stars)."""
    weights = counts[:, found.stars]
    means = np.empty((len(counts), len(found.names), found.errors.shape[1]))
    for place in range(len(found.names)):
        own = found.environments == place
        total = weights[:, own].sum(axis=1, keepdims=True)
        means[:, place] = np.divide(weights[:, own] @ found.errors[own], total, where=total > 0.0, out=means[:, place])
        means[total[:, 0] == 0.0, place] = np.nan  # not drawn
    return means


def draw(tables: Array, resamples: int = RESAMPLES) -> Array:
    """How often each star is drawn, (resamples, stars): as many as there are, with replacement, within each table."""
    rng, counts = np.random.default_rng(0), np.zeros((resamples, tables.size))
    for table in np.unique(tables):
        own = np.flatnonzero(tables == table)
        counts[:, own] = rng.multinomial(own.size, np.full(own.size, 1.0 / own.size), size=resamples)
    return counts


class Summary(NamedTuple):
    """Resampled means over environments and worst ones, (resamples, measures), the first of all stars as they are."""

    mean: Array
    worst: Array


def summary(found: Pairs) -> Summary:
    """Over environments, each of equal weight."""
    each = _by_environment(found, np.vstack([np.ones(found.tables.size), draw(found.tables)]))
    if not found.names:
        return Summary(*np.full((2, len(each), each.shape[2]), np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a small table it may be that nothing was drawn
        return Summary(np.nanmean(each, axis=1), np.nanmax(each, axis=1))


def span(resampled: Array) -> Span:
    """The first is the value, the others tell how sure it is."""
    known = resampled[1:][np.isfinite(resampled[1:])]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (np.nan, np.nan)
    return Span(float(resampled[0]), float(low), float(high))


def taus(networks: pd.DataFrame, measures: pd.DataFrame, target: pd.Series) -> Array:
    """Kendall's tau-b, mean over tables, (resamples, measures), the first of all stars as they are."""
    found = []
    for _, own in networks.groupby("table", sort=False):
        stars = star_of(own)
        counts = np.vstack([np.ones(stars.max() + 1), draw(np.zeros(stars.max() + 1))])
        goal = _signs(target[own.index].to_numpy())
        each = [_tau(_signs(measures.loc[own.index, name].to_numpy()), goal, stars, counts) for name in measures]
        found.append(np.stack(each, axis=1))
    return np.mean(found, axis=0)


def _signs(values: Array) -> Array:
    return np.sign(values[:, None] - values)


def _tau(signs: Array, goal: Array, stars: Array, counts: Array) -> Array:
    """Of all pairs; a star that is drawn twice is not compared with its copy."""
    member = (stars[:, None] == np.arange(counts.shape[1])).astype(float)

    def total(matrix: Array) -> Array:
        among = member.T @ matrix @ member
        own = np.diag(among)
        across = np.einsum("rs,st,rt->r", counts, among - np.diag(own), counts)
        return across + counts @ own

    untied = np.sqrt(total(signs**2) * total(goal**2))
    return np.divide(total(signs * goal), untied, out=np.full_like(untied, np.nan), where=untied > 0.0)
