"""One distribution over a finite alphabet, pushed and popped without losing rate on rare symbols.

The coder's tables have 24 bits, and every level takes at least one of their 2^24 counts. A long run of symbols of which
many are light is therefore coded in two steps: a bucket of neighbouring symbols, then the symbol within it. One step
of the coder takes hardly longer for a thousand levels than for ten: in a long run of few buckets several make a word.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdl.codes.coder import PRECISION, TOTAL, Coder, Frequencies, Symbols, apportioned, apportioned_each, shares
from mdl.masses import Array

RUN = 1 << 18  # symbols coded at a time: their buckets, then what the buckets leave open; bounds the memory
_HEAVY_BITS = 12  # a symbol of mass below 2^-12 is never a bucket of its own
_PEAK_BITS = 5  # nor is one with less than about 2^-5 of the heaviest's mass
_WORDS = 1 << 12  # the most words of one length: more rounding would be felt, and tables take time to make
_LETTERS = (64, 16, 8, 5, 4)  # the most that make words of two, three, four, five and six
_ELSEWHERE_BITS = 5  # at most 2^-5 of the mass is told apart, for the sake of longer words
_WORTH_WORDS = 1 << 15  # symbols in a run, at least
# Even if each takes a count that it is not worth, a symbol takes 6e-6 bits more; where it takes a bit or so, 9e-5.
_FEW_LEVELS, _MORE_LEVELS = 1 << 6, 1 << 10

Marked = tuple[NDArray[Any], NDArray[np.intp]]  # some of many letters, and their positions, ascending


class Tails(NamedTuple):
    """Symbols either side of an alphabet's own, one level each."""

    size: int  # of each, >= 1
    log_mass: tuple[float, float]  # of those below, and of those above, all together
    inside: Callable[[int], Array]  # (size,) ln masses of those below (0) or above (1)


class Alphabet:
    """Symbols lo..lo+K-1 with the given ln masses (K,), and perhaps tails, renormalised; K <= 2^16.

    What is coded is *levels*: the symbols, and each tail as one. A short run of few levels is coded one by one, any
    other in buckets.
    """

    def __init__(
        self, log_mass: Array, lo: int = 0, tails: Tails | None = None, table: Frequencies | None = None
    ) -> None:
        self._tails, self._ends = tails, 0 if tails is None else tails.size
        self._lo, self._size = np.int32(lo - self._ends), log_mass.size + 2 * self._ends
        self._log_mass = _levels(log_mass, tails)
        self._table = _tables([self._log_mass])[0] if table is None else table

    @classmethod
    def several(cls, log_masses: Sequence[Array], los: Sequence[int], tails: Sequence[Tails | None]) -> list[Alphabet]:
        """Many at once, which takes much less time than one by one."""
        made = _tables([_levels(*one) for one in zip(log_masses, tails, strict=True)])
        return [cls(*one) for one in zip(log_masses, los, tails, made, strict=True)]

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Push symbols, run by run."""
        for start in reversed(range(0, symbols.size, RUN)):
            run = symbols[start : start + RUN] - self._lo
            if self._one_by_one(run.size):
                self._push_levels(coder, run)
            else:
                self._buckets.push(coder, run)

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Pop ``count`` symbols."""
        popped = np.empty(count, np.int32)
        self.pop_into(coder, popped, np.arange(self._size, dtype=np.int32) + self._lo)
        return popped

    def pop_into(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> None:
        """Fill ``out`` (n,) with symbols, each read as its entry of ``values`` (K,)."""
        for start in range(0, out.size, RUN):
            run = out[start : start + RUN]
            if self._one_by_one(run.size):
                self._pop_levels(coder, run, values)
            else:
                self._buckets.pop_into(coder, run, values)

    def _one_by_one(self, count: int) -> bool:
        levels = self._table.size
        return count < _WORTH_WORDS and (
            levels <= _FEW_LEVELS or (levels <= _MORE_LEVELS and 4 * int(self._table.max()) <= 3 * TOTAL)
        )

    def _push_levels(self, coder: Coder, run: Symbols) -> None:
        if self._tails is None:
            return coder.push(self._table, run)
        levels = np.clip(run - np.int32(self._ends - 1), 0, self._table.size - 1)
        for above, places in reversed(list(self._in_tails(levels))):
            first = np.int32(self._size - self._ends if above else 0)
            coder.push(_tables([self._tails.inside(above)])[0], run[places] - first)
        coder.push(self._table, levels)

    def _pop_levels(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> None:
        levels = coder.pop(self._table, out.size)
        if self._tails is None:
            np.take(values, levels, out=out, mode="clip")
            return
        np.take(values[self._ends - 1 : self._size - self._ends + 1], levels, out=out, mode="clip")
        for above, places in self._in_tails(levels):
            inside = values[self._size - self._ends :] if above else values[: self._ends]
            out[places] = inside[coder.pop(_tables([self._tails.inside(above)])[0], places.size)]

    def _in_tails(self, levels: Symbols) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """0 or 1 for what lies below or above, if anything does, and the places of it."""
        for above, level in enumerate((0, self._table.size - 1)):
            places = np.flatnonzero(levels == level)
            if places.size:
                yield above, places

    @functools.cached_property
    def _buckets(self) -> _Buckets:
        return _Buckets(self._log_mass, self._table, self._tails)


def _levels(log_mass: Array, tails: Tails | None) -> Array:
    return log_mass if tails is None else np.concatenate([tails.log_mass[:1], log_mass, tails.log_mass[1:]])


def _tables(each: Sequence[Array]) -> list[Frequencies]:
    """Frequencies of several distributions by their ln masses."""
    sizes = np.array([log_mass.size for log_mass in each], np.intp)
    if not sizes.size:
        return []
    table = apportioned_each(shares(np.concatenate(each), sizes), sizes)
    return np.split(table, sizes.cumsum()[:-1]) if sizes.size > 1 else [table]


class _Buckets:
    """Levels with their ln masses and frequencies (K,), in buckets; a tail is a bucket of its own."""

    def __init__(self, log_mass: Array, table: Frequencies, tails: Tails | None) -> None:
        self._log_mass, self._tails = log_mass, tails
        first = self._first(table, tails is not None)
        self._starts, self._size = first, log_mass.size
        if tails is not None:  # from levels to symbols
            self._starts = np.append(0, first[1:] + (tails.size - 1))
            self._size += 2 * tails.size - 2
        self._sizes = np.append(self._starts[1:], self._size) - self._starts
        self._shared = self._sizes > 1
        self._within: dict[int, Frequencies] = {}  # the buckets met so far
        mass = shares(log_mass, np.array([log_mass.size]))
        self._table = apportioned(np.add.reduceat(mass, first))
        self._middle = int(self._table.argmax())

    @staticmethod
    def _first(table: Frequencies, ends_apart: bool) -> NDArray[np.intp]:
        """The first level of each bucket."""
        unit_bits = max(PRECISION - _HEAVY_BITS, int(table.max()).bit_length() - _PEAK_BITS)
        heavy = table >> unit_bits > 0
        piece = np.cumsum(table) >> unit_bits + 2  # lighter neighbours share buckets of about four units
        new = np.ones(table.size, np.bool_)
        new[1:] = heavy[1:] | heavy[:-1] | (piece[1:] != piece[:-1])
        if ends_apart:
            new[[1, -1]] = True
        return np.flatnonzero(new)

    def _meet(self, buckets: NDArray[Any]) -> None:
        """Make the tables within these buckets."""
        new = [bucket for bucket in np.unique(buckets).tolist() if bucket not in self._within]
        self._within |= zip(new, _tables([self._inside(bucket) for bucket in new]), strict=True)

    def _inside(self, bucket: int) -> Array:
        """Ln masses of a bucket's symbols."""
        start, stop = self._starts[bucket], self._starts[bucket] + self._sizes[bucket]
        if self._tails is None:
            return self._log_mass[start:stop]
        if bucket in (0, self._starts.size - 1):
            return self._tails.inside(int(bucket > 0))
        return self._log_mass[start - self._tails.size + 1 : stop - self._tails.size + 1]

    @functools.cached_property
    def _bucket_of(self) -> Symbols:
        return np.repeat(np.arange(self._starts.size, dtype=np.int32), self._sizes)

    @functools.cached_property
    def _all(self) -> _Letters:
        """What a short run is spelt in."""
        return _Letters(self._table, self._shared, slice(0, self._table.size))

    @functools.cached_property
    def _few(self) -> _Letters:
        """What a long run is spelt in: its words are longer the fewer letters there are."""
        own = _own_letters(self._table)
        return self._all if own == slice(0, self._table.size) else _Letters(self._table, self._shared, own)

    def _letters(self, run: NDArray[Any]) -> _Letters:
        return self._few if run.size >= _WORTH_WORDS else self._all

    @functools.cached_property
    def _alone(self) -> tuple[int, int]:
        """First and last of the symbols about the heaviest that are all buckets of their own; none if first > last."""
        shared = np.flatnonzero(self._shared)
        left, right = shared[shared <= self._middle], shared[shared >= self._middle]
        first = int(self._starts[left[-1]] + self._sizes[left[-1]]) if left.size else 0
        return first, int(self._starts[right[0]]) - 1 if right.size else self._size - 1

    def _in_shared(self, run: Symbols) -> Marked:
        """Buckets of several symbols that occur in a run; what lies about the heaviest symbol is passed by at once."""
        first, last = self._alone
        from_first = (run - np.int32(first)).view(np.uint32)  # negative numbers become large
        positions = np.flatnonzero(from_first > last - first)
        buckets = self._bucket_of[run[positions]]
        shared = self._shared[buckets]
        return buckets[shared], positions[shared]

    def push(self, coder: Coder, run: Symbols) -> None:
        """Push a run of symbols, from 0 on."""
        buckets, positions = self._in_shared(run)
        self._meet(buckets)
        for bucket, places in reversed(list(groups(buckets, positions))):
            coder.push(self._within[bucket], run[places] - np.int32(self._starts[bucket]))
        self._letters(run).push(coder, self._bucket_of[run])

    def pop_into(self, coder: Coder, run: NDArray[Any], values: NDArray[Any]) -> None:
        """Fill a run with symbols, each read as its entry of ``values``."""
        buckets, positions = self._letters(run).pop(coder, run, values[self._starts])
        self._meet(buckets)
        for bucket, places in groups(buckets, positions):
            run[places] = values[self._starts[bucket] + coder.pop(self._within[bucket], places.size)]


def _own_letters(table: Frequencies) -> slice:
    """The buckets that are letters of their own in a long run.

    All, or so many in a row that words are longer, if not more than 1/32 of the mass lies elsewhere.
    """
    own, sums = slice(0, table.size), np.cumsum(np.append(0, table))
    for letters in _LETTERS if 4 * table.max() <= 3 * TOTAL else ():
        if letters < table.size:
            inside = sums[letters - 1 :] - sums[: 1 - letters]
            first = int(inside.argmax())
            if TOTAL - inside[first] > TOTAL >> _ELSEWHERE_BITS:
                break
            own = slice(first, first + letters - 1)
    return own


class _Letters:
    """Buckets as letters: those of ``own`` one each, all others one together, and then which of them.

    ``shared`` says of which buckets a reader wants to know the places.
    """

    def __init__(self, table: Frequencies, shared: NDArray[np.bool_], own: slice) -> None:
        self._own, self._shared = own, shared
        few, marked = table[own], shared[own]
        self._others = np.delete(np.arange(table.size, dtype=np.int32), own)
        if self._others.size:
            rest = table[self._others]
            self._others_table = apportioned(rest / rest.sum())
            few, marked = np.append(few, rest.sum()), np.append(marked, True)
        self._words = _Words(few, marked)

    @functools.cached_property
    def _letter_of(self) -> Symbols:
        letters = np.full(self._shared.size, self._own.stop - self._own.start, np.int32)
        letters[self._own] = np.arange(self._own.stop - self._own.start)
        return letters

    def push(self, coder: Coder, buckets: Symbols) -> None:
        """Push the buckets of a run."""
        if not self._others.size:
            return self._words.push(coder, buckets)
        letters = self._letter_of[buckets]
        elsewhere = buckets[letters == self._own.stop - self._own.start]
        coder.push(self._others_table, np.searchsorted(self._others, elsewhere).astype(np.int32))
        self._words.push(coder, letters)

    def pop(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> Marked:
        """Fill ``out`` with a run, buckets read as their entries of ``values``; the shared ones and their positions."""
        if not self._others.size:
            return self._words.pop(coder, out, values)
        letters, positions = self._words.pop(coder, out, np.append(values[self._own], values[:1]))
        buckets = letters + np.int32(self._own.start)
        elsewhere = np.flatnonzero(letters == self._own.stop - self._own.start)
        buckets[elsewhere] = self._others[coder.pop(self._others_table, elsewhere.size)]
        out[positions[elsewhere]] = values[buckets[elsewhere]]
        shared = self._shared[buckets]
        return buckets[shared], positions[shared]


class _Words:
    """Letters 0..K-1 under one table; in a long run, as many at a time as make at most 2^12 different words.

    Not where one letter has more than 3/4 of the mass: there the rounding of a word's frequency would be felt.
    ``marked`` (K,) says which letters a reader wants to be told apart.
    """

    def __init__(self, table: Frequencies, marked: NDArray[np.bool_]) -> None:
        self._table, self._marked = table, marked
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
    def _spelt(self) -> NDArray[np.uint8]:
        """Every word's letters, (words, length), the first letter the most significant."""
        letters = np.indices((self._table.size,) * self._length, np.uint8)  # at most 64, else there are no words
        return np.ascontiguousarray(letters.reshape(self._length, -1).T)

    @functools.cached_property
    def _word_marks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of every word's letters are marked, (words, length), and whether any is, (words,)."""
        marks = self._marked[self._spelt]
        return marks, np.logical_or.reduce(marks, axis=1)

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

    def pop(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> Marked:
        """Fill ``out`` with as many letters, read as their entries of ``values`` (K,); those that are marked."""
        long = self._in_words(out.size)
        if not long:
            return self._pop_letters(coder, out, values)
        letters, positions = self._pop_words(coder, out[:long], values)
        if long < out.size:
            last, places = self._pop_letters(coder, out[long:], values)
            letters, positions = np.append(letters, last), np.append(positions, long + places)
        return letters, positions

    def _pop_letters(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> Marked:
        letters = coder.pop(self._table, out.size)
        np.take(values, letters, out=out, mode="clip")
        positions = np.flatnonzero(self._marked.take(letters))
        return letters[positions], positions

    def _pop_words(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> Marked:
        words = coder.pop(self._word_table, out.size // self._length).astype(np.intp)  # once, not in every take
        np.take(values[self._spelt], words, axis=0, out=out.reshape(-1, self._length), mode="clip")
        marks, any_mark = self._word_marks
        some = np.flatnonzero(any_mark.take(words))  # few words: the letters of all others are passed by
        inside = np.flatnonzero(marks.take(words[some], axis=0))
        word, letter = np.divmod(inside, self._length)
        return self._spelt.take(words[some], axis=0).ravel()[inside], some[word] * self._length + letter


def groups(labels: NDArray[Any], positions: NDArray[np.intp] | None = None) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each distinct label >= 0, ascending, with its positions in their given order; by default its places."""
    short = labels.astype(np.min_scalar_type(labels.max()), copy=False) if labels.size else labels
    order = np.argsort(short, kind="stable")  # by radix if they have 8 or 16 bits
    ordered = labels[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    bounds = [0, *cuts.tolist(), labels.size] if labels.size else []
    pieces = ((int(ordered[start]), order[start:end]) for start, end in itertools.pairwise(bounds))
    return pieces if positions is None else ((label, positions[places]) for label, places in pieces)
