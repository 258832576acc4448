"""The shortest explanation under a code: a search over the weights of a logistic regression of two classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from analyses import _razors
from analyses._problems import Drawn, Problem
from mdl.length import LN2
from mdl.masses import Array

SIZES = (25, 50, 100, 200, 400)
SWEEPS = 8
SALTS = 4  # of the hashed code on each split
_BLOCK = 64  # examples at a time, so that they stay in the cache
SHOWN = 100  # examples of the searches whose every sweep is kept
CODES = ("Gaussian", "hashed", "uniform", "reversed")


@dataclass(frozen=True)
class Search:
    """One split of one table of two classes (the digits: odd or even) and so many examples."""

    table: str
    labels: str
    n: int
    seed: int
    sweeps: int = SWEEPS


def rows(task: Search) -> list[dict[str, Any]]:
    """Every code's search, from zero weights, all at the same effort; means over salts.

    Of true labels and some number of examples every sweep is kept, of others the last.
    """
    drawn = Problem("", "logistic", task.table, task.n).split(task.seed)
    y, y_test = drawn.y % 2, drawn.y_test % 2
    if task.labels == "shuffled":
        rng = np.random.default_rng(task.seed)
        y, y_test = rng.permutation(y), rng.permutation(y_test)
    about = {"part": "search", "table": task.table, "labels": task.labels, "n": task.n, "seed": task.seed}
    kept = slice(None) if task.labels == "true" and task.n == SHOWN else slice(-1, None)
    found = []
    for code in CODES:
        tables = _tables(code, task.seed)
        paths = [search(bits, Drawn(drawn.X, y, drawn.X_test, y_test), task.sweeps) for bits in tables]
        mean = [
            {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} for rows in zip(*paths, strict=True)
        ]
        found += [{**about, "code": code, **{k: round(v, 4) for k, v in row.items()}} for row in mean[kept]]
    return found


def _tables(code: str, seed: int) -> list[Array]:
    if code == "hashed":
        return [_razors.hashed(salt) for salt in _razors.salts(seed)[:SALTS]]
    gaussian = _razors.gaussian()
    return [{"Gaussian": gaussian, "uniform": _razors.uniform(), "reversed": _razors.reversed_order(gaussian)}[code]]


def search(bits: Array, drawn: Drawn, sweeps: int) -> list[dict[str, float]]:
    """Coordinate descent on bits of the weights and of the data: each weight in turn to its best symbol of all.

    The intercept is the weight of a constant. Rows are the lengths and the held-out bits an example after each sweep,
    the start first.
    """
    signed = _signed(drawn.X, drawn.y)
    held_out = _signed(drawn.X_test, drawn.y_test)
    values = _razors.GRID.dequantize(_razors.SYMBOLS)
    at = np.full(signed.shape[1], _razors.REACH)  # the place of each weight in the table, that of zero first
    path = []
    for sweep in range(sweeps + 1):
        margins = signed @ values[at]
        path.append(
            {
                "sweep": sweep,
                "weights_bits": round(float(bits[at].sum()), 2),
                "data_bits": round(_bits(margins), 3),
                "test_bits": round(_bits(held_out @ values[at]) / len(held_out), 4),
            }
        )
        for j in range(at.size):
            margins -= signed[:, j] * values[at[j]]
            at[j] = int((_every_bits(margins, signed[:, j], values) + bits).argmin())
            margins += signed[:, j] * values[at[j]]
    return path


def _signed(X: Array, y: Any) -> Array:
    """Inputs and a constant, times the label as a sign: a row times the weights is the logit of what came."""
    return np.hstack([X, np.ones((len(X), 1))]) * (2.0 * np.asarray(y) - 1.0)[:, None]


def _every_bits(margins: Array, inputs: Array, values: Array) -> Array:
    """Bits of the data when one weight, which adds ``inputs`` times it to the margins, is each of the values.

    Factors 1 + exp(-|z|) are at most two, so that a product of a block of them is no more than the largest double.
    """
    nats = np.zeros(values.size)
    for rows in np.array_split(np.arange(margins.size), -(-margins.size // _BLOCK)):
        logits = margins[rows, None] + inputs[rows, None] * values
        nats += np.log((1.0 + np.exp(-np.abs(logits))).prod(axis=0)) + np.maximum(-logits, 0.0).sum(axis=0)
    return nats / LN2


def _bits(margins: Array) -> float:
    return -float(special.log_expit(margins).sum()) / LN2
