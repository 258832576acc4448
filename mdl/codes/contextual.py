"""Matrices whose rows resemble rows before them: symbols by counts of their own for what lies about them there."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.adaptive import blocks
from mdl.codes.alphabet import Alphabet, groups
from mdl.codes.coder import Coder, Symbols, as_symbols
from mdl.codes.numbers import integer_bits
from mdl.errors import CodeError, MdlError, MessageError
from mdl.length import LN2
from mdl.masses import Array
from mdl.priors import Gaussian, Prior
from mdl.quantize import Quantizer

MAX_REACH = 127
MAX_ROWS = 1 << 12  # they are coded one after the other
LEVELS = 8  # contexts: binary digits of the sum of the neighbours' magnitudes, at most seven
_ALPHA = 0.5  # count of every symbol in all contexts together, before the first
_SHARED = 16.0  # symbols that what all contexts have seen counts for in each
_ROWS_APART = (1, 2)  # neighbours, whatever the width
_NARROWEST = 3  # image
_WIDTHS = 2  # that are tried
_SAMPLE = 100  # columns, at most, in which they are sought

Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Contextual:
    """A family of codes: what a symbol of a matrix costs depends on those above it, by counts and not by a prior.

    For weights of which neighbours resemble each other: those of an image's pixels, whose rows lie side by side and,
    ``width`` rows apart, one above the other. An open width is chosen by the length; 0 is that of no image. A tensor
    for which ``prior`` is shorter is coded under it, and so are those of one dimension.

    Raises
    ------
    CodeError
        If the width is no whole number from 0 to 4,096.

    Examples
    --------
    >>> import mdl
    >>> y, x = np.divmod(np.arange(28 * 28), 28)
    >>> blobs = np.exp(-np.hypot(x[:, None] - [9, 14, 19], y[:, None] - [19, 9, 14]) / 4)
    >>> lengths = [mdl.measure({"w": blobs}, prior, step=2**-3).bits for prior in (Contextual(), Gaussian())]
    >>> bool(lengths[0] < 0.5 * lengths[1])
    True
    """

    prior: Prior = Gaussian()  # noqa: RUF009
    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None and not (isinstance(self.width, int | np.integer) and 0 <= self.width <= MAX_ROWS):
            raise CodeError(f"Contextual: expected a width of 0 to {MAX_ROWS} rows, or none, got {self.width}")

    def fit(self, quantizer: Quantizer, symbols: Symbols, columns: int) -> ContextualMatrix | None:
        """The code for these symbols; None where there is none: too many rows, or symbols too far from zero."""
        reach = max(-int(symbols.min()), int(symbols.max())) if symbols.size else 0
        if not (symbols.size and columns and reach <= MAX_REACH and -(-symbols.size // columns) <= MAX_ROWS):
            return None
        widths = _likely_widths(symbols, columns) if self.width is None else [self.width]
        return min((ContextualMatrix(reach, columns, width) for width in widths), key=lambda code: code.told(symbols))


def _likely_widths(symbols: Symbols, columns: int) -> list[int]:
    """0, and the distances, of all at which rows are more alike in magnitude than a row nearer or further off."""
    rows = symbols.size // columns
    some = symbols[: rows * columns].reshape(rows, columns)[:, :: -(-columns // _SAMPLE)]
    size = np.abs(some.astype(np.float64))
    power = np.square(np.abs(np.fft.rfft(size - size.mean(), 2 * rows, axis=0))).sum(axis=1)
    alike = np.fft.irfft(power)[: rows // 2 + 2]
    peaks = 1 + np.flatnonzero((alike[1:-1] > alike[:-2]) & (alike[1:-1] >= alike[2:]))
    peaks = peaks[peaks >= _NARROWEST]
    return [0, *peaks[np.argsort(-alike[peaks], kind="stable")][:_WIDTHS].tolist()]


@dataclass(frozen=True)
class ContextualMatrix:
    """Symbols -reach..reach of a matrix, row-major, by how often each occurred in its context so far.

    The neighbours of an entry are those in its column one and two rows before it, and with a width w > 0 those w - 1, w
    and w + 1 rows before. Its context is the number of binary digits of the sum of their magnitudes, at most 7; where
    their sum is negative, the symbol is coded with its sign changed. P(s) = (count of s in the context + 16 p) /
    (seen in the context + 16), p = (count of s + 1/2) / (seen + K/2) with K = 2 reach + 1. Counts are those before a
    block of max(1, seen // 8) symbols, as in ``Dirichlet``.

    Parameters
    ----------
    reach
        At most 127.
    columns
        Of the matrix, of at most 2^12 rows; its last row may be incomplete.
    width
        Rows from one pixel to the one below it; 0 if there is no image.

    Examples
    --------
    >>> code = ContextualMatrix(reach=1, columns=2, width=0)
    >>> np.exp(-code.nats([1, -1, 1, -1])).round(3).tolist()  # the last, -1 below -1, is seen as 1 below 1, as before
    [0.333, 0.188, 0.429, 0.582]
    """

    reach: int
    columns: int
    width: int

    def __post_init__(self) -> None:
        if not (0 <= self.reach <= MAX_REACH and 1 <= self.columns < 2**31 and 0 <= self.width <= MAX_ROWS):
            raise CodeError(
                f"ContextualMatrix: expected reach 0 to {MAX_REACH}, some columns and width 0 to {MAX_ROWS},"
                f" got {self.reach}, {self.columns} and {self.width}"
            )

    @property
    def lo(self) -> int:
        """The smallest symbol."""
        return -self.reach

    @property
    def hi(self) -> int:
        """The largest symbol."""
        return self.reach

    def contexts(self, symbols: ArrayLike) -> tuple[Matrix, Matrix]:
        """Level, and sign (1 or -1) of what lies about each symbol, (n,) each."""
        flat = as_symbols(symbols)
        rows, columns = self._shape(flat.size)
        matrix = np.zeros((rows, columns), np.int64)
        matrix.reshape(-1)[: flat.size] = flat
        sums, sizes = np.zeros_like(matrix), np.zeros_like(matrix)
        for lag in self._lags:
            sums[lag:] += matrix[:-lag]
            sizes[lag:] += np.abs(matrix[:-lag])
        levels, signs = _context(sums, sizes)
        return levels.reshape(-1)[: flat.size], signs.reshape(-1)[: flat.size]

    def log_masses(self, levels: Matrix, seen: Matrix) -> Array:
        """Ln mass that these symbols of these contexts, signs changed, leave for the next, (LEVELS, K) nats."""
        return _log_masses(self._count(levels, seen))

    def nats(self, symbols: ArrayLike) -> Array:
        """Length of each symbol after those before it, nats, shape of ``symbols``."""
        values = np.asarray(symbols)
        flat = self._checked(values)
        levels, signs = self.contexts(flat)
        seen, nats, counts = flat * signs, np.empty(flat.size), self._no_counts()
        for some in blocks(flat.size):
            nats[some] = -_log_masses(counts)[levels[some], seen[some] + self.reach]
            counts += self._count(levels[some], seen[some])
        return nats.reshape(values.shape)

    def told(self, symbols: ArrayLike) -> float:
        """Nats of all symbols and of the width, by which codes of one matrix differ."""
        return float(self.nats(symbols).sum()) + integer_bits(self.width).size * LN2

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write (n,) int32 symbols; CodeError if they are too many rows."""
        flat = self._checked(symbols)
        self._check_rows(flat.size, CodeError)
        levels, signs = self.contexts(flat)
        seen = (flat * signs).astype(np.int32)
        counts = self._count(levels, seen)
        for some in reversed(list(blocks(flat.size))):
            counts -= self._count(levels[some], seen[some])
            alphabet = self._alphabets(counts)
            for piece in reversed(list(self._in_rows(some))):
                for level, places in reversed(list(groups(levels[piece]))):
                    alphabet(level).push(coder, seen[piece][places])

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read them back."""
        self._check_rows(count, MessageError)
        matrix = np.zeros(self._shape(count), np.int64)
        symbols, seen, levels = matrix.reshape(-1), np.zeros(count, np.int64), np.zeros(count, np.int64)
        counts = self._no_counts()
        for some in blocks(count):
            alphabet = self._alphabets(counts)
            for piece in self._in_rows(some):
                levels[piece], signs = self._context_at(matrix, piece)
                for level, places in groups(levels[piece]):
                    seen[piece][places] = alphabet(level).pop(coder, places.size)
                symbols[piece] = seen[piece] * signs
            counts += self._count(levels[some], seen[some])
        return symbols[:count].astype(np.int32)

    @functools.cached_property
    def _lags(self) -> list[int]:
        """Rows from an entry up to its neighbours."""
        above = (self.width - 1, self.width, self.width + 1) if self.width else ()
        return sorted({lag for lag in (*_ROWS_APART, *above) if lag})

    def _checked(self, symbols: ArrayLike) -> Symbols:
        flat = as_symbols(np.asarray(symbols).ravel())
        if flat.size and not self.lo <= flat.min() <= flat.max() <= self.hi:
            raise CodeError(f"expected symbols from {self.lo} to {self.hi}, got {flat.min()} to {flat.max()}")
        return flat

    def _check_rows(self, count: int, error: type[MdlError]) -> None:
        if self._shape(count)[0] > MAX_ROWS:
            raise error(f"ContextualMatrix: expected at most {MAX_ROWS} rows, got {self._shape(count)[0]}")

    def _shape(self, count: int) -> tuple[int, int]:
        """Rows, and the columns that occur."""
        return -(-count // self.columns), min(count, self.columns)

    def _in_rows(self, some: slice) -> Iterator[slice]:
        """These symbols, those of each row apart."""
        ends = range(some.start - some.start % self.columns + self.columns, some.stop, self.columns)
        return itertools.starmap(slice, itertools.pairwise([some.start, *ends, some.stop]))

    def _context_at(self, matrix: Matrix, piece: slice) -> tuple[Matrix, Matrix]:
        """Level and sign of what lies about a piece of a row."""
        row, first = divmod(piece.start, self.columns)
        above = matrix[[row - lag for lag in self._lags if lag <= row], first : first + piece.stop - piece.start]
        return _context(above.sum(axis=0), np.abs(above).sum(axis=0))

    def _no_counts(self) -> Matrix:
        return np.zeros((LEVELS, 2 * self.reach + 1), np.int64)

    def _count(self, levels: Matrix, seen: NDArray[Any]) -> Matrix:
        symbols = 2 * self.reach + 1
        cells = levels * symbols + seen + self.reach
        return np.bincount(cells.ravel(), minlength=LEVELS * symbols).reshape(LEVELS, symbols)

    def _alphabets(self, counts: Matrix) -> Callable[[int], Alphabet]:
        """Those of the contexts, made when they are asked for."""
        masses = _log_masses(counts)
        return functools.cache(lambda level: Alphabet(masses[level], self.lo))


def _context(sums: Matrix, sizes: Matrix) -> tuple[Matrix, Matrix]:
    """Level and sign of neighbours with these sums and sums of magnitudes."""
    _, digits = np.frexp(sizes.astype(np.float64))
    return np.minimum(digits, LEVELS - 1).astype(np.int64), np.where(sums < 0, -1, 1)


def _log_masses(counts: Matrix) -> Array:
    """Ln mass of the next symbol in every context, (LEVELS, K) nats."""
    together = counts.sum(axis=0)
    shared = _SHARED * (together + _ALPHA) / (together.sum() + _ALPHA * together.size)
    return np.log(counts + shared) - np.log(counts.sum(axis=1, keepdims=True) + _SHARED)
