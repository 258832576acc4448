"""Matrices whose rows and columns have scales of their own, told before the symbols that they make shorter."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.alphabet import Alphabet, groups
from mdl.codes.coder import Coder, Symbols, as_symbols
from mdl.codes.exponents import OCTAVE, RANGE, Axis
from mdl.codes.numbers import round_real
from mdl.errors import CodeError, MessageError, PriorError
from mdl.masses import Array
from mdl.priors import Gaussian, Prior
from mdl.quantize import Quantizer

MAX_REACH = 13
MAX_ENTRIES = 1 << 18  # of the tables of one matrix, all scales together: bounds the time that a message can ask for
_BLOCK = 1 << 20  # symbols coded at a time: bounds the memory
_FLOOR = 64  # exponents below the prior's own scale, at least: a line of zeros
_SPAN = 64.0  # of the unit, at most, is the root mean square of the weights: the exponents go on from there
_EVERY = 4  # exponents at which the mean square is known, and between them interpolated
_NARROWEST = 1e-100  # cell, and 1 over the widest: squares of weights are numbers
_SHAPE_BITS = 4  # significant, of a fitted shape
_SAMPLE = 1 << 12  # weights that a shape is fitted to: it is told in so few bits
_NARROW = 0.25  # of the scale: cells across which a density hardly bends
_CORE = 8  # cells each side of the centre whose masses a mean square takes
_TOGETHER, _FEW = 8, 1 << 8  # scales of which masses are computed at once, if there are at most so many symbols

MeanSquares = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Scaled:
    """A family of codes: a prior whose scale every row and every column of a matrix multiplies by its own.

    ``prior`` is of a family with a ``scale``; what is open is fitted. A tensor of more than two dimensions counts as a
    matrix of its first; a tensor for which one scale is shorter keeps one scale.

    Examples
    --------
    >>> import mdl
    >>> w = np.random.default_rng(0).normal(size=(200, 200)) * np.geomspace(0.1, 1.0, 200)
    >>> lengths = [mdl.measure({"w": w}, prior, step=2**-6).bits for prior in (Scaled(), Gaussian())]
    >>> bool(lengths[0] < 0.96 * lengths[1])
    True
    """

    prior: Prior = Gaussian()  # noqa: RUF009

    def fit(self, quantizer: Quantizer, symbols: Symbols, columns: int) -> ScaledMatrix | None:
        """The code for these symbols; None where there is none: no scale to multiply, or too large tables."""
        ends = (int(symbols.min()), int(symbols.max())) if symbols.size else (0, 0)
        reach = max(ends[1].bit_length(), (-1 - ends[0]).bit_length() if ends[0] < 0 else 0)
        if not (symbols.size and columns and reach <= MAX_REACH and hasattr(self.prior, "scale")):
            return None
        unit = _unit(quantizer, symbols)
        if not math.isfinite(unit):
            return None
        code = ScaledMatrix(Gaussian(unit), quantizer, reach, columns)
        means = code._mean_squares(symbols)
        prior: Any = self.prior
        shapes = {field.name for field in fields(prior) if getattr(prior, field.name) is None} - {"scale"}
        if shapes:
            fitted = replace(prior, scale=None).fit(*code.standardised(symbols, means))
            prior = _with_shapes(prior, {name: getattr(fitted, name) for name in shapes})
        code = replace(code, prior=replace(prior, scale=prior.scale or unit))
        return code if code.entries(symbols, means) <= MAX_ENTRIES else None


def _unit(quantizer: Quantizer, symbols: Symbols) -> float:
    """The power of two about the width of a cell, or larger for weights that are many cells wide; inf if cells are."""
    least = symbols.min()
    counts = np.bincount(symbols - least)
    occurring = np.flatnonzero(counts)
    lower, upper = quantizer.cell(occurring + least)
    width = float((upper - lower).max())
    if not _NARROWEST < width < 1.0 / _NARROWEST:
        return math.inf
    size = math.sqrt(float(counts[occurring] @ np.square(0.5 * (lower + upper))) / symbols.size)
    return math.ldexp(1.0, round(math.log2(max(width, size / _SPAN))))


def _with_shapes(prior: Any, shapes: dict[str, float]) -> Any:
    """The prior with these, in few bits; in more at the end of a shape's range, which rounding would leave."""
    for bits in range(_SHAPE_BITS, 53):
        with contextlib.suppress(PriorError):
            return replace(prior, **{name: round_real(value, bits) for name, value in shapes.items()})
    return replace(prior, **shapes)


@dataclass(frozen=True)
class ScaledMatrix:
    """Symbols -2^reach..2^reach - 1 of a matrix, row-major, under a prior with a scale for each row times one a column.

    The scale of an entry is the prior's times 2^((r + c) / 8), r and c whole numbers told for its row and its column.
    Writing chooses them from the symbols, by their mean squares; ``nats`` counts them with the first symbol.

    Parameters
    ----------
    prior
        Without open parameters, of a family with a ``scale``; for the exponents 0.
    quantizer
        Whose symbols are coded; its cells are finite.
    reach
        At most 13.
    columns
        Of the matrix; its last row may be incomplete.

    Examples
    --------
    >>> from mdl.codes.discretized import Discretized
    >>> from mdl.quantize import UniformGrid
    >>> code = ScaledMatrix(Gaussian(1.0), UniformGrid(1.0), reach=7, columns=50)
    >>> narrow, wide = np.resize([1, -1], 500), np.resize([40, -40], 500)
    >>> bool(code.nats(np.append(narrow, wide)).sum() < Discretized(Gaussian(28.0), UniformGrid(1.0), -40, 40).nats(
    ...     np.append(narrow, wide)).sum())
    True
    """

    prior: Prior
    quantizer: Quantizer
    reach: int
    columns: int

    def __post_init__(self) -> None:
        if not (0 <= self.reach <= MAX_REACH and 1 <= self.columns < 2**31):
            raise CodeError(
                f"ScaledMatrix: expected reach 0 to {MAX_REACH} and some columns, got {self.reach} and {self.columns}"
            )
        if getattr(self.prior, "scale", None) is None:
            raise CodeError(f"ScaledMatrix: expected a prior with a scale, got {self.prior}")

    @property
    def lo(self) -> int:
        """The smallest symbol."""
        return -(1 << self.reach)

    @property
    def hi(self) -> int:
        """The largest symbol."""
        return (1 << self.reach) - 1

    def standardised(self, symbols: Symbols, means: MeanSquares | None = None) -> tuple[Array, Array, Array]:
        """Some of the weights in units of their scale, how often, and the widths of their cells: what a fit takes."""
        axes = self._axes(symbols, means)
        some = np.arange(0, symbols.size, max(1, symbols.size // _SAMPLE))
        row, column = np.divmod(some, self.columns)
        exponents = axes[0].exponents[row] + axes[1].exponents[column]
        cells, counts = np.unique((exponents << self.reach + 1) + (symbols[some] - self.lo), return_counts=True)
        scale = 2.0 ** ((cells >> self.reach + 1) / OCTAVE)
        lower, upper = self.quantizer.cell((cells & self.hi - self.lo) + self.lo)
        w, width = 0.5 * (lower + upper) / scale, (upper - lower) / scale
        narrow = width < _NARROW
        if 2 * counts[narrow].sum() > some.size:  # the density itself will do, which is much faster
            return w[narrow], counts[narrow], np.zeros(1)
        return w, counts, width

    def entries(self, symbols: Symbols, means: MeanSquares | None = None) -> int:
        """Of the tables that these symbols need."""
        return self._entries(self._axes(symbols, means))

    def _entries(self, axes: list[Axis]) -> int:
        rows, columns = (np.unique(axis.exponents) for axis in axes)
        return int(np.unique(np.add.outer(rows, columns)).size) << self.reach + 1

    def nats(self, symbols: ArrayLike) -> Array:
        """Length of each symbol, nats; that of the exponents is the first symbol's."""
        values = np.asarray(symbols)
        flat = self._checked(values)
        nats = np.empty(flat.size)
        axes = self._axes(flat)
        for rows in self._blocks(flat.size):
            for exponent, places in self._places(axes, rows):
                nats[rows][places] = -self._tables.masses(exponent)[flat[rows][places] - self.lo]
        nats = np.maximum(nats, 0.0)
        if nats.size:
            nats[0] += sum(axis.nats for axis in axes)
        return nats.reshape(values.shape)

    def total(self, symbols: ArrayLike) -> float:
        """The sum of ``nats``, from how often each symbol occurs under each scale."""
        flat = self._checked(symbols)
        axes = self._axes(flat)
        down, across = (axis.exponents for axis in axes)
        sums = np.add.outer(np.unique(down), np.unique(across)).ravel()
        scales, levels, nats = np.unique(sums), 2 << self.reach, sum(axis.nats for axis in axes)
        place = np.zeros(scales[-1] - scales[0] + 1 if flat.size else 0, np.int32)
        place[scales - scales[:1]] = levels * np.arange(scales.size, dtype=np.int32) - self.lo
        counts = np.zeros(scales.size * levels, np.int64)
        for rows in self._blocks(flat.size):
            top, bottom = rows.start // across.size, -(-rows.stop // across.size)
            at = place[np.add.outer(down[top:bottom] - scales[0], across)].ravel()[: rows.stop - rows.start]
            counts += np.bincount(at + flat[rows], minlength=counts.size)
        for exponent, occurring in zip(scales.tolist(), counts.reshape(scales.size, levels), strict=True):
            if occurring.any():
                used = np.flatnonzero(occurring)
                nats += float(occurring[used] @ np.maximum(-self._tables.masses(exponent)[used], 0.0))
        return nats

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write symbols; the exponents go on top of them, to be read first. CodeError if there are too many scales."""
        flat = self._checked(symbols)
        axes = self._axes(flat)
        if self._entries(axes) > MAX_ENTRIES:
            raise CodeError(
                f"ScaledMatrix: expected tables of at most {MAX_ENTRIES} entries, got {self._entries(axes)}"
            )
        for rows in reversed(self._blocks(flat.size)):
            for exponent, places in reversed(list(self._places(axes, rows))):
                self._tables.alphabet(exponent).push(coder, flat[rows][places])
        for axis in reversed(axes):
            axis.write(coder)

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read symbols."""
        symbols = np.empty(count, np.int32)
        axes = [Axis.read(coder, lines) for lines in self._shape(count)]
        if self._entries(axes) > MAX_ENTRIES:
            raise MessageError(f"expected tables of at most {MAX_ENTRIES} entries, got {self._entries(axes)}")
        for rows in self._blocks(count):
            for exponent, places in self._places(axes, rows):
                symbols[rows][places] = self._tables.alphabet(exponent).pop(coder, places.size)
        return symbols

    @property
    def _tables(self) -> _Tables:
        shared: Any = self.prior, self.quantizer, self.reach
        return _tables(*shared)

    def _checked(self, symbols: ArrayLike) -> Symbols:
        flat = as_symbols(np.asarray(symbols).ravel())
        if flat.size and not self.lo <= flat.min() <= flat.max() <= self.hi:
            raise CodeError(f"expected symbols from {self.lo} to {self.hi}, got {flat.min()} to {flat.max()}")
        return flat

    def _shape(self, count: int) -> tuple[int, int]:
        """Rows, and the columns that occur."""
        return -(-count // self.columns), min(count, self.columns)

    def _blocks(self, count: int) -> list[slice]:
        """Some whole rows at a time."""
        width = max(min(count, self.columns), 1)
        height = max(1, _BLOCK // width) * width
        return [slice(start, min(start + height, count)) for start in range(0, count, height)]

    def _places(self, axes: list[Axis], rows: slice) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Each sum of exponents that occurs in a block, ascending, with the places that have it."""
        down, across = (axis.exponents.astype(np.int16) for axis in axes)
        top, bottom = rows.start // across.size, -(-rows.stop // across.size)
        sums = np.add.outer(down[top:bottom], across).ravel()[: rows.stop - rows.start]
        least = int(sums.min())
        sums -= np.int16(least)
        return ((label + least, places) for label, places in groups(sums))

    def _axes(self, flat: Symbols, means: MeanSquares | None = None) -> list[Axis]:
        """The exponents of rows and columns that match the mean squares, told as finely as is worth it."""
        if not flat.size:
            return [Axis.of(np.empty(0)), Axis.of(np.empty(0))]
        rows, columns, whole = map(self._exponents, means or self._mean_squares(flat))
        return [Axis.of(rows, columns.size), Axis.of(columns - whole, rows.size)]

    def _mean_squares(self, flat: Symbols) -> MeanSquares:
        """Of the weights of each row, of each column, and of all."""
        squares = np.zeros(self._shape(flat.size), np.float32)
        np.take(self._tables.squares, flat - self.lo, out=squares.reshape(-1)[: flat.size])
        full = np.full(squares.shape[0], squares.shape[1])
        full[-1] = flat.size - (full.size - 1) * squares.shape[1]
        filled = np.where(np.arange(squares.shape[1]) < full[-1], full.size, max(full.size - 1, 1))
        by_row, by_column = squares.sum(axis=1, dtype=np.float64), squares.sum(axis=0, dtype=np.float64)
        return by_row / full, by_column / filled, np.array([by_row.sum() / flat.size])

    def _exponents(self, mean_squares: Array) -> Array:
        """The exponent, not whole yet, at which the prior's cells have this mean square."""
        with np.errstate(divide="ignore"):
            return np.interp(np.log(mean_squares), self._tables.expected, _KNOWN)


_KNOWN = np.arange(-_FLOOR, RANGE - _FLOOR, _EVERY)


class _Tables:
    """What symbols cost under every scale, made as they are asked for."""

    def __init__(self, prior: Any, quantizer: Quantizer, reach: int) -> None:
        self._prior, self._quantizer, self._ends = prior, quantizer, (-(1 << reach), (1 << reach) - 1)
        self._masses: dict[int, Array] = {}
        self._alphabets: dict[int, Alphabet] = {}

    def masses(self, exponent: int) -> Array:
        """Ln masses of the symbols under the scale of an exponent."""
        if exponent not in self._masses:
            if len(self._masses) * self.centres.size > 2 * MAX_ENTRIES:  # matrices with other scales came before
                self._masses.clear()
                self._alphabets.clear()
            first = exponent - exponent % self._together
            self._masses |= enumerate(self._of(range(first, first + self._together)), first)
        return self._masses[exponent]

    def alphabet(self, exponent: int) -> Alphabet:
        """The same, ready to be pushed and popped."""
        if exponent not in self._alphabets:
            masses = self.masses(exponent)
            usable = masses if np.isfinite(masses.max()) else np.zeros(masses.size)
            self._alphabets[exponent] = Alphabet(usable, self._ends[0])
        return self._alphabets[exponent]

    @functools.cached_property
    def centres(self) -> Array:
        """The middle of every symbol's cell."""
        lower, upper = self._quantizer.cell(np.arange(self._ends[0], self._ends[1] + 1))
        return 0.5 * (lower + upper)

    @functools.cached_property
    def squares(self) -> NDArray[np.float32]:
        """The square of the middle of every symbol's cell."""
        return np.square(self.centres).astype(np.float32)

    @functools.cached_property
    def expected(self) -> Array:
        """Ln of the mean square of a symbol's weight under some exponents."""
        lower, upper = self._quantizer.cell(np.arange(self._ends[0], self._ends[1] + 1))
        mass = _about(self._prior, lower, upper, np.exp2(_KNOWN / OCTAVE))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.log(mass @ np.square(self.centres) / mass.sum(axis=1))
        return np.maximum.accumulate(np.nan_to_num(found, nan=-np.inf, posinf=np.inf, neginf=-np.inf))

    @property
    def _together(self) -> int:
        """Exponents of which the masses are computed at once: never other ones, lest last digits differ."""
        return _TOGETHER if self.centres.size <= _FEW else 1

    def _of(self, exponents: range) -> Array:
        """Ln masses, (exponents, symbols)."""
        scales = np.array([self._prior.scale * 2.0 ** (exponent / OCTAVE) for exponent in exponents])[:, None]
        lower, upper = self._quantizer.cell(np.arange(self._ends[0], self._ends[1] + 1))
        unit = replace(self._prior, scale=1.0, loc=0.0)
        return np.asarray(unit.log_mass((lower - self._prior.loc) / scales, (upper - self._prior.loc) / scales))


def _about(prior: Any, lower: Array, upper: Array, factors: Array) -> Array:
    """About the masses of cells, (factors, cells), under a prior with its scale times each of some factors.

    Those of the cells about the centre, and elsewhere the density at the middle times the width.
    """
    unit, scales = replace(prior, scale=1.0, loc=0.0), prior.scale * factors[:, None]
    low, high = (lower - prior.loc) / scales, (upper - prior.loc) / scales
    near = np.abs(lower + upper - 2.0 * prior.loc) < 2 * _CORE * (upper - lower)
    mass = np.exp(unit.logpdf(0.5 * (low + high))) * (high - low)
    mass[:, near] = np.exp(unit.log_mass(low[:, near], high[:, near]))
    return np.asarray(mass)


# Matrices of one model share them.
_tables = functools.lru_cache(maxsize=4)(_Tables)
