"""Data given predictions -> code: each example's symbol under its own predicted distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.coder import Coder, Symbols, frequencies
from mdl.errors import CodeError
from mdl.likelihoods import Likelihood
from mdl.masses import Array

_BASE_BITS = 8  # a wide alphabet is coded digit by digit, so that a table has at most 256 levels
_ROWS = 1024  # tables held at a time


@dataclass(frozen=True, eq=False)
class Labels:
    """The symbols ``lo..hi`` of n examples under a likelihood and n predictions.

    Predictions are rounded to the likelihood's ``resolution``, so that a reader whose arithmetic differs in the last
    place computes the same tables; ``nats`` is the length under the rounded predictions.

    Parameters
    ----------
    likelihood
        Without open parameters.
    predictions
        (n, ...) as the likelihood expects them.
    lo, hi
        Smallest and largest symbol that can be coded, both included.
    """

    likelihood: Likelihood
    predictions: Array
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if not self.lo <= self.hi:
            raise CodeError(f"labels: expected lo <= hi, got {self.lo} and {self.hi}")
        self.likelihood.to_symbols(self.likelihood.from_symbols([self.lo, self.hi]))  # or DataError: it has no such
        unit = self.likelihood.resolution
        object.__setattr__(self, "predictions", np.rint(np.asarray(self.predictions, np.float64) / unit) * unit)

    def nats(self, symbols: ArrayLike) -> Array:
        """-ln probability of each example's symbol, (n,) nats."""
        column = self._checked(symbols)[:, None]
        return -self.likelihood.log_mass(self.predictions, column, column)[:, 0]

    def _checked(self, symbols: ArrayLike) -> NDArray[np.int64]:
        values = np.asarray(symbols, np.int64)
        if values.shape != self.predictions.shape[:1]:
            raise CodeError(f"labels: expected {self.predictions.shape[0]} symbols, got shape {values.shape}")
        if values.size and not self.lo <= values.min() <= values.max() <= self.hi:
            raise CodeError(f"labels: expected {self.lo} to {self.hi}, got {values.min()} to {values.max()}")
        return values

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write the n symbols."""
        offsets = self._checked(symbols) - self.lo
        for rows in reversed(list(self._chunks())):
            for shift in self._shifts[::-1]:
                digit = offsets[rows] >> shift & ((1 << _BASE_BITS) - 1)
                coder.push(self._tables(rows, offsets[rows] >> (shift + _BASE_BITS), shift), digit.astype(np.int32))

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read the n symbols; ``count`` must be n."""
        if count != self.predictions.shape[0]:
            raise CodeError(f"labels: expected to read {self.predictions.shape[0]} symbols, got {count}")
        offsets = np.zeros(count, np.int64)
        for rows in self._chunks():
            for shift in self._shifts:
                table = self._tables(rows, offsets[rows], shift)
                offsets[rows] = (offsets[rows] << _BASE_BITS) + coder.pop(table, table.shape[0])
        return (offsets + self.lo).astype(np.int32)

    @property
    def _shifts(self) -> list[int]:
        digits = max(1, -(-(self.hi - self.lo).bit_length() // _BASE_BITS))
        return [_BASE_BITS * digit for digit in reversed(range(digits))]

    def _chunks(self) -> Iterator[slice]:
        n = self.predictions.shape[0]
        return (slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS))

    def _tables(self, rows: slice, prefix: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
        """(rows, levels) frequencies of the next digit, given the digits before it."""
        levels = min(1 << _BASE_BITS, ((self.hi - self.lo) >> shift) + 1)
        first = ((prefix[:, None] << _BASE_BITS) + np.arange(levels)) << shift
        last = first + (1 << shift) - 1
        inside = first <= self.hi - self.lo
        low, high = np.minimum(first, self.hi - self.lo), np.minimum(last, self.hi - self.lo)
        log_mass = self.likelihood.log_mass(self.predictions[rows], low + self.lo, high + self.lo)
        log_mass = np.where(inside, log_mass, -np.inf)
        empty = ~np.isfinite(log_mass.max(axis=1, keepdims=True))
        return frequencies(np.where(empty, 0.0, log_mass))
