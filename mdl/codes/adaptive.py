"""Codes that learn as they go: a symbol costs what those before it imply, and no frequencies are sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes import Code  # describe reads it from the annotations
from mdl.codes.alphabet import Alphabet
from mdl.codes.coder import MAX_LEVELS, Coder, Symbols, as_symbols
from mdl.errors import CodeError, MessageError
from mdl.masses import Array

_SHARE = 8  # a block is an eighth of what came before it


@dataclass(frozen=True)
class Dirichlet:
    """Symbols lo..hi by their counts so far, each begun at alpha; the counts are brought up to date block by block.

    P(s) = (count of s + alpha) / (seen + alpha K) with K = hi - lo + 1. Counts are those before the block, and a block
    is max(1, seen // 8) symbols long, so that n symbols take O(log n) blocks. ``nats`` is the length of exactly this
    code and depends on the order of the symbols. Over counts kept up to date, independent symbols cost about 0.2 nats
    more for each distinct one, and symbols nearly all alike up to 0.8 alpha K (measured for n up to 10^7).

    Parameters
    ----------
    lo, hi
        Least and greatest symbol; at most 2^16 of them; a decoder must know both.
    alpha
        Count of every symbol before the first, > 0: 1/2 is Krichevsky and Trofimov's, 1 is Laplace's.

    Raises
    ------
    CodeError
        If the parameters are out of range; from the methods, if a symbol is.

    Examples
    --------
    >>> np.exp(-Dirichlet(0, 2).nats([0, 0, 1])).round(3).tolist()  # 1/3, 2/4, 1/5
    [0.333, 0.5, 0.2]

    References
    ----------
    R. E. Krichevsky and V. K. Trofimov, The performance of universal encoding, IEEE Trans. Inf. Theory 27 (1981).
    """

    lo: int
    hi: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        as_symbols([self.lo, self.hi])  # both fit 32 bits
        if not 1 <= self.hi - self.lo + 1 <= MAX_LEVELS:
            raise CodeError(f"Dirichlet: expected 1 to {MAX_LEVELS} symbols, got {self.lo} to {self.hi}")
        if not 0.0 < self.alpha < math.inf:
            raise CodeError(f"Dirichlet: expected a finite alpha > 0, got {self.alpha}")

    def nats(self, symbols: ArrayLike) -> Array:
        """Length of each symbol after those before it, nats, shape of ``symbols``."""
        values = np.asarray(symbols)
        indices = self._indices(as_symbols(values.ravel()))
        nats = np.empty(indices.size)
        counts = self._no_counts()
        for block in blocks(indices.size):
            nats[block] = -self._log_mass(counts)[indices[block]]
            counts += self._count(indices[block])
        return nats.reshape(values.shape)

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write (n,) int32 symbols."""
        indices = self._indices(as_symbols(symbols))
        counts = self._count(indices)
        for block in reversed(list(blocks(indices.size))):  # last in, first out
            counts -= self._count(indices[block])
            Alphabet(self._log_mass(counts)).push(coder, indices[block])

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read them back."""
        indices = np.empty(count, np.int32)
        counts = self._no_counts()
        for block in blocks(count):
            indices[block] = Alphabet(self._log_mass(counts)).pop(coder, block.stop - block.start)
            counts += self._count(indices[block])
        return indices + np.int32(self.lo)

    def _indices(self, symbols: Symbols) -> Symbols:
        if symbols.size and not self.lo <= symbols.min() <= symbols.max() <= self.hi:
            outside = symbols[(symbols < self.lo) | (symbols > self.hi)]
            raise CodeError(f"{self!r}: expected symbols from {self.lo} to {self.hi}, got {outside[0]}")
        return (symbols.astype(np.int64) - self.lo).astype(np.int32)

    def _no_counts(self) -> NDArray[np.int64]:
        return self._count(np.empty(0, np.int32))

    def _count(self, indices: Symbols) -> NDArray[np.int64]:
        return np.bincount(indices, minlength=self.hi - self.lo + 1)

    def _log_mass(self, counts: NDArray[np.int64]) -> Array:
        return np.log(counts + self.alpha) - math.log(counts.sum() + self.alpha * counts.size)


def KT(lo: int, hi: int) -> Dirichlet:
    """The Krichevsky-Trofimov code of symbols lo..hi: within O(1) of the shortest in the worst case for K symbols.

    Examples
    --------
    >>> KT(0, 1)
    Dirichlet(lo=0, hi=1, alpha=0.5)
    """
    return Dirichlet(lo, hi, alpha=0.5)


def blocks(count: int) -> Iterator[slice]:
    """The schedule of counts: each block an eighth of what came before it, at least one."""
    start = 0
    while start < count:
        stop = min(start + max(1, start // _SHARE), count)
        yield slice(start, stop)
        start = stop


@dataclass(frozen=True)
class TwoLevel:
    """First which symbols are zero, by KT; then the others by a code of their own.

    Positive symbols move down by one to close the gap, so that ``values`` spends nothing on zero: 1, 2, -1 reach it as
    0, 1, -1.

    Parameters
    ----------
    values
        A code for the moved symbols, such as ``Signed(EliasDelta())`` or ``KT(lo, hi - 1)``.

    Raises
    ------
    CodeError
        From the methods, if a moved symbol lies outside the domain of ``values``.

    Examples
    --------
    >>> from mdl.codes.integers import EliasGamma, Signed
    >>> TwoLevel(Signed(EliasGamma())).nats([1, 0]).round(3).tolist()  # 1/2 and one bit; 1/4
    [1.386, 1.386]
    """

    values: Code

    def nats(self, symbols: ArrayLike) -> Array:
        """Ideal length of each symbol, zero map included, nats, shape of ``symbols``."""
        flat = np.asarray(symbols).ravel()
        nonzero, moved = _split(as_symbols(flat))
        nats = _ZERO_MAP.nats(nonzero)
        nats[nonzero == 1] += self.values.nats(moved)
        return nats.reshape(np.shape(symbols))

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write (n,) int32 symbols."""
        nonzero, moved = _split(as_symbols(symbols))
        self.values.push(coder, moved)
        _ZERO_MAP.push(coder, nonzero)

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read them back."""
        symbols = _ZERO_MAP.pop(coder, count)
        moved = self.values.pop(coder, int(symbols.sum(dtype=np.int64)))
        if (moved == np.iinfo(np.int32).max).any():
            raise MessageError(f"{self!r}: expected symbols that fit 32 bits, got 2^31")
        symbols[symbols == 1] = moved + (moved >= 0)
        return symbols


_ZERO_MAP = KT(0, 1)


def _split(symbols: Symbols) -> tuple[Symbols, Symbols]:
    """Where symbols are not 0, as 0/1; and those that are not, moved to close the gap."""
    others = symbols[symbols != 0]
    return (symbols != 0).astype(np.int32), others - (others > 0).astype(np.int32)
