"""What symbols cost under a prior with its scale times 2^(e/8), for all the exponents e that a matrix has.

Most matrices have few weights far out, and many scales. So a table has the symbols within a few scales one by one, and
those further out, either side, as one level each; they are looked at only where a weight lies there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.alphabet import Alphabet, Tails
from mdl.codes.exponents import OCTAVE, RANGE
from mdl.masses import Array
from mdl.quantize import Quantizer

MAX_ENTRIES = 1 << 19  # of the tables of one matrix, all scales together: bounds the time that a message can ask for
_NEAR = 16.0  # scales from zero up to which symbols have levels of their own
_FLOOR = 64  # exponents below the prior's own scale, at least: a line of zeros
_EVERY = 4  # exponents at which the mean square is known, and between them interpolated
_CORE = 8  # cells each side of the centre whose masses a mean square takes

KNOWN = np.arange(-_FLOOR, RANGE - _FLOOR, _EVERY)


class Cells:
    """Of symbols -2^reach..2^reach - 1 of a quantizer, under a prior with a ``scale``."""

    def __init__(self, prior: Any, quantizer: Quantizer, reach: int) -> None:
        self.prior, self.half = prior, 1 << reach
        self.lower, self.upper = quantizer.cell(np.arange(-self.half, self.half))
        self._unit = replace(prior, scale=1.0, loc=0.0)
        self._begins = self.lower[self.half + (1 << np.arange(reach))]  # those of the symbols 2^r

    def scale(self, exponent: int) -> float:
        """The prior's times 2^(e/8)."""
        return float(self.prior.scale * 2.0 ** (exponent / OCTAVE))

    def near(self, scale: float) -> int:
        """Symbols from minus so many to below so many have levels of their own: a power of two."""
        return 1 << int(np.searchsorted(self._begins, _NEAR * scale))

    def log_mass(self, lower: Array, upper: Array, scale: Array | float) -> Array:
        """Ln of the mass between edges under the prior at a scale."""
        loc = self.prior.loc
        return np.asarray(self._unit.log_mass((lower - loc) / scale, (upper - loc) / scale))

    @functools.cached_property
    def centres(self) -> Array:
        """The middle of every symbol's cell."""
        return 0.5 * (self.lower + self.upper)

    @functools.cached_property
    def squares(self) -> NDArray[np.float32]:
        """The square of the middle of every symbol's cell."""
        return np.square(self.centres).astype(np.float32)

    @functools.cached_property
    def expected(self) -> Array:
        """Ln of the mean square of a symbol's weight under the exponents ``KNOWN``."""
        mass = self._about(np.exp2(KNOWN / OCTAVE))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.log(mass @ np.square(self.centres) / mass.sum(axis=1))
        return np.maximum.accumulate(np.nan_to_num(found, nan=-np.inf, posinf=np.inf, neginf=-np.inf))

    def _about(self, factors: Array) -> Array:
        """About the masses of cells, (factors, cells), with the scale times each of some factors.

        Those of the cells about the centre, and elsewhere the density at the middle times the width.
        """
        scales = self.prior.scale * factors[:, None]
        low, high = (self.lower - self.prior.loc) / scales, (self.upper - self.prior.loc) / scales
        near = np.abs(self.centres - self.prior.loc) < _CORE * (self.upper - self.lower)
        mass = np.exp(self._unit.logpdf(0.5 * (low + high))) * (high - low)
        mass[:, near] = np.exp(self._unit.log_mass(low[:, near], high[:, near]))
        return np.asarray(mass)


@dataclass(frozen=True)
class Table:
    """The symbols under one scale."""

    cells: Cells
    scale: float
    near: Array  # (2 n,) ln masses of the symbols -n..n - 1
    far: tuple[float, float]  # of those below, and of those above; 0 where there are none

    def log_mass(self, symbols: NDArray[np.signedinteger[Any]]) -> Array:
        """Ln mass of each symbol's cell."""
        n = self.near.size // 2
        if n == self.cells.half:
            return self.near[symbols + n]
        outside = (symbols < -n) | (symbols >= n)
        found = self.near[np.where(outside, 0, symbols + n)]
        if outside.any():
            places = symbols[outside] + self.cells.half
            found[outside] = self.cells.log_mass(self.cells.lower[places], self.cells.upper[places], self.scale)
        return found

    @property
    def tails(self) -> Tails | None:
        """What lies further out."""
        n, half = self.near.size // 2, self.cells.half
        return Tails(half - n, self.far, self._inside) if n < half else None

    def _inside(self, above: int) -> Array:
        n, half = self.near.size // 2, self.cells.half
        places = slice(half + n, None) if above else slice(0, half - n)
        return self.cells.log_mass(self.cells.lower[places], self.cells.upper[places], self.scale)


def tables(cells: Cells, exponents: list[int]) -> list[Table]:
    """One for each exponent. All masses are computed at once: quickly, and alike to the last digit by every reader."""
    if not exponents:
        return []
    scales = [cells.scale(exponent) for exponent in exponents]
    near = [min(cells.near(scale), cells.half) for scale in scales]
    first: list[ArrayLike] = []  # and last of the symbols that make a level
    last: list[ArrayLike] = []
    for n in near:
        own = np.arange(-n, n)
        first += [own, [-cells.half, n]] if n < cells.half else [own]
        last += [own, [-n - 1, cells.half - 1]] if n < cells.half else [own]
    sizes = [2 * n + 2 * (n < cells.half) for n in near]
    lower, upper = cells.lower[np.concatenate(first) + cells.half], cells.upper[np.concatenate(last) + cells.half]
    masses = np.split(cells.log_mass(lower, upper, np.repeat(scales, sizes)), np.cumsum(sizes)[:-1])
    return [
        Table(cells, scale, mass[: 2 * n], tuple(mass[2 * n :].tolist()) or (0.0, 0.0))
        for scale, n, mass in zip(scales, near, masses, strict=True)
    ]


def alphabets(cells: Cells, exponents: list[int]) -> list[Alphabet]:
    """The same, ready to be pushed and popped."""
    found = tables(cells, exponents)
    nears = [table.near for table in found]
    return Alphabet.several(nears, [-near.size // 2 for near in nears], [table.tails for table in found])


#: Matrices of one model share them.
cells_of = functools.lru_cache(maxsize=8)(Cells)
