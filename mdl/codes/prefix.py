"""What integer codes share: their domain, and codewords written to and read from the bit lane, all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.coder import Bits, Coder, Symbols, as_symbols
from mdl.errors import CodeError, MessageError
from mdl.length import LN2
from mdl.masses import Array

Numbers = NDArray[np.int64]
Fields = list[tuple[Numbers, Numbers]]  # of every codeword: a number and the bits it takes, the first bit its highest

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
REACH = 1 << 32  # greatest number inside: the zigzag of any int32, plus one
INVALID = 1 << 62  # what a codeword reads as that no writer writes
WORD = 57  # bits that one 64-bit load gives from any position
_CHUNK = 1 << 17  # codewords written at a time
_WINDOW = 1 << 18  # bits read at a time
_WIDEST = 1 << 19  # no codeword is longer
_MAX_PUSH_BITS = 1 << 32


class Window:
    """Bits of the lane from some position on, read as if zeros followed."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.size = bits.size
        self.positions: Numbers = np.arange(bits.size)
        packed = np.packbits(np.concatenate([bits, np.zeros(72, np.uint8)]))
        self._words = np.lib.stride_tricks.sliding_window_view(packed, 8).copy().view(">u8")[:, 0].astype(np.uint64)

    def first(self, wanted: NDArray[np.bool_]) -> Numbers:
        """(size + 1,): from each position on, the first that is wanted; ``size`` if none is."""
        places = np.where(wanted, self.positions, self.size)
        return np.append(np.minimum.accumulate(places[::-1])[::-1], self.size)

    def value(self, positions: Numbers, width: Numbers | int) -> Numbers:
        """The numbers that ``width`` bits spell; only the first 57 of wider ones."""
        positions = np.minimum(positions, self.size)
        words = self._words[positions >> 3] << (positions & 7).astype(np.uint64)
        unread = np.asarray(63 - np.minimum(width, WORD)).astype(np.uint64)
        return (words >> np.uint64(1) >> unread).astype(np.int64)  # in two steps: a shift by 64 is undefined


class IntegerCode:
    """A code for integers by codewords.

    A code gives the ``_fields`` of the codewords of numbers; the ``_ends`` of the codewords that would begin at each
    position of a window; and what numbers the codewords ``_read`` that do begin at some. Numbers are int64, up to 2^32.
    """

    @property
    def smallest(self) -> int:
        """Least symbol of the domain."""
        return max(self._span[0], INT32_MIN)

    @property
    def largest(self) -> int:
        """Greatest symbol of the domain."""
        return min(self._span[1], INT32_MAX)

    @property
    def _span(self) -> tuple[int, int]:
        """Least and greatest number that has a code; ``Signed`` uses those beyond int32."""
        return 1, REACH

    def _fields(self, numbers: Numbers) -> Fields:
        """What the codewords of (n,) numbers are made of."""
        raise CodeError(f"{self!r} is realised on the entropy lane: its symbols have no codewords")

    def _ends(self, window: Window) -> Numbers:
        """(size,): where the codeword that begins at each position ends; beyond ``size`` if the window cuts it."""
        raise NotImplementedError

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        """The numbers whose codewords begin at ``starts`` and end in the window; ``INVALID`` for what is none."""
        raise NotImplementedError

    def nats(self, symbols: ArrayLike) -> Array:
        """Ideal length of each symbol, nats, shape of ``symbols``; CodeError outside the domain."""
        numbers = self._checked(symbols)
        return self._ideal(numbers.ravel()).reshape(numbers.shape)

    def lengths(self, symbols: ArrayLike) -> Numbers:
        """Bits of each symbol's codeword, shape of ``symbols``; CodeError outside the domain."""
        numbers = self._checked(symbols)
        return total(self._fields(numbers.ravel())).reshape(numbers.shape)

    def codeword(self, symbol: int) -> str:
        """The codeword of one symbol, such as "00101"; CodeError outside the domain."""
        return "".join(map(str, join(self._fields(self._checked([symbol]))).tolist()))

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write (n,) int32 symbols; CodeError outside the domain."""
        self._write_to(coder, self._checked(as_symbols(symbols)))

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read them back; MessageError if the message ends early or holds what no writer writes."""
        numbers = self._read_from(coder, count)
        outside = (numbers < self.smallest) | (numbers > self.largest)
        if outside.any():
            raise MessageError(
                f"{self!r}: expected {count} symbols from {self.smallest} to {self.largest}, "
                f"but symbol {int(outside.argmax())} is not one"
            )
        return numbers.astype(np.int32)

    def _checked(self, symbols: ArrayLike) -> Numbers:
        values = np.asarray(symbols)
        if values.size == 0:
            return np.zeros(values.shape, np.int64)
        if values.dtype.kind not in "iu":
            raise CodeError(f"{self!r}: expected integers, got {values.dtype}")
        for extreme in (int(values.min()), int(values.max())):
            if not self.smallest <= extreme <= self.largest:
                raise CodeError(f"{self!r}: expected symbols from {self.smallest} to {self.largest}, got {extreme}")
        return values.astype(np.int64)

    def _ideal(self, numbers: Numbers) -> Array:
        """Ideal lengths of (n,) numbers, nats."""
        return LN2 * total(self._fields(numbers)).astype(np.float64)

    def _write_to(self, coder: Coder, numbers: Numbers) -> None:
        """Push (n,) numbers."""
        for start in reversed(range(0, numbers.size, _CHUNK)):
            coder.push_bits(join(self._fields(numbers[start : start + _CHUNK])))

    def _read_from(self, coder: Coder, count: int) -> Numbers:
        """Pop ``count`` numbers, which may be outside the domain; MessageError if the bits end early."""
        if count > coder.bits_left:
            raise MessageError(f"{self!r}: expected {count} symbols, but the message has {coder.bits_left} bits left")
        numbers = np.empty(count, np.int64)
        done = room = 0
        while done < count:
            room = room or min(_WINDOW, 64 * (count - done + 1))
            window = Window(coder.peek_bits(room))
            bounds = _bounds(self._ends(window), count - done)
            found = bounds.size - 1
            if found == 0 and (window.size < room or room == _WIDEST):
                raise MessageError(f"{self!r}: expected {count} symbols, but the bits make only {done}")
            numbers[done : done + found] = self._read(window, bounds[:-1])
            coder.pop_bits(int(bounds[-1]))
            done += found
            room = 0 if found else _WIDEST
        return numbers


def bit_length(numbers: Numbers) -> Numbers:
    """How many binary digits numbers below 2^53 have; 0 has none."""
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64)


def total(fields: Fields) -> Numbers:
    """Bits of each codeword."""
    return np.sum([length for _, length in fields], axis=0, dtype=np.int64)


def join(fields: Fields) -> Bits:
    """The codewords one after the other."""
    lengths = total(fields)
    ends = np.cumsum(lengths)
    if ends[-1] > _MAX_PUSH_BITS:
        raise CodeError(f"{lengths.size} symbols would take {ends[-1]} bits of this code: choose one that fits them")
    bits = np.zeros(ends[-1], np.uint8)
    at = ends - lengths
    for value, length in fields:
        at = at + length
        for place in range(int(value.max()).bit_length()):  # only ones need writing
            bits[at[(value >> place & 1).astype(np.bool_)] - (1 + place)] = 1
    return bits


def _bounds(ends: Numbers, count: int) -> Numbers:
    """Where the first ``count`` codewords begin and where the last one ends; fewer if the window holds fewer.

    The orbit of 0 under ``ends``, by pointer doubling.
    """
    size = ends.size
    jump = np.append(np.minimum(ends, size + 1), [size + 1, size + 1])
    bounds = np.zeros(1, np.int64)
    while bounds[-1] <= size and bounds.size <= count:
        bounds = np.append(bounds, jump[bounds])
        jump = jump[jump]
    return bounds[: min(count + 1, int(np.searchsorted(bounds, size + 1)))]
