"""Relative-entropy coding: weights as a path through a random tree that writer and reader grow from one seed.

The prior is not integrated but sampled: every path through the tree is a sample of all weights from it, a path of b
bits is one of 2^b, and the writer looks for one that the data like. No mass, no step and no rounding enters; a message
of b bits costs b bits. The shortest total is reached near b = KL(posterior || prior), with about (1/2) ln(pi d) nats to
spare for d weights that the data determine, if the search is exhaustive. A tree need not be searched exhaustively: its
branches are cut back to the best few thousand after every bit or two (the M algorithm).

What both sides compute: an orthonormal basis of the weights from the layer's inputs, in descending order of what the
data may tell about a coordinate, and after how many bits each coordinate is drawn.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special

from mdl.codes.coder import Coder, Symbols
from mdl.errors import CodeError
from mdl.masses import Array

BRANCH_BITS = 2  # of one step down the tree
STATE_BITS = 16  # of the path, its latest, determine what is drawn
LEAD_BITS = 8  # that come before the first draw: a reserve to choose from
MAX_STEPS = 1 << 13
SIXTEENTHS = 16  # of an octave, of which a path's length has a whole number more than the natural one
MOST_SIXTEENTHS = 900
LEAST_TILT, MOST_TILT = -3, 8
_SETTINGS = 5
_QUANTILE_BITS = 16
_UNIT_BITS = 12  # a standard normal is a multiple of 2^-12
_WEIGHT_BITS = 12  # a weight is one of 2^-12 of the scale's power of two
_NULL = 1e-9  # directions in which the inputs vary less, relative to the first, are left at the prior's centre


@functools.cache
def _quantiles() -> Array:
    """The 2^16 quantiles (i + 1/2) / 2^16 of a standard normal, rounded so that no platform's last digit matters."""
    middles = (np.arange(1 << _QUANTILE_BITS) + 0.5) / (1 << _QUANTILE_BITS)
    return np.rint(special.ndtri(middles) * (1 << _UNIT_BITS)) / (1 << _UNIT_BITS)


def normals(seed: int, stream: int, rows: int, columns: int, first: int = 0) -> Array:
    """Rows ``first..first + rows - 1`` of a table of standard normals, (rows, columns), the same everywhere.

    The raw words of Philox4x64-10 under the key (seed, stream) from counter 1 on, each as four numbers of 16 bits, the
    lowest first, each the index of a quantile; a row takes ceil(columns / 4) words, and what is left of them is unused.

    Examples
    --------
    >>> table = normals(seed=0, stream=0, rows=1000, columns=3)
    >>> bool((normals(seed=0, stream=0, rows=1, columns=3, first=700) == table[700]).all())
    True

    References
    ----------
    J. Salmon, M. Moraes, R. Dror and D. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    words = -(-columns // 4)
    skip = first * words
    generator = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=skip // 4)
    raw = generator.random_raw(skip % 4 + rows * words)[skip % 4 :].astype("<u8")
    return _quantiles()[raw.view("<u2").reshape(rows, 4 * words)[:, :columns]]


@dataclass(frozen=True)
class RandomTree:
    """A quantizer whose symbols are branches: each says how a path of two more bits goes on.

    Bound to inputs H (n, fan_in), it draws the coordinates z of the weights W = scale V T Z C' in the eigenvectors V of
    H'H by descending eigenvalues e, times contrasts C of the units: Helmert's where there are several, whose scores of
    classes mean the same if all grow alike, so that weights sum to zero over the units. T is diagonal and tilts the
    prior towards the directions in which inputs vary most: T_j^2 = e_j^(3/4 + tilt/4), divided by the mean of these.
    Coordinate j is told about (1/2) log2(1 + curvature scale^2 T_j^2 e_j) bits; the sum of these, the natural length,
    times 2^(sixteenths/16) and a lead of 8 are the bits of the path. The coordinate is drawn when the path has
    LEAD_BITS + (bits - LEAD_BITS) share_j^warp bits, where share is the cumulative sum as a share of the whole;
    curvature = 2^(octave - 6), warp = 1 + eighths/8. Both ends know the code of the branches, :class:`Branches`, and
    are not told of it.

    Parameters
    ----------
    scale
        Of the prior, a Gaussian at 0: its root mean square over the directions.
    settings
        Sixteenths of an octave that the path is longer than its natural length; the octave of the curvature, about how
        much a squared unit of a prediction costs, 0 suits class probabilities; eighths of the warp, > -8, below 0 the
        first coordinates get more bits than their curvature alone deserves; quarters of the tilt, >= -3, and at -3 the
        prior is the same in all directions; and the seed, >= 0, which tree it is. What is left out at the end is 0.

    Raises
    ------
    CodeError
        If a parameter is out of range.
    """

    scale: float
    settings: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.scale <= 1e300:
            raise CodeError(f"RandomTree: expected a scale > 0, and at most 1e300, got {self.scale}")
        if len(self.settings) > _SETTINGS or self.settings[-1:] == (0,):
            raise CodeError(f"RandomTree: expected at most {_SETTINGS} settings, the last not 0, got {self.settings}")
        sixteenths, octave, eighths, tilt, seed = padded(self.settings)
        within = abs(sixteenths) <= MOST_SIXTEENTHS and LEAST_TILT <= tilt <= MOST_TILT and abs(octave) <= 900
        if not (within and -8 < eighths <= 64 and 0 <= seed < 1 << 62):
            raise CodeError(f"RandomTree: settings {self.settings} out of range")

    @property
    def code(self) -> Branches:
        """Of its symbols."""
        return Branches(BRANCH_BITS)

    def bind(self, inputs: Array, shape: tuple[int, ...]) -> Tree:
        """The tree for a weight tensor (fan_in, units) whose layer has these inputs (n, fan_in)."""
        sixteenths, octave, eighths, tilt, seed = padded(self.settings)
        basis = Basis.of(inputs, shape[1]).tilted(tilt)
        natural = natural_bits(basis.eigenvalues, self.scale, octave)
        wanted = min(natural * 2.0 ** (sixteenths / SIXTEENTHS), float(BRANCH_BITS * MAX_STEPS))
        steps = min(_steps(LEAD_BITS + wanted), MAX_STEPS)
        share = shares(basis.eigenvalues, self.scale, octave, eighths)
        due = _steps(LEAD_BITS + (BRANCH_BITS * steps - LEAD_BITS) * share)
        return Tree(self.scale, seed, steps, basis, np.clip(due, 1, steps))


def padded(settings: tuple[int, ...]) -> tuple[int, ...]:
    """All of a tree's settings."""
    return settings + (0,) * (_SETTINGS - len(settings))


def trimmed(*settings: int) -> tuple[int, ...]:
    """A tree's settings without the zeros at the end."""
    while settings[-1:] == (0,):
        settings = settings[:-1]
    return settings


def _told(eigenvalues: Array, scale: float, octave: int) -> Array:
    """Nats told of each coordinate and those before it, (d,); as logarithms, since a scale may be any double."""
    logs = (octave - 6) * math.log(2.0) + 2.0 * math.log(scale) + np.log(eigenvalues)
    return np.cumsum(0.5 * np.logaddexp(0.0, logs))


def natural_bits(eigenvalues: Array, scale: float, octave: int) -> float:
    """Of a path that tells all coordinates as their curvature deserves."""
    return float(_told(eigenvalues, scale, octave)[-1:].sum()) / math.log(2.0)


def shares(eigenvalues: Array, scale: float, octave: int, eighths: int) -> Array:
    """The share of the path that each coordinate (d,) waits for; rises to 1."""
    told = _told(eigenvalues, scale, octave)
    return np.asarray((told / max(float(told[-1]), 1e-300)) ** (1.0 + eighths / 8.0)) if told.size else told


def _steps(bits: Any) -> Any:
    """Whole steps that hold so many bits; not one more for a last digit."""
    return np.ceil(np.asarray(bits) / BRANCH_BITS - 1e-6).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Basis:
    """Coordinates of a weight tensor (fan_in, units): W = V T Z C', Z (r, c) row-major, V and C orthonormal columns."""

    vectors: Array  # V T
    contrasts: Array
    eigenvalues: Array  # of (H V T)' H V T, one a coordinate

    @classmethod
    def of(cls, inputs: Array, units: int) -> Basis:
        """Eigenvectors of H'H whose largest entry is positive, by descending eigenvalues; null directions left out."""
        values, vectors = linalg.eigh(inputs.T @ inputs)
        kept = np.flatnonzero(values > _NULL * max(float(values.max(initial=0.0)), 1e-300))[::-1]
        values, vectors = values[kept], vectors[:, kept]
        largest = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.sign(vectors[largest, np.arange(kept.size)])
        contrasts = linalg.helmert(units).T if units > 1 else np.eye(1)
        return cls(vectors, contrasts, np.repeat(values, contrasts.shape[1]))

    def tilted(self, tilt: int) -> Basis:
        """Of an orthonormal one: with directions as long as a power of their eigenvalues, one in the mean square."""
        if not self.eigenvalues.size:
            return self
        logs = 0.25 * (tilt - LEAST_TILT) * np.log(self.eigenvalues)
        squares = np.exp(logs - special.logsumexp(logs) + np.log(logs.size))
        each = squares[:: self.contrasts.shape[1]]
        return Basis(self.vectors * np.sqrt(each), self.contrasts, self.eigenvalues * squares)

    def coordinates(self, weights: ArrayLike) -> Array:
        """(r c,) coordinates of weights (fan_in, units), as far as it has them."""
        squares = (self.vectors**2).sum(axis=0)
        return np.asarray((self.vectors / squares).T @ np.asarray(weights) @ self.contrasts).ravel()

    def weights(self, z: ArrayLike) -> Array:
        """(r c,) coordinates to (fan_in, units) weights."""
        return self.vectors @ np.reshape(z, (self.vectors.shape[1], self.contrasts.shape[1])) @ self.contrasts.T


@dataclass(frozen=True, eq=False)
class Tree:
    """A random tree with its coordinates: what :class:`RandomTree` becomes for one tensor.

    ``count`` is the number of its symbols, the steps of a path; ``scale`` the prior's.
    """

    scale: float
    seed: int
    count: int
    basis: Basis
    due: NDArray[np.int64]  # (coordinates,) the step after which each is drawn, from 1

    def drawn(self, step: int) -> slice:
        """The coordinates that are drawn at a step, from 0."""
        return slice(*np.searchsorted(self.due, [step + 1, step + 2]).tolist())

    def follow(self, states: NDArray[np.int64], branches: ArrayLike) -> NDArray[np.int64]:
        """Where paths at these states are after one step more."""
        return (states << BRANCH_BITS | np.asarray(branches, np.int64)) & (1 << STATE_BITS) - 1

    def draws(self, step: int) -> Array:
        """What every state draws at a step, (2^16, coordinates drawn), in units of the weights."""
        drawn = self.drawn(step)
        return self.scale * normals(self.seed, step, 1 << STATE_BITS, drawn.stop - drawn.start)

    def coordinates(self, branches: ArrayLike) -> Array:
        """The coordinates (r c,) on a path of ``count`` branches."""
        z, state = np.zeros(self.due.size), np.zeros((), np.int64)
        for step, branch in enumerate(np.asarray(branches).tolist()):
            state = self.follow(state, branch)
            drawn = self.drawn(step)
            if drawn.stop > drawn.start:
                z[drawn] = normals(self.seed, step, 1, drawn.stop - drawn.start, first=int(state))[0]
        return self.scale * z

    def dequantize(self, symbols: ArrayLike) -> Array:
        """The weights (fan_in units,) on a path, multiples of 2^-12 of the scale's power of two."""
        unit = math.ldexp(1.0, math.frexp(self.scale)[1] - _WEIGHT_BITS)
        multiples = np.rint(self.basis.weights(self.coordinates(symbols)).ravel() / unit)
        return multiples * unit + 0.0  # not -0.0: the sign of a weight that rounding leaves nothing of is chance


@dataclass(frozen=True)
class Branches:
    """Symbols 0..2^bits - 1 that cost ``bits`` bits each: the branches of a tree, or any flat choice.

    Examples
    --------
    >>> (Branches(2).nats([0, 3]) / math.log(2.0)).tolist()
    [2.0, 2.0]
    """

    bits: int = BRANCH_BITS

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise CodeError(f"Branches: expected 1 to 16 bits, got {self.bits}")

    def bind(self, grid: object) -> Branches:
        """The same for every tensor."""
        return self

    def nats(self, symbols: ArrayLike) -> Array:
        """``bits`` bits each, nats."""
        values = np.asarray(symbols)
        self._check(values)
        return np.full(values.shape, self.bits * math.log(2.0))

    def _check(self, symbols: NDArray[np.int32]) -> None:
        if symbols.size and not 0 <= symbols.min() <= symbols.max() < 1 << self.bits:
            raise CodeError(f"Branches: expected 0 to {(1 << self.bits) - 1}, got {symbols.min()} to {symbols.max()}")

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write (n,) int32 symbols, the most significant bit first."""
        self._check(symbols)
        places = np.arange(self.bits)[::-1]
        coder.push_bits((symbols[:, None] >> places & 1).astype(np.uint8).ravel())

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read them back."""
        bits = coder.pop_bits(count * self.bits).reshape(count, self.bits)
        return (bits.astype(np.int32) << np.arange(self.bits, dtype=np.int32)[::-1]).sum(axis=1, dtype=np.int32)
