"""Prior x quantizer -> code: a symbol costs -ln of the mass that the prior gives its cell."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.alphabet import Alphabet, groups
from mdl.codes.coder import MAX_LEVELS, Coder, Symbols
from mdl.errors import CodeError, PriorError
from mdl.masses import Array
from mdl.priors import Hashed, Prior
from mdl.quantize import Quantizer

_CHUNK = 1 << 12  # cells at a time: a mixture holds many numbers for each


@dataclass(frozen=True)
class Discretized:
    """The cells ``lo..hi`` of a quantizer under a prior.

    ``nats`` is the prior's own length, -ln mass(cell). Bytes are never longer than that (but for rounding): they
    renormalise to ``lo..hi``, which the reader has been told.

    Parameters
    ----------
    prior
        Without open parameters.
    quantizer
        Whose symbols are coded.
    lo, hi
        The smallest and largest symbol, both included.

    Examples
    --------
    >>> from mdl.priors import Gaussian
    >>> from mdl.quantize import UniformGrid
    >>> code = Discretized(Gaussian(scale=1.0), UniformGrid(0.5), lo=-8, hi=8)
    >>> code.nats([0, 2]).round(4).tolist()
    [1.6225, 2.1122]
    """

    prior: Prior
    quantizer: Quantizer
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if not -(2**31) <= self.lo <= self.hi < 2**31:
            raise CodeError(f"expected lo <= hi within 32 bits, got {self.lo} and {self.hi}")
        if isinstance(self.prior, Hashed) and self.levels > MAX_LEVELS:
            raise CodeError(f"Hashed orders at most {MAX_LEVELS} cells, got {self.levels}: use a larger step")

    @property
    def levels(self) -> int:
        """Size of the alphabet."""
        return self.hi - self.lo + 1

    @property
    def log_masses(self) -> Array:
        """Ln mass of every cell, (levels,) nats; at most 2^16 levels."""
        return _log_masses(self)

    def _masses(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> Array:
        """Ln mass of each run of cells, offsets from ``lo``, both included."""
        rows = _CHUNK if not isinstance(self.prior, Hashed) else first.size  # which orders all cells at once
        masses = np.empty(first.size)
        for start in range(0, first.size, rows):
            lower, _ = self.quantizer.cell(first[start : start + rows] + self.lo)
            _, upper = self.quantizer.cell(last[start : start + rows] + self.lo)
            masses[start : start + rows] = self.prior.log_mass(lower, upper)
        return masses

    def _offsets(self, symbols: ArrayLike) -> NDArray[np.int64]:
        values = np.asarray(symbols, np.int64)
        self._check(values)
        return values - self.lo

    def _check(self, symbols: NDArray[Any]) -> None:
        if symbols.size and not self.lo <= symbols.min() <= symbols.max() <= self.hi:
            raise CodeError(f"expected symbols from {self.lo} to {self.hi}, got {symbols.min()} to {symbols.max()}")

    def log_mass(self, symbols: ArrayLike) -> Array:
        """Ln mass of each symbol's cell, nats; -inf where the prior gives it none."""
        offsets = self._offsets(symbols)
        if isinstance(self.prior, Hashed) or offsets.size > self.levels <= MAX_LEVELS:
            return self.log_masses[offsets]
        return self._masses(offsets, offsets)

    def nats(self, symbols: ArrayLike) -> Array:
        """-ln mass of each symbol's cell, nats; PriorError if the prior gives one of them no mass."""
        terms = self.log_mass(symbols)
        if terms.size and not np.isfinite(terms.min()):
            worst = np.asarray(symbols).ravel()[int(np.argmin(terms))]
            weight = float(self.quantizer.dequantize(worst))
            raise PriorError(f"{self.prior} gives the weight {weight:g} (symbol {worst}) no mass")
        return np.maximum(-terms, 0.0)

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write symbols; wide alphabets as the leading digits, then the trailing digits given those."""
        if self.levels <= MAX_LEVELS:
            self._check(symbols)
            return self._whole.push(coder, symbols)
        offsets = self._offsets(symbols)
        leading = (offsets >> self._trailing_bits).astype(np.int32)
        for digit, positions in reversed(list(groups(leading))):
            within = offsets[positions] - (digit << self._trailing_bits)
            self._trailing(digit).push(coder, within.astype(np.int32))
        self._leading.push(coder, leading)

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read symbols."""
        if self.levels <= MAX_LEVELS:
            return self._whole.pop(coder, count)
        leading = self._leading.pop(coder, count)
        symbols = (leading.astype(np.int64) << self._trailing_bits) + self.lo
        for digit, positions in groups(leading):
            symbols[positions] += self._trailing(digit).pop(coder, positions.size)
        return symbols.astype(np.int32)

    def pop_into(self, coder: Coder, out: NDArray[Any], values: NDArray[Any]) -> None:
        """Fill ``out`` (n,) with symbols, each read as its entry of ``values`` (levels,); at most 2^16 levels."""
        self._whole.pop_into(coder, out, values)

    @property
    def _whole(self) -> Alphabet:
        return _alphabet(self)

    @functools.cached_property
    def _trailing_bits(self) -> int:
        return self.levels.bit_length() // 2

    @functools.cached_property
    def _leading(self) -> Alphabet:
        first = np.arange(0, self.levels, 1 << self._trailing_bits)
        last = np.minimum(first + (1 << self._trailing_bits), self.levels) - 1
        return Alphabet(self._masses(first, last))

    def _trailing(self, digit: int) -> Alphabet:
        start = digit << self._trailing_bits
        cells = np.arange(start, min(start + (1 << self._trailing_bits), self.levels))
        return Alphabet(self._masses(cells, cells))


# Tensors in a row often share a code; kept by the codes themselves, the tables of a thousand tensors would add up.
@functools.lru_cache(maxsize=4)
def _log_masses(code: Discretized) -> Array:
    every = np.arange(code.levels, dtype=np.int64)
    masses = code._masses(every, every)
    masses.flags.writeable = False
    return masses


@functools.lru_cache(maxsize=4)
def _alphabet(code: Discretized) -> Alphabet:
    return Alphabet(code.log_masses, code.lo)
