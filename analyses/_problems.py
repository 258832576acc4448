"""The problems of the leaderboard: real tables, the halves that codes were tuned and reported on, and their splits.

Whatever was tuned (a learning rate, a number of orders) was tuned on ``TUNING``. No figure of a table in ``REPORTING``
was looked at before everything was fixed. Tables that share rows lie in the same half (optdigits and digits).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl import datasets
from mdl.masses import Array

MOST_TEST_ROWS = 2000

#: Tables with classes; those of KEEL are in the package that ``make data`` installs.
_CLASSES = {
    "tuning": (
        "digits", "keel:optdigits", "breast_cancer", "iris", "keel:satimage", "keel:magic", "keel:pima",
        "keel:movement_libras", "keel:led7digit", "keel:spambase", "keel:vehicle", "keel:ionosphere", "keel:german",
        "keel:vowel",
    ),
    "reporting": (
        "wine", "keel:texture", "keel:phoneme", "keel:sonar", "keel:twonorm", "keel:wisconsin", "keel:contraceptive",
        "keel:segment", "keel:penbased", "keel:heart", "keel:saheart", "keel:australian", "keel:ring", "keel:bupa",
    ),
}  # fmt: skip

#: Tables with a quantity: a column that is predicted from all others but the class; None where the table has a target.
#: Columns have a kurtosis below 10: under a Gaussian, one outlier would outweigh all other problems.
_QUANTITIES: dict[str, dict[str, int | None]] = {
    "tuning": {
        "diabetes": None, "breast_cancer": 3, "wine": 0, "keel:satimage": 17, "keel:magic": 0, "keel:pima": 1,
        "keel:vehicle": 11, "keel:ionosphere": 13, "keel:vowel": 4, "keel:movement_libras": 45, "digits": 28,
    },
    "reporting": {
        "keel:texture": 24, "keel:phoneme": 2, "keel:sonar": 30, "keel:twonorm": 5, "keel:wisconsin": 1,
        "keel:contraceptive": 0, "keel:penbased": 8, "keel:heart": 7, "keel:saheart": 0, "keel:bupa": 0, "keel:ring": 3,
    },
}  # fmt: skip

#: Numbers of examples learnt from, per family of models.
_SIZES = {"ridge": (30, 100, 400), "logistic": (50, 200, 1000), "mlp": (60, 200)}
_SHARE = 0.7  # at most, of a table's rows


@dataclass(frozen=True)
class Problem:
    """A table, a family of models, and a number of examples to learn from.

    ``column`` is the quantity that ridge predicts from the others.
    """

    half: str
    family: str
    table: str
    n: int
    column: int | None = None

    @property
    def name(self) -> str:
        """As tables show it."""
        return f"{self.table.removeprefix('keel:')}-{self.n}"

    def split(self, seed: int) -> Drawn:
        """``n`` random examples to learn from and up to 2,000 others, inputs standardised by the former.

        Features that are constant among the former are dropped. So are test examples of classes not among them: no
        method could have heard of these.
        """
        X, y = _arrays(self.table, self.column if self.family == "ridge" else None)
        order = np.random.default_rng(seed).permutation(len(y))
        rows, test = order[: self.n], order[self.n : self.n + MOST_TEST_ROWS]
        mean, scale = X[rows].mean(axis=0), X[rows].std(axis=0)
        varies = scale > 1e-12 * np.abs(X[rows]).max(axis=0, initial=0.0)
        X = (X[:, varies] - mean[varies]) / scale[varies]
        if self.family == "ridge":
            spread = y[rows].std()
            return Drawn(X[rows], (y[rows] - y[rows].mean()) / spread, X[test], (y[test] - y[rows].mean()) / spread)
        classes, seen = np.unique(y[rows], return_inverse=True)
        test = test[np.isin(y[test], classes)]
        return Drawn(X[rows], seen, X[test], np.searchsorted(classes, y[test]))


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is learnt from, and what is held out."""

    X: Array
    y: NDArray[Any]
    X_test: Array
    y_test: NDArray[Any]


def problems(half: str, family: str) -> list[Problem]:
    """All of one half and family, tables and sizes in order."""
    if family == "ridge":
        tables: dict[str, int | None] = _QUANTITIES[half]
    else:
        tables = dict.fromkeys(_CLASSES[half])
    return [
        Problem(half, family, table, n, column)
        for table, column in tables.items()
        for n in _SIZES[family]
        if n <= _SHARE * len(_arrays(table, column)[1])
    ]


@functools.lru_cache(maxsize=4)
def _arrays(table: str, column: int | None) -> tuple[Array, NDArray[Any]]:
    """Inputs and targets; with a column, that column is the target."""
    loaded = datasets.load(table)
    if column is None:
        return loaded.X, loaded.y
    return np.delete(loaded.X, column, axis=1), loaded.X[:, column]
