"""Exponents of the scales that rows and columns of a matrix have of their own: how they are rounded, told and added."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdl.codes.coder import Bits, Coder
from mdl.codes.discretized import Discretized
from mdl.codes.numbers import integer_bits, natural_bits, read_integer, read_natural
from mdl.errors import MessageError
from mdl.length import LN2
from mdl.masses import Array
from mdl.priors import Gaussian
from mdl.quantize import UniformGrid

OCTAVE = 8  # exponents to the octave
RANGE = 127  # of the exponents of one axis
_SPREADS = 16  # standard deviations of exponents that can be told, half an octave apart
_PITCHES = (1, 2, 4)  # exponents are told in multiples of one of these
_ENTRIES, _SUMS = 1 << 9, 4  # sums are taken together until so many entries have them, or they span so many
_FARTHEST = RANGE - _PITCHES[-1]  # from 0, of an exponent before it is rounded to its pitch

Exponents = NDArray[np.int64]


class Axis(NamedTuple):
    """Exponents of rows or of columns, and how they are told: multiples of a pitch, as if they came from a Gaussian."""

    exponents: Exponents
    pitch: int
    spread: int

    @classmethod
    def of(cls, exact: Array, entries: int = 0) -> Axis:
        """Rounded to the pitch that costs least: bits for the exponents, and for scales that miss their entries'."""

        def cost(pitch: int) -> float:
            missed = exact - pitch * np.rint(exact / pitch)
            _, counts = np.unique(np.rint(exact / pitch), return_counts=True)
            told = -float(counts @ np.log(counts / exact.size)) + counts.size * LN2
            return told + entries * float(np.square(missed * LN2 / OCTAVE).sum())

        if not exact.size:
            return cls(np.empty(0, np.int64), 1, 0)
        exact = exact.clip(-_FARTHEST, _FARTHEST)
        centre = round(float(exact.mean()))
        alike = entries * float(np.square((exact - centre) * LN2 / OCTAVE).sum())
        pitch = min(_PITCHES, key=cost)
        if alike <= cost(pitch):
            return cls(np.full(exact.size, centre), 1, 0)
        found = np.rint(exact / pitch).astype(np.int64)
        spread = round(2.0 * math.log2(max(float(found.std()), 0.5))) + 2
        return cls(found * pitch, pitch, min(max(spread, 0), _SPREADS - 1))

    @property
    def _multiples(self) -> Exponents:
        return self.exponents // self.pitch

    @property
    def bits(self) -> Bits:
        """What is told before the exponents: their least, their range, pitch and spread."""
        if not self.exponents.size:
            return np.empty(0, np.uint8)
        lo, hi = int(self._multiples.min()), int(self._multiples.max())
        told = [integer_bits(lo), natural_bits(hi - lo)]
        if lo < hi:
            centre = round(float(self._multiples.mean())) - lo
            told += [natural_bits(_PITCHES.index(self.pitch)), natural_bits(self.spread), natural_bits(centre)]
        return np.concatenate(told)

    @property
    def nats(self) -> float:
        """Length of all exponents."""
        return self.bits.size * LN2 + float(self._code.nats(self._multiples).sum())

    @property
    def _code(self) -> Discretized:
        multiples = self._multiples if self.exponents.size else np.zeros(1, np.int64)
        lo, hi = int(multiples.min()), int(multiples.max())
        return _exponent_code(lo, hi, round(float(multiples.mean())), self.spread)

    def write(self, coder: Coder) -> None:
        """Write them."""
        self._code.push(coder, self._multiples.astype(np.int32))
        coder.push_bits(self.bits)

    @classmethod
    def read(cls, coder: Coder, lines: int) -> Axis:
        """Read so many."""
        if not lines:
            return cls(np.empty(0, np.int64), 1, 0)
        lo, span = read_integer(coder), read_natural(coder)
        pitch, spread, centre = (read_natural(coder) for _ in range(3)) if span else (0, 0, 0)
        if pitch >= len(_PITCHES) or spread >= _SPREADS or not centre <= span:
            raise MessageError("the message describes impossible exponents of scales")
        ends = lo * _PITCHES[pitch], (lo + span) * _PITCHES[pitch]
        if not -RANGE <= ends[0] <= ends[1] <= RANGE:
            raise MessageError(f"expected exponents of scales within {RANGE}, got {ends[0]} to {ends[1]}")
        found = _exponent_code(lo, lo + span, lo + centre, spread).pop(coder, lines)
        return cls(found.astype(np.int64) * _PITCHES[pitch], _PITCHES[pitch], spread)


class Scales(NamedTuple):
    """The exponents of all entries of a matrix: each has the sum of its row's and its column's, or nearly.

    Sums that few entries have are taken together, since a table takes as long to make as thousands of entries to read.
    """

    axes: tuple[Axis, Axis]
    exponents: list[int]  # ascending
    number: NDArray[np.int16]  # which of them, for every sum
    least: int  # of the sums

    @classmethod
    def of(cls, rows: Axis, columns: Axis) -> Scales:
        """Those of all rows and columns, as if the last row were complete."""
        (down, heights), (across, widths) = (np.unique(axis.exponents, return_counts=True) for axis in (rows, columns))
        if not down.size:
            return cls((rows, columns), [], np.zeros(0, np.int16), 0)
        sums, least = np.add.outer(down, across).ravel(), int(down[0] + across[0])
        entries = np.bincount(sums - least, np.multiply.outer(heights, widths).ravel()).astype(np.int64).tolist()
        exponents, number = [], np.zeros(len(entries), np.int16)
        for index, group in enumerate(_together(entries)):
            counts = entries[group]
            middle = sum(at * count for at, count in zip(range(group.start, group.stop), counts, strict=True))
            exponents.append(least + (2 * middle + sum(counts)) // (2 * sum(counts)))
            number[group] = index
        return cls((rows, columns), exponents, number, least)

    def numbers(self, block: slice) -> NDArray[np.int16]:
        """Which exponent each entry has in a block that begins with a row."""
        down, across = (axis.exponents for axis in self.axes)
        top, bottom = block.start // across.size, -(-block.stop // across.size)
        sums = np.add.outer((down[top:bottom] - self.least).astype(np.int16), across.astype(np.int16))
        return self.number[sums.ravel()[: block.stop - block.start]]


def _together(entries: list[int]) -> Iterator[slice]:
    """Runs of sums, each from one that occurs on, by how many entries have each sum."""
    start, total = 0, 0
    for at, count in enumerate(entries):
        if total and count and (total >= _ENTRIES or at - start >= _SUMS):
            yield slice(start, at)
            total = 0
        if count and not total:
            start = at
        total += count
    yield slice(start, len(entries))


def _exponent_code(lo: int, hi: int, centre: int, spread: int) -> Discretized:
    return Discretized(Gaussian(2.0 ** ((spread - 2) / 2), float(centre)), UniformGrid(1.0), lo, hi)
