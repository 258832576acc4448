"""One distribution over a finite alphabet, pushed and popped without losing rate on rare symbols.

The coder's tables have 24 bits, and every level takes at least one of their 2^24 counts. An alphabet with many light
symbols is therefore coded in two steps: a bucket of neighbouring symbols, then the symbol within its bucket.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mdl.codes.coder import PRECISION, Coder, Frequencies, Symbols, frequencies
from mdl.masses import Array

RUN = 1 << 19  # symbols coded at a time: their buckets, then what the buckets leave open; bounds the memory
_HEAVY_BITS = 12  # a symbol of mass >= 2^-12 is a bucket of its own
_BUCKET_BITS = 10  # lighter neighbours share buckets of mass about 2^-10


class Alphabet:
    """Symbols lo..lo+K-1 with the given ln masses (K,), renormalised; K <= 2^16."""

    def __init__(self, log_mass: Array, lo: int = 0) -> None:
        self._lo = np.int32(lo)
        self._log_mass = log_mass
        self._starts = self._bucket_starts(frequencies(log_mass))
        self._sizes = np.diff(self._starts, append=log_mass.size)
        self._bucket_of = np.repeat(np.arange(self._starts.size, dtype=np.int32), self._sizes)
        self._tables: dict[int, Frequencies] = {}  # within the buckets met so far
        top = log_mass.max()
        with np.errstate(divide="ignore"):
            self._buckets = frequencies(np.log(np.add.reduceat(np.exp(log_mass - top), self._starts)))

    @staticmethod
    def _bucket_starts(table: Frequencies) -> NDArray[np.int64]:
        heavy = table >> (PRECISION - _HEAVY_BITS) > 0
        piece = np.cumsum(table) >> (PRECISION - _BUCKET_BITS)
        new = np.ones(table.size, np.bool_)
        new[1:] = heavy[1:] | heavy[:-1] | (piece[1:] != piece[:-1])
        return np.flatnonzero(new)

    def _within(self, bucket: int) -> Frequencies:
        if bucket not in self._tables:
            start = self._starts[bucket]
            inside = self._log_mass[start : start + self._sizes[bucket]]
            self._tables[bucket] = frequencies(inside if np.isfinite(inside.max()) else np.zeros(inside.size))
        return self._tables[bucket]

    def _shared(self, buckets: Symbols) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Each bucket of several symbols that occurs, ascending, with the positions where it does."""
        if self._starts.size == self._log_mass.size:
            return iter(())
        positions = np.flatnonzero((self._sizes > 1)[buckets])
        return groups(buckets[positions], positions)

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Push symbols, run by run."""
        for start in reversed(range(0, symbols.size, RUN)):
            run = symbols[start : start + RUN] - self._lo
            if self._starts.size == self._log_mass.size:
                coder.push(self._buckets, run)
                continue
            buckets = self._bucket_of[run]
            for bucket, positions in reversed(list(self._shared(buckets))):
                coder.push(self._within(bucket), run[positions] - np.int32(self._starts[bucket]))
            coder.push(self._buckets, buckets)

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Pop ``count`` symbols."""
        symbols = np.empty(count, np.int32)
        first = self._starts.astype(np.int32) + self._lo
        for start in range(0, count, RUN):
            buckets = coder.pop(self._buckets, min(RUN, count - start))
            run = symbols[start : start + RUN]
            np.take(first, buckets, out=run, mode="clip")
            for bucket, positions in self._shared(buckets):
                run[positions] += coder.pop(self._within(bucket), positions.size)
        return symbols


def groups(labels: Symbols, positions: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each distinct label, ascending, with its positions in their given order."""
    order = np.argsort(labels, kind="stable")
    distinct, first = np.unique(labels[order], return_index=True)
    return zip(distinct.tolist(), np.split(positions[order], first[1:]), strict=False)  # split of nothing is one part
