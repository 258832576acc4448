"""Training sets of growing size that contain one another, beside one test set: for questions about sample size.

A split deals the examples out class by class, so that every prefix has its share of each class. The last 30 % are held
out for all sizes; inputs are standardised by the examples that are learnt from alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyses._problems import Drawn
from mdl import datasets
from mdl.masses import Array

TEST_SHARE = 0.3
TRUTHS = ("linear truth", "linear truth without noise", "logistic truth")
TRUE_WEIGHTS = 10  # of a synthetic table, standard normal as its inputs are
TRUE_NOISE = 2.0  # standard deviation, of the linear truth
_TRUE_ROWS = 4400


@dataclass(frozen=True)
class Table:
    """A table, and the column that is predicted from the others where it is not the target.

    With ``shuffled`` the targets come in random order, on both sides of a split.
    """

    name: str
    column: int | None = None
    shuffled: bool = False

    @property
    def most(self) -> int:
        """Most examples that can be learnt from."""
        rows = len(_arrays(self.name, self.column)[1])
        return rows - round(TEST_SHARE * rows)

    def split(self, n: int, seed: int) -> Drawn:
        """``n`` examples to learn from, and those held out: the same ones for every n."""
        X, y, order = self._ordered(seed)
        return _standardised(X, y, order[:n], order[self.most :])

    def spare(self, n: int, seed: int) -> Drawn:
        """The examples of a split that are neither learnt from nor held out, in place of the latter."""
        X, y, order = self._ordered(seed)
        return _standardised(X, y, order[:n], order[n : self.most])

    def _ordered(self, seed: int) -> tuple[Array, NDArray[Any], NDArray[np.int64]]:
        X, y = _arrays(self.name, self.column)
        rng = np.random.default_rng(seed)
        y = rng.permutation(y) if self.shuffled else y
        return X, y, _dealt(y if y.dtype.kind in "iu" else np.zeros(len(y), np.int64), rng)


@dataclass(frozen=True)
class Cell:
    """A family of models, a table, a number of examples to learn from, and a split."""

    family: str
    table: Table
    n: int
    seed: int


def _dealt(y: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of examples in which every prefix has about its share of every class."""
    place = np.empty(len(y))
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        place[rows] = (np.arange(rows.size) + rng.uniform()) / rows.size
    return np.argsort(place, kind="stable")


def _standardised(X: Array, y: NDArray[Any], rows: NDArray[np.int64], others: NDArray[np.int64]) -> Drawn:
    """Inputs by the mean and spread of the first rows, those that do not vary there left out; a quantity likewise."""
    mean, scale = X[rows].mean(axis=0), X[rows].std(axis=0)
    varies = scale > 1e-12 * np.abs(X[rows]).max(axis=0, initial=0.0)
    X = (X[:, varies] - mean[varies]) / scale[varies]
    if y.dtype.kind not in "iu":
        y = (y - y[rows].mean()) / y[rows].std()
    return Drawn(X[rows], y[rows], X[others], y[others])


@functools.lru_cache(maxsize=8)
def _arrays(name: str, column: int | None) -> tuple[Array, NDArray[Any]]:
    """Inputs and targets; with a column, that column is the target."""
    if name in TRUTHS:
        return _truth(name)
    loaded = datasets.load(name)
    if column is None:
        return loaded.X, loaded.y
    return np.delete(loaded.X, column, axis=1), loaded.X[:, column]


def _truth(name: str) -> tuple[Array, NDArray[Any]]:
    """Targets that follow from normal inputs by weights that are known."""
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((_TRUE_ROWS, TRUE_WEIGHTS)), rng.standard_normal(TRUE_WEIGHTS)
    noise = rng.standard_normal(_TRUE_ROWS)
    if name == "logistic truth":
        return X, (rng.logistic(size=_TRUE_ROWS) < X @ w).astype(np.int64)
    return X, X @ w + (0.0 if name.endswith("without noise") else TRUE_NOISE) * noise
