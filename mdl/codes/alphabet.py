"""One distribution over a finite alphabet, pushed and popped without losing rate on rare symbols.

The coder's tables have 24 bits, and every level takes at least one of their 2^24 counts. An alphabet with many light
symbols is therefore coded in two steps: a bucket of neighbouring symbols, then the symbol within its bucket. One step
of the coder takes hardly longer for a thousand levels than for ten: in a long run of few buckets several make a word.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mdl.codes.coder import PRECISION, TOTAL, Coder, Frequencies, Symbols, apportioned, frequencies
from mdl.masses import Array

RUN = 1 << 18  # symbols coded at a time: their buckets, then what the buckets leave open; bounds the memory
_HEAVY_BITS = 12  # a symbol of mass below 2^-12 is never a bucket of its own
_PEAK_BITS = 5  # nor is one with less than about 2^-5 of the heaviest's mass
_WORDS = 1 << 12  # the most words of one length: more rounding would be felt, and tables take time to make
_WORTH_WORDS = 1 << 12  # symbols in a run, at least


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
            table = frequencies(np.log(np.add.reduceat(np.exp(log_mass - top), self._starts)))
        self._buckets = _Words(table, self._starts.astype(np.int32) + self._lo)
        middle, shared = int(table.argmax()), np.flatnonzero(self._sizes > 1)
        left, right = shared[shared <= middle], shared[shared >= middle]
        self._left = int(self._starts[left[-1]] + self._sizes[left[-1]] - 1) if left.size else -1
        self._right = int(self._starts[right[0]]) if right.size else log_mass.size

    @staticmethod
    def _bucket_starts(table: Frequencies) -> NDArray[np.int64]:
        unit_bits = max(PRECISION - _HEAVY_BITS, int(table.max()).bit_length() - _PEAK_BITS)
        heavy = table >> unit_bits > 0
        piece = np.cumsum(table) >> unit_bits + 2  # lighter neighbours share buckets of about four units
        new = np.ones(table.size, np.bool_)
        new[1:] = heavy[1:] | heavy[:-1] | (piece[1:] != piece[:-1])
        return np.flatnonzero(new)

    def _within(self, bucket: int) -> Frequencies:
        if bucket not in self._tables:
            start = self._starts[bucket]
            inside = self._log_mass[start : start + self._sizes[bucket]]
            self._tables[bucket] = frequencies(inside if np.isfinite(inside.max()) else np.zeros(inside.size))
        return self._tables[bucket]

    def _shared(self, run: Symbols) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Each bucket of several symbols that occurs, ascending, with the positions where it does.

        Most symbols lie between the nearest such buckets left and right of the heaviest, and are passed by at once.
        """
        between = (run - (self._lo + np.int32(self._left + 1))).view(np.uint32)  # negative numbers become large
        positions = np.flatnonzero(between >= self._right - self._left - 1)
        buckets = self._bucket_of[run[positions] - self._lo]
        shared = self._sizes[buckets] > 1
        return groups(buckets[shared], positions[shared])

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Push symbols, run by run."""
        for start in reversed(range(0, symbols.size, RUN)):
            run = symbols[start : start + RUN]
            for bucket, positions in reversed(list(self._shared(run))):
                coder.push(self._within(bucket), run[positions] - self._lo - np.int32(self._starts[bucket]))
            self._buckets.push(coder, self._bucket_of[run - self._lo])

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Pop ``count`` symbols."""
        symbols = np.empty(count, np.int32)
        for start in range(0, count, RUN):
            run = symbols[start : start + RUN]
            self._buckets.pop(coder, run)
            for bucket, positions in self._shared(run):
                run[positions] += coder.pop(self._within(bucket), positions.size)
        return symbols


class _Words:
    """Letters 0..K-1 under one table; in a long run, as many at a time as make at most 2^12 different words.

    Not where one letter has more than 3/4 of the mass: there the rounding of a word's frequency would be felt.
    ``values`` (K,) are what the letters are read as.
    """

    def __init__(self, table: Frequencies, values: Symbols) -> None:
        self._table, self._values = table, values
        self._length = 1
        if table.size > 1 and 4 * table.max() <= 3 * TOTAL:
            while table.size ** (self._length + 1) <= _WORDS:
                self._length += 1

    @functools.cached_property
    def _word_table(self) -> Frequencies:
        mass = letter = self._table / TOTAL
        for _ in range(self._length - 1):
            mass = np.multiply.outer(mass, letter)
        return apportioned(mass.ravel())

    @functools.cached_property
    def _spelt(self) -> Symbols:
        """The values of every word's letters, (words, length), the first letter the most significant."""
        letters = np.indices((self._table.size,) * self._length, np.int32)
        return np.ascontiguousarray(self._values[letters].reshape(self._length, -1).T)

    def _in_words(self, count: int) -> int:
        """How many of so many letters are coded in words; the rest follows one by one."""
        return count - count % self._length if self._length > 1 and count >= _WORTH_WORDS else 0

    def push(self, coder: Coder, letters: Symbols) -> None:
        """Push letters."""
        long = self._in_words(letters.size)
        if long < letters.size:
            coder.push(self._table, letters[long:])
        if long:
            word, *rest = letters[:long].reshape(-1, self._length).T
            for letter in rest:
                word = word * np.int32(self._table.size) + letter
            coder.push(self._word_table, word)

    def pop(self, coder: Coder, values: Symbols) -> None:
        """Fill ``values`` with those of as many letters."""
        long = self._in_words(values.size)
        if long:
            words = coder.pop(self._word_table, long // self._length)
            np.take(self._spelt, words, axis=0, out=values[:long].reshape(-1, self._length), mode="clip")
        if long < values.size:
            np.take(self._values, coder.pop(self._table, values.size - long), out=values[long:], mode="clip")


def groups(labels: Symbols, positions: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each distinct label >= 0, ascending, with its positions in their given order."""
    few = labels.size and labels.max() < 1 << 16
    order = np.argsort(labels.astype(np.uint16) if few else labels, kind="stable")  # by radix if they are so short
    ordered = labels[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    return zip(
        ordered[first].tolist(), np.split(positions[order], first[1:]), strict=False
    )  # split of nothing is one part
