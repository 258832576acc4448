"""Universal integer codes: codewords on the bit lane, Rissanen's prior on the entropy lane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from mdl.codes.alphabet import Alphabet, groups
from mdl.codes.coder import Coder, Frequencies, frequencies
from mdl.codes.prefix import INVALID, REACH, WORD, Fields, IntegerCode, Numbers, Window, bit_length, total
from mdl.errors import CodeError
from mdl.length import LN2
from mdl.masses import Array

_QUOTIENTS = 1 << 18  # of Golomb-Rice codes
_LOG_STAR_CONSTANT = 2.8651084158399075  # sum of 2^-log2* n; the 2.865064 often printed would break Kraft's inequality
_TOP_BITS = 10  # of a remainder, coded by the density; those below are flat
_FLAT_BITS = 11  # of those, coded at a time

_fibonacci = [1, 2]
while _fibonacci[-1] <= REACH:
    _fibonacci.append(_fibonacci[-1] + _fibonacci[-2])
_FIBONACCI = np.array(_fibonacci, np.int64)


@dataclass(frozen=True)
class EliasGamma(IntegerCode):
    """Elias gamma, n >= 1: floor(log2 n) zeros, then n in binary.

    Examples
    --------
    >>> [EliasGamma().codeword(n) for n in (1, 2, 5)]
    ['1', '010', '00101']

    References
    ----------
    P. Elias, Universal codeword sets and representations of the integers, IEEE Trans. Inf. Theory 21 (1975).
    """

    def _fields(self, numbers: Numbers) -> Fields:
        return [(numbers, 2 * bit_length(numbers) - 1)]

    def _ends(self, window: Window) -> Numbers:
        return 2 * window.first(window.bits == 1)[:-1] - window.positions + 1

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        ones = window.first(window.bits == 1)[starts]
        return window.value(ones, ones - starts + 1)


@dataclass(frozen=True)
class EliasDelta(IntegerCode):
    """Elias delta, n >= 1: the bit length of n in gamma, then n without its leading one.

    Examples
    --------
    >>> [EliasDelta().codeword(n) for n in (1, 2, 17)]
    ['1', '0100', '001010001']

    References
    ----------
    P. Elias, Universal codeword sets and representations of the integers, IEEE Trans. Inf. Theory 21 (1975).
    """

    def _fields(self, numbers: Numbers) -> Fields:
        digits = bit_length(numbers)
        return [(digits, 2 * bit_length(digits) - 1), (numbers - (1 << digits - 1), digits - 1)]

    def _ends(self, window: Window) -> Numbers:
        ones = window.first(window.bits == 1)[:-1]
        zeros = ones - window.positions
        return ones + zeros + window.value(ones, zeros + 1)

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        ones = window.first(window.bits == 1)[starts]
        zeros = ones - starts
        rest = np.minimum(window.value(ones, zeros + 1), WORD) - 1
        return (1 << rest) + window.value(ones + zeros + 1, rest)


@dataclass(frozen=True)
class EliasOmega(IntegerCode):
    """Elias omega, n >= 1: n in binary, before it the bit length of n less one, and so on down to 1; a zero ends it.

    Examples
    --------
    >>> [EliasOmega().codeword(n) for n in (1, 2, 17)]
    ['0', '100', '10100100010']

    References
    ----------
    P. Elias, Universal codeword sets and representations of the integers, IEEE Trans. Inf. Theory 21 (1975).
    """

    def _fields(self, numbers: Numbers) -> Fields:
        fields = [(np.zeros_like(numbers), np.ones_like(numbers))]
        while (more := numbers > 1).any():
            digits = np.where(more, bit_length(numbers), 0)
            fields.insert(0, (np.where(more, numbers, 0), digits))
            numbers = digits - 1
        return fields

    def _ends(self, window: Window) -> Numbers:
        return self._walk(window, window.positions)[1]

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        return self._walk(window, starts)[0]

    @staticmethod
    def _walk(window: Window, starts: Numbers) -> tuple[Numbers, Numbers]:
        numbers, at = np.ones_like(starts), starts
        for _ in range(4):  # only from 2^65536 on is there a fifth group
            more = window.value(at, 1) == 1
            width = np.minimum(numbers + 1, WORD)
            numbers = np.where(more, window.value(at, width), numbers)
            at = np.where(more, at + width, at)
        return np.where(window.value(at, 1) == 1, INVALID, numbers), at + 1


@dataclass(frozen=True)
class Fibonacci(IntegerCode):
    """Fibonacci code, n >= 1: which of 1, 2, 3, 5, 8, ... sum to n, no two neighbours of them, then a one.

    Examples
    --------
    >>> [Fibonacci().codeword(n) for n in (1, 2, 3, 4, 65)]
    ['11', '011', '0011', '1011', '0100100011']

    References
    ----------
    A. S. Fraenkel and S. T. Klein, Robust universal complete codes for transmission and compression, Discrete Applied
    Mathematics 64 (1996).
    """

    def _fields(self, numbers: Numbers) -> Fields:
        top = np.searchsorted(_FIBONACCI, numbers, "right") - 1
        words, rest = np.ones_like(numbers), numbers
        for index in range(int(top.max(initial=0)), -1, -1):
            taken = rest >= _FIBONACCI[index]
            rest = np.where(taken, rest - _FIBONACCI[index], rest)
            words += np.where(taken, 1 << np.maximum(top + 1 - index, 0), 0)
        return [(words, top + 2)]

    def _ends(self, window: Window) -> Numbers:
        return self._last_digits(window)[:-1] + 2

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        digits = self._last_digits(window)[starts] - starts + 1
        longest = min(int(digits.max(initial=0)), _FIBONACCI.size)
        numbers = np.where(digits > longest, INVALID, 0)
        for index in range(longest):
            present = (digits > index) & (window.value(starts + index, 1) == 1)
            numbers += np.where(present, _FIBONACCI[index], 0)
        return numbers

    @staticmethod
    def _last_digits(window: Window) -> Numbers:
        return window.first((window.bits & np.append(window.bits[1:], 0)) == 1)


@dataclass(frozen=True)
class GolombRice(IntegerCode):
    """Golomb-Rice, n >= 0: n >> k zeros, a one, then the k low bits of n; made for a geometric distribution.

    Symbols reach 2^(18 + k) - 1, so that no codeword is longer than 32 kB.

    Parameters
    ----------
    k
        0 to 31.

    Raises
    ------
    CodeError
        If k lies outside that range.

    Examples
    --------
    >>> [GolombRice(2).codeword(n) for n in (0, 3, 4, 9)]
    ['100', '111', '0100', '00101']

    References
    ----------
    R. F. Rice, Some practical universal noiseless coding techniques, JPL Publication 79-22 (1979).
    """

    k: int

    def __post_init__(self) -> None:
        if not 0 <= self.k <= 31:
            raise CodeError(f"GolombRice: expected k from 0 to 31, got {self.k}")

    @property
    def _span(self) -> tuple[int, int]:
        return 0, min((_QUOTIENTS << self.k) - 1, REACH)

    def _fields(self, numbers: Numbers) -> Fields:
        low = numbers & (1 << self.k) - 1
        return [(np.ones_like(numbers), (numbers >> self.k) + 1), (low, np.full_like(numbers, self.k))]

    def _ends(self, window: Window) -> Numbers:
        return window.first(window.bits == 1)[:-1] + 1 + self.k

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        ones = window.first(window.bits == 1)[starts]
        return (ones - starts << self.k) + window.value(ones + 1, self.k)


@dataclass(frozen=True)
class Rational(IntegerCode):
    """The code of Lan et al. for rational weights: the symbol s stands for s/denominator = p/q in lowest terms.

    A sign bit, E(abs(p)), E(q), with E(n) = 1^k 0 bin(n), k the bit length of n: 2k + 1 bits. Zero takes 5 bits.

    Parameters
    ----------
    denominator
        1 to 2^31 - 1, shared by all symbols; a decoder must know it.

    Raises
    ------
    CodeError
        If the denominator lies outside that range.

    Examples
    --------
    >>> Rational(10).codeword(4), Rational(10).codeword(0)
    ('0110101110101', '00101')

    References
    ----------
    N. Lan, M. Geyer, E. Chemla and R. Katzir, Minimum description length recurrent neural networks, TACL 10 (2022).
    """

    denominator: int

    def __post_init__(self) -> None:
        if not 1 <= self.denominator <= self.largest:
            raise CodeError(f"Rational: expected a denominator from 1 to 2^31 - 1, got {self.denominator}")

    @property
    def _span(self) -> tuple[int, int]:
        return -REACH, REACH

    def _fields(self, numbers: Numbers) -> Fields:
        sign, p, q = self._fractions(numbers)
        fields = [(sign, np.ones_like(sign))]
        for part in (p, q):
            digits = bit_length(part)
            fields += [((1 << digits) - 1 << 1, digits + 1), (part, digits)]
        return fields

    def _ends(self, window: Window) -> Numbers:
        return self._walk(window, window.positions)[-1]

    def _read(self, window: Window, starts: Numbers) -> Numbers:
        sign, p, q, ends = self._walk(window, starts)
        size = np.minimum(p, REACH) * (self.denominator // np.maximum(q, 1))
        numbers = np.where(sign == 1, -size, size)
        canonical = total(self._fields(numbers)) == ends - starts
        for found, written in zip((sign, p, q), self._fractions(numbers), strict=True):
            canonical &= found == written
        return np.where(canonical, numbers, INVALID)

    def _fractions(self, numbers: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        divisor = np.gcd(numbers, self.denominator)
        return (numbers < 0).astype(np.int64), abs(numbers) // divisor, self.denominator // divisor

    @staticmethod
    def _walk(window: Window, starts: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        zeros = window.first(window.bits == 0)
        parts, at = [], starts + 1
        for _ in range(2):
            zero = zeros[np.minimum(at, window.size)]
            digits = np.maximum(zero - at, 0)
            parts.append(window.value(zero + 1, digits))
            at = np.maximum(zero, at) + 1 + digits
        return window.value(starts, 1), parts[0], parts[1], at


@dataclass(frozen=True)
class LogStar(IntegerCode):
    """Rissanen's universal prior, n >= 1: log2* n + 1.52 bits, log2* n = log2 n + log2 log2 n + ... while positive.

    1.52 is log2 c with c = 2.865108, the sum of 2^-log2* n. It has no codewords: floor(log2 n) and the remainder go
    through the entropy lane, renormalised to n < 2^33, so that the bytes are about 0.26 bits a symbol below ``nats``.

    Examples
    --------
    >>> (LogStar().nats([1, 2, 16]) / LN2).round(3).tolist()
    [1.519, 2.519, 8.519]

    References
    ----------
    J. Rissanen, A universal prior for integers and estimation by minimum description length, Ann. Statist. 11 (1983).
    """

    def _ideal(self, numbers: Numbers) -> Array:
        return _log_star_nats(numbers.astype(np.float64))

    def _write_to(self, coder: Coder, numbers: Numbers) -> None:
        classes = (bit_length(numbers) - 1).astype(np.int32)
        which, within = _log_star_tables()
        for places, members in reversed(list(groups(classes))):
            rest = numbers[members] - (1 << places)
            low = max(places - _TOP_BITS, 0)
            for shift in range(0, low, _FLAT_BITS):
                flat = _flat(min(low - shift, _FLAT_BITS))
                coder.push(flat, (rest >> shift & flat.size - 1).astype(np.int32))
            within[places].push(coder, (rest >> low).astype(np.int32))
        which.push(coder, classes)

    def _read_from(self, coder: Coder, count: int) -> Numbers:
        which, within = _log_star_tables()
        classes = which.pop(coder, count)
        numbers = np.left_shift(1, classes, dtype=np.int64)
        for places, members in groups(classes):
            low = max(places - _TOP_BITS, 0)
            rest = within[places].pop(coder, members.size).astype(np.int64) << low
            for shift in reversed(range(0, low, _FLAT_BITS)):
                rest += coder.pop(_flat(min(low - shift, _FLAT_BITS)), members.size).astype(np.int64) << shift
            numbers[members] += rest
        return numbers


def _log_star_nats(x: Array) -> Array:
    nats = np.full(x.shape, math.log(_LOG_STAR_CONSTANT))
    while (x > 1.0).any():
        x = np.log2(np.maximum(x, 1.0))
        nats += LN2 * x
    return nats


def _flat(bits: int) -> Frequencies:
    return frequencies(np.zeros(1 << bits))


@cache
def _log_star_tables() -> tuple[Alphabet, list[Alphabet]]:
    """Of floor(log2 n); and for each, of the highest bits of the remainder, by the density amid each cell."""
    cells = []
    for places in range(REACH.bit_length()):
        width = 1 << max(places - _TOP_BITS, 0)
        first = np.arange(1 << places, 2 << places, width, dtype=np.float64)
        cells.append(math.log(width) - _log_star_nats(first + (width - 1) / 2))
    return Alphabet(np.array([np.logaddexp.reduce(masses) for masses in cells])), [Alphabet(masses) for masses in cells]


@dataclass(frozen=True)
class Signed(IntegerCode):
    """Another of these codes for symbols of either sign: 0, -1, 1, -2, ... take its first, second, ... symbol.

    Parameters
    ----------
    code
        A code for n >= 0 or n >= 1.

    Raises
    ------
    CodeError
        If the code takes negative symbols already.

    Examples
    --------
    >>> [Signed(EliasGamma()).codeword(s) for s in (0, -1, 1)]
    ['1', '010', '011']
    """

    code: IntegerCode

    def __post_init__(self) -> None:
        if self.code.smallest < 0:
            raise CodeError(f"Signed: expected a code for n >= 0 or n >= 1, got {self.code!r}")

    @property
    def _span(self) -> tuple[int, int]:
        first, last = self.code._span
        return -(last - first + 1 >> 1), last - first >> 1

    def _fields(self, numbers: Numbers) -> Fields:
        return self.code._fields(self._index(numbers))

    def _ideal(self, numbers: Numbers) -> Array:
        return self.code._ideal(self._index(numbers))

    def _write_to(self, coder: Coder, numbers: Numbers) -> None:
        self.code._write_to(coder, self._index(numbers))

    def _read_from(self, coder: Coder, count: int) -> Numbers:
        index = self.code._read_from(coder, count) - self.code.smallest
        return index >> 1 ^ -(index & 1)

    def _index(self, numbers: Numbers) -> Numbers:
        return (numbers << 1 ^ numbers >> 63) + self.code.smallest
