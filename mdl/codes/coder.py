"""The only importer of the entropy coder: symbols and bits go in, bytes come out, and back.

A message has two lanes. The *entropy lane* is a stack (asymmetric numeral systems): symbols are pushed under integer
frequencies and popped in the opposite order. The *bit lane* holds prefix codewords, read from the front. Every code
pushes onto both with the same discipline: what is pushed last is read first.

Probabilities reach the coder as integers that sum to 2^24, so that a reader on another platform either computes the
same integers or finds out that it does not: ``fingerprint`` sums the checksums of all tables used.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import constriction
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.errors import CodeError, MessageError

if TYPE_CHECKING:
    from mdl.codes import Code

PRECISION = 24
TOTAL = 1 << PRECISION
MAX_LEVELS = 1 << 16  # of one table: a level takes at least 2^-24 of the mass
_NUDGE = 2.0**-20  # keeps simple fractions, whose multiples are whole numbers, away from where floor jumps

_AnsCoder: Any = constriction.stream.stack.AnsCoder
_Categorical: Any = constriction.stream.model.Categorical

Frequencies = NDArray[np.int64]
Symbols = NDArray[np.int32]
Bits = NDArray[np.uint8]


def frequencies(log_mass: ArrayLike) -> Frequencies:
    """Integers >= 1 that sum to 2^24 along the last axis, proportional to the masses as closely as that allows.

    Parameters
    ----------
    log_mass
        (..., K) nats; need not be normalised; -inf allowed, though not everywhere.

    Raises
    ------
    CodeError
        If a row has no mass at all or more than 2^16 levels.

    Examples
    --------
    >>> frequencies([0.0, 0.0, -np.inf]).tolist()
    [8388608, 8388607, 1]
    """
    logs = np.asarray(log_mass, float)
    levels = logs.shape[-1]
    if not 1 <= levels <= MAX_LEVELS:
        raise CodeError(f"an alphabet of {levels} levels: expected 1 to {MAX_LEVELS}")
    top = logs.max(axis=-1, keepdims=True)
    if not np.isfinite(top).all():
        raise CodeError("a distribution without mass (or with a NaN) cannot be coded with")
    mass = np.exp(logs - top)
    return apportioned(mass / mass.sum(axis=-1, keepdims=True))


def apportioned(mass: NDArray[np.float64]) -> Frequencies:
    """``frequencies`` of masses (..., K) that sum to 1 up to rounding errors; they are not checked."""
    table = np.ascontiguousarray(1 + np.floor(mass * (TOTAL - mass.shape[-1]) + _NUDGE), np.int64)
    rows = table.reshape(-1, mass.shape[-1])
    rows[np.arange(rows.shape[0]), rows.argmax(axis=1)] += TOTAL - rows.sum(axis=1)
    return table


def shares(log_mass: NDArray[np.float64], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Masses of several distributions end to end, each of so many levels, that sum to 1 in each.

    Equal masses where there is none at all; CodeError for a NaN.
    """
    starts = sizes.cumsum() - sizes
    top = np.maximum.reduceat(log_mass, starts)
    if not np.isfinite(top).all():
        if not np.isneginf(top[~np.isfinite(top)]).all():
            raise CodeError("a distribution with a NaN or an infinite mass cannot be coded with")
        log_mass, top = np.where(np.repeat(np.isfinite(top), sizes), log_mass, 0.0), np.maximum(top, 0.0)
    mass = np.exp(log_mass - top.repeat(sizes))
    mass /= np.add.reduceat(mass, starts).repeat(sizes)
    return mass


def apportioned_each(mass: NDArray[np.float64], sizes: NDArray[np.intp]) -> Frequencies:
    """``frequencies`` of the masses of several distributions end to end, that sum to 1 in each up to rounding errors.

    Examples
    --------
    >>> apportioned_each(np.array([0.5, 0.5, 0.25, 0.75]), np.array([2, 2])).tolist()
    [8388608, 8388608, 4194304, 12582912]
    """
    if sizes.max() > MAX_LEVELS:
        raise CodeError(f"an alphabet of {sizes.max()} levels: expected 1 to {MAX_LEVELS}")
    starts = sizes.cumsum() - sizes
    table = (mass * (TOTAL - sizes).repeat(sizes) + _NUDGE).astype(np.int64)
    table += 1
    largest = (table == np.maximum.reduceat(table, starts).repeat(sizes)).nonzero()[0]
    table[largest[largest.searchsorted(starts)]] += TOTAL - np.add.reduceat(table, starts)
    return table


def _model(table: Frequencies) -> tuple[Any, ...]:
    """The coder's model of exactly these integers, and its per-symbol arguments.

    The coder gives every level one count and shares out the rest in proportion, in exact arithmetic when the
    rest is given as integers that sum to what is left; hence ``table - 1``.
    """
    if table.ndim == 1:
        return (_Categorical((table - 1).astype(np.float64), perfect=False),)
    return _Categorical(perfect=False), (table - 1).astype(np.float64)


class Coder:
    """A message being written or read.

    Guarantees: pops return what was pushed, in the opposite order; ``to_bytes`` takes at most 40 bits more than the
    codewords and the logarithms of the frequencies pushed. Requirements: a reader asks for the same tables as the
    writer; if not, the symbols are garbage and ``fingerprint`` differs.

    An empty stack wastes about 20 bits on its first symbol. A ``bottom`` of 32 bits, which a reader finds when all has
    been popped, takes their place: something that is checked at the end costs nothing else there.
    """

    def __init__(self, bottom: int | None = None) -> None:
        self._ans = _AnsCoder() if bottom is None else _AnsCoder(np.array([bottom, 1], np.uint32))
        self._chunks: list[Bits] = []  # of the bit lane; the last is read first
        self._lane: Bits = np.empty(0, np.uint8)
        self._position = 0
        self._fingerprint = 0

    @property
    def fingerprint(self) -> int:
        """Sum of the CRC-32s of all tables pushed or popped and values noted so far, mod 2^32, in whichever order."""
        return self._fingerprint

    def note(self, values: NDArray[Any]) -> None:
        """Let the fingerprint tell whether a reader computes the same numbers, to the last bit."""
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        self._fingerprint = (self._fingerprint + zlib.crc32(little.tobytes())) & 0xFFFFFFFF

    @property
    def size_bits(self) -> int:
        """Bits pushed so far, both lanes, without framing."""
        return int(self._ans.num_valid_bits()) + sum(chunk.size for chunk in self._chunks)

    def push(self, table: Frequencies, symbols: Symbols) -> None:
        """Push symbols in 0..K-1 under one table (K,) for all or a row each (n, K); popped in their given order."""
        self.note(table)
        if symbols.size and table.shape[-1] > 1:
            model, *rows = _model(table)
            self._ans.encode_reverse(np.ascontiguousarray(symbols, np.int32), model, *rows)

    def pop(self, table: Frequencies, count: int) -> Symbols:
        """Pop ``count`` symbols under one table (K,), or one a row under (count, K)."""
        self.note(table)
        if count == 0 or table.shape[-1] == 1:
            return np.zeros(count, np.int32)
        model, *rows = _model(table)
        popped = self._ans.decode(model, *rows) if rows else self._ans.decode(model, count)
        return np.asarray(popped, np.int32)

    def push_bits(self, bits: Bits) -> None:
        """Push 0/1 values onto the bit lane; read in their given order."""
        self._chunks.append(np.asarray(bits, np.uint8))

    @property
    def bits_left(self) -> int:
        """Bits of the lane not yet read, the padding of its last byte included."""
        return self._lane.size - self._position

    def peek_bits(self, count: int) -> Bits:
        """The next bits of the lane, fewer than ``count`` if it ends."""
        return self._lane[self._position : self._position + count]

    def pop_bits(self, count: int) -> Bits:
        """Read exactly ``count`` bits."""
        if not 0 <= count <= self.bits_left:
            raise MessageError(f"expected {count} more bits, but the message has {self.bits_left}")
        bits = self.peek_bits(count)
        self._position += count
        return bits

    @property
    def bits_read(self) -> bool:
        """True when nothing is left of the bit lane but zero padding."""
        return self.bits_left < 8 and not self.peek_bits(8).any()

    @property
    def finished(self) -> bool:
        """True when everything has been read of a message without a ``bottom``."""
        return self.bits_read and bool(self._ans.is_empty())

    @property
    def bottom(self) -> int | None:
        """What lies at the bottom of the stack; None while something lies above it."""
        left = self._ans.get_compressed() if int(self._ans.num_words()) == 2 else (0, 0)
        return int(left[0]) if int(left[1]) == 1 else None

    def to_bytes(self) -> bytes:
        """The whole message: length of the bit lane in bytes (LEB128), the bit lane, the entropy lane."""
        lane = np.packbits(np.concatenate([*self._chunks[::-1], np.empty(0, np.uint8)])).tobytes()
        words = self._ans.get_compressed().astype("<u4").tobytes()
        return _leb128(len(lane)) + lane + words.rstrip(b"\0")

    @classmethod
    def of_bits(cls, bits: Bits) -> Coder:
        """A coder that reads a bit lane alone."""
        coder = cls()
        coder._lane = bits
        return coder

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Coder:
        """A coder that reads what ``to_bytes`` wrote; MessageError if it cannot have been."""
        size, start = _read_leb128(data)
        if size > len(data) - start:
            raise MessageError(f"expected a bit lane of {size} bytes, but only {len(data) - start} follow")
        if len(data) > start + size and data[-1] == 0:
            raise MessageError("the entropy-coded part ends in a zero byte, which no writer leaves")
        coder = cls()
        coder._lane = np.unpackbits(np.frombuffer(data, np.uint8, size, start))
        words = np.zeros(-(-(len(data) - start - size) // 4), "<u4")
        words.view(np.uint8)[: len(data) - start - size] = np.frombuffer(data, np.uint8, offset=start + size)
        padded = words.astype(np.uint32, copy=False)
        coder._ans = _AnsCoder(padded) if padded.size else _AnsCoder()
        return coder


def _leb128(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + [groups[-1]])


def _read_leb128(data: bytes | memoryview) -> tuple[int, int]:
    """Value and number of bytes it took."""
    value = 0
    for index, byte in enumerate(data[:5]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, index + 1
    raise MessageError("the message ends before its first number does")


def encode(code: Code, symbols: ArrayLike) -> bytes:
    """Bytes of ``symbols`` under ``code``; the reader must know the code and how many there are.

    Parameters
    ----------
    code
        Any :class:`mdl.codes.Code`.
    symbols
        (n,) integers of the code's alphabet.

    Raises
    ------
    CodeError
        If a symbol lies outside the alphabet.

    Examples
    --------
    >>> from mdl.codes.integers import EliasDelta
    >>> decode(EliasDelta(), encode(EliasDelta(), [1, 2, 300]), 3).tolist()
    [1, 2, 300]
    """
    coder = Coder()
    code.push(coder, as_symbols(symbols))
    return coder.to_bytes()


def decode(code: Code, data: bytes, count: int) -> Symbols:
    """The ``count`` symbols that ``encode`` wrote; MessageError if the bytes end early or are left over."""
    coder = Coder.from_bytes(data)
    symbols = code.pop(coder, count)
    if not coder.finished:
        raise MessageError(f"bytes are left after {count} symbols: another code or count wrote them")
    return symbols


def as_symbols(symbols: ArrayLike) -> Symbols:
    """(n,) int32, or CodeError for anything that is not integers of that range."""
    values = np.asarray(symbols)
    if values.size == 0:
        return np.zeros(0, np.int32)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise CodeError(f"expected a 1-D array of integers, got {values.dtype} of shape {values.shape}")
    if values.dtype != np.int32 and (values.min() < -(2**31) or values.max() >= 2**31):
        raise CodeError(f"expected symbols that fit 32 bits, got {values.min()} to {values.max()}")
    return np.ascontiguousarray(values, np.int32)
