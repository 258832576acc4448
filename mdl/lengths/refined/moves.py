"""Which symbols to move: greedy walks down a quadratic model of the total, alone or in pairs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.curvature import Objective
from mdl.masses import Array

Positions = NDArray[np.int64]

#: Position and change of a symbol.
Move = tuple[int, int]

NEGLIGIBLE = 1e-6  # nats that are no gain

_PAIRS = 256  # best moves among which pairs are sought where no single move helps
_DENSE = 1500  # most weights for which every second derivative is held
_FLOPS = 1e10  # spent on them, at most


def key(row: ArrayLike, symbols: ArrayLike) -> Positions:
    """One number for a tensor and a symbol, ascending in both."""
    return (np.asarray(row, np.int64) << 33) + np.asarray(symbols, np.int64)


@dataclass(frozen=True, eq=False)
class Costs:
    """Nats of symbols, by ascending keys of tensor and symbol; infinite for one that is not listed."""

    rows: Positions
    keys: Positions
    nats: Array

    def of(self, z: Positions, where: Positions | slice = slice(None)) -> Array:
        """What symbols at these positions take, shape of z (..., positions); 0 where a weight cannot move."""
        rows = self.rows[where]
        wanted = key(rows, z)
        index = np.minimum(np.searchsorted(self.keys, wanted), self.keys.size - 1)
        return np.where(rows < 0, 0.0, np.where(self.keys[index] == wanted, self.nats[index], math.inf))


class Curvature(Protocol):
    """A positive semidefinite matrix (d, d)."""

    @property
    def diagonal(self) -> Array:
        """(d,)."""
        ...

    def column(self, i: int) -> Array:
        """One of them, (d,)."""
        ...

    def block(self, i: Positions) -> Array:
        """Rows and columns i, (k, k)."""
        ...


@dataclass(frozen=True, eq=False)
class _Dense:
    matrix: Array

    @property
    def diagonal(self) -> Array:
        return np.diagonal(self.matrix)

    def column(self, i: int) -> Array:
        return self.matrix[i]

    def block(self, i: Positions) -> Array:
        return self.matrix[np.ix_(i, i)]


@dataclass(frozen=True, eq=False)
class _Kronecker:
    """Blocks A ⊗ B along the diagonal, one a layer, from ``starts`` on."""

    factors: tuple[tuple[Array, Array], ...]
    starts: Positions

    @functools.cached_property
    def diagonal(self) -> Array:
        return np.concatenate([np.outer(np.diagonal(A), np.diagonal(B)).ravel() for A, B in self.factors])

    def column(self, i: int) -> Array:
        layer = int(np.searchsorted(self.starts, i, side="right")) - 1
        A, B = self.factors[layer]
        row, column = divmod(i - int(self.starts[layer]), len(B))
        whole = np.zeros(self.diagonal.size)
        whole[self.starts[layer] : self.starts[layer] + len(A) * len(B)] = np.outer(A[row], B[column]).ravel()
        return whole

    def block(self, i: Positions) -> Array:
        whole = np.zeros((i.size, i.size))
        layers = np.searchsorted(self.starts, i, side="right") - 1
        for layer, (A, B) in enumerate(self.factors):
            here = np.flatnonzero(layers == layer)
            rows, columns = np.divmod(i[here] - self.starts[layer], len(B))
            whole[np.ix_(here, here)] = A[np.ix_(rows, rows)] * B[np.ix_(columns, columns)]
        return whole


def curvature_at(objective: Objective, w: Array) -> Curvature:
    """Exact where that is quick, Kronecker-factored otherwise: walks are checked against the data anyway."""
    flops = len(objective.X) * objective.size**2 * (1 if objective.linear else objective.outputs)
    if objective.size <= _DENSE and flops <= _FLOPS:
        return _Dense(objective.ggn(w))
    factors = tuple(objective.kronecker(w).values())
    sizes = [len(A) * len(B) for A, B in factors]
    return _Kronecker(factors, np.cumsum([0, *sizes[:-1]]))


class Walk:
    """From symbols z, move after move, each the one that a quadratic model of the total says gains most.

    ``changes``, ``offsets`` (the part of a move's effect that does not depend on the slope) are (3, d): a symbol down,
    up, or to zero. The slope is the data's, a unit of z.
    """

    def __init__(
        self, z: Positions, slope: Array, steps: Array, costs: Costs, curvature: Curvature, refused: list[int]
    ) -> None:
        self._z, self._slope = z.copy(), slope.copy()
        self._steps, self._costs, self._curvature = steps, costs, curvature
        self._bend = 0.5 * curvature.diagonal * steps**2
        self._still = costs.rows < 0
        self._still[refused] = True
        self._changes, self._offsets = self._candidates(np.arange(z.size))

    def _candidates(self, where: Positions) -> tuple[Positions, Array]:
        z = self._z[where]
        changes = np.stack([np.full(z.size, -1), np.full(z.size, 1), -z])
        impossible = (changes == 0) | self._still[where]
        saved = self._costs.of(z, where)
        offsets = self._costs.of(z + changes, where) - saved + self._bend[where] * changes**2
        return changes, np.where(impossible, math.inf, offsets)

    def moves(self) -> Iterator[Move]:
        """One move after another, until neither a move nor a pair of moves gains."""
        while True:
            gains = self._gains()
            best = int(np.argmin(gains))
            picked = np.array([best])
            if gains[best] > -NEGLIGIBLE:
                pairs, together = self._pairs(gains, 1)
                if not (together < -NEGLIGIBLE).any():
                    return
                picked = pairs[0]
            moves = self._moves(picked)
            for i, change in moves:
                self._slope += self._curvature.column(i) * (change * self._steps[i]) * self._steps
                self._z[i] += change
                yield i, change
            where = np.array([i for i, _ in moves])
            self._changes[:, where], self._offsets[:, where] = self._candidates(where)

    def hopes(self, count: int) -> Iterator[list[Move]]:
        """The moves and then the pairs of moves that promise most, ``count`` of each, though it may be a loss."""
        gains = self._gains()
        best = _least(gains, count)
        pairs, together = self._pairs(gains, count)
        singles = best[np.isfinite(gains[best])].reshape(-1, 1)
        return (self._moves(picked) for picked in (*singles, *pairs[np.isfinite(together)]))

    def _gains(self) -> Array:
        return (self._offsets + self._slope * self._changes).ravel()

    def _moves(self, picked: Positions) -> list[Move]:
        changes = self._changes.ravel()[picked]
        return list(zip((picked % self._z.size).tolist(), changes.tolist(), strict=True))

    def _pairs(self, gains: Array, count: int) -> tuple[Positions, Array]:
        """The pairs (count, 2) of two symbols' moves with the least sums among the best moves, and these sums."""
        few = _least(gains, _PAIRS)
        few = few[np.isfinite(gains[few])]
        positions = few % self._z.size
        moved = self._changes.ravel()[few] * self._steps[positions]
        together = gains[few][:, None] + gains[few] + self._curvature.block(positions) * np.outer(moved, moved)
        together[positions[:, None] >= positions] = math.inf  # a pair once, and no symbol with itself
        best = _least(together.ravel(), count)
        return few[np.stack(np.divmod(best, max(1, few.size)), axis=1)], together.ravel()[best]


def _least(values: Array, count: int) -> Positions:
    """Where the least ``count`` of them are, in ascending order."""
    if values.size <= count:
        return np.argsort(values)
    few = np.argpartition(values, count)[:count]
    return few[np.argsort(values[few])]
