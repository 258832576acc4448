"""Examples forecast by candidates trained on the others: differential code lengths, and cross-validation's score.

The length of some examples given the others, -ln p(y_part | y_rest), is a differential description length. A sum of it
over the parts of a partition is what cross-validation by log loss compares, in nats and over all examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdl.length import CodeLength
from mdl.lengths.prequential import prequential
from mdl.masses import Array
from mdl.select.candidates import Candidates

PARTS = 3  # of the default code: fewer trainings than that leave too few examples to learn from

Rows = NDArray[np.int64]


def rotated(candidates: Candidates, parts: int = PARTS) -> list[CodeLength]:
    """Each third of the examples given the other two thirds, in three orders that are rotations of one another.

    A third has its share of every class. Every example is coded once, by a candidate that learnt from two thirds of
    all; the prior stays as it is. It is no length of all targets: what the first two thirds cost is left out, where
    what a learner knows is mostly its prior.

    References
    ----------
    M. Abolfazli, A. Host-Madsen and J. Zhang, Differential description length for hyperparameter selection in machine
    learning, arXiv 1902.04699 (2019): there one order, here all examples take their turn.
    """
    nats = held_out(candidates, dealt(candidates, min(parts, candidates.n)))
    return [CodeLength((("data", float(length)),)) for length in nats]


def dealt(candidates: Candidates, parts: int) -> list[Rows]:
    """A random partition, examples dealt out class by class, so that every part has its share of each."""
    shuffled = np.random.default_rng(candidates.seed).permutation(candidates.n)
    if candidates.classes:
        shuffled = shuffled[np.argsort(candidates.targets[shuffled], kind="stable")]
    return [shuffled[part::parts] for part in range(parts)]


def held_out(candidates: Candidates, parts: Sequence[Rows]) -> Array:
    """Nats of all parts, each forecast by every candidate trained on the examples outside it, (k,).

    Classes not seen yet are forecast as a prequential code does. The noise of a regression is one for all parts, that
    under which its errors are shortest.
    """
    return _of_classes(candidates, parts) if candidates.classes else _of_numbers(candidates, parts)


def _of_classes(candidates: Candidates, parts: Sequence[Rows]) -> Array:
    total = np.zeros(len(candidates.strengths))
    for part in parts:
        order, first = _part_last(part, candidates.n)
        X, y = candidates.X[order], candidates.targets[order]
        near: dict[int, Any] = {}
        for k in candidates.path:
            learner = candidates.learner(k, near)
            length = prequential(learner, X, y, blocks=(first, candidates.n), classes=range(candidates.classes))
            total[k] += length.after(first).nats
    return total


def _of_numbers(candidates: Candidates, parts: Sequence[Rows]) -> Array:
    squares = np.zeros(len(candidates.strengths))
    for part in parts:
        order, first = _part_last(part, candidates.n)
        X, y = candidates.X[order], candidates.targets[order]
        near: dict[int, Any] = {}
        for k in candidates.path:
            model = candidates.learner(k, near)(X[:first], y[:first], None)
            squares[k] += float(np.sum((y[first:] - model.predict(X[first:])) ** 2))
    coded = sum(part.size for part in parts)
    variance = squares / coded + candidates.precision**2 / 12.0
    return 0.5 * coded * (np.log(2.0 * math.pi * variance / candidates.precision**2) + 1.0)


def _part_last(part: Rows, n: int) -> tuple[Rows, int]:
    """All rows, those outside the part first, and how many these are."""
    others = np.setdiff1d(np.arange(n), part)
    return np.concatenate([others, part]), others.size
