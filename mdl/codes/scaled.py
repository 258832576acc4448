"""Matrices whose rows and columns have scales of their own, told before the symbols that they make shorter."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes.alphabet import groups
from mdl.codes.coder import Coder, Symbols, as_symbols
from mdl.codes.exponents import OCTAVE, Axis, Scales
from mdl.codes.numbers import round_real
from mdl.codes.scales import KNOWN, MAX_ENTRIES, Cells, alphabets, cells_of, tables
from mdl.errors import CodeError, MessageError, PriorError
from mdl.masses import Array
from mdl.priors import Gaussian, Prior
from mdl.quantize import Quantizer

MAX_REACH = 13
_BLOCK = 1 << 20  # symbols coded at a time: bounds the memory
_SPAN = 64.0  # of the unit, at most, is the root mean square of the weights: the exponents go on from there
_NARROWEST = 1e-100  # cell, and 1 over the widest: squares of weights are numbers
_SHAPE_BITS = 4  # significant, of a fitted shape
_SAMPLE = 1 << 12  # weights that a shape is fitted to: it is told in so few bits
_NARROW, _CENTRE = 0.25, 0.2  # of the scale: cells across which a density hardly bends; of the weights, about zero

MeanSquares = tuple[Array, Array, Array]
Weights = tuple[Array, NDArray[np.int64], Array]  # distinct ones, how often, and the widths of their cells


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
        fitted = self.fit_shapes(code.standardised(symbols, means)) if self._shapes else self.prior
        return self.beside(code, fitted, symbols, means)

    def fit_shapes(self, weights: Weights) -> Any:
        """The prior fitted to weights in units of their scale, as ``standardised`` gives them."""
        return replace(cast(Any, self.prior), scale=None).fit(*weights)

    def fit_whole(self, weights: Weights) -> Prior:
        """The prior fitted to weights as they are, with one scale for all."""
        return self.prior.fit(*weights)

    def beside(
        self, code: ScaledMatrix, fitted: Any, symbols: Symbols, means: MeanSquares | None = None
    ) -> ScaledMatrix | None:
        """``code`` for the same symbols with this prior, and what is open of its shapes as in ``fitted``."""
        prior = _with_shapes(self.prior, {name: getattr(fitted, name) for name in self._shapes})
        code = replace(code, prior=replace(prior, scale=prior.scale or cast(Any, code.prior).scale))
        return code if code.entries(code.scales(symbols, means)) <= MAX_ENTRIES else None

    @property
    def _shapes(self) -> set[str]:
        """Names of the parameters that are fitted beside the scale."""
        return {field.name for field in fields(cast(Any, self.prior)) if getattr(self.prior, field.name) is None} - {
            "scale"
        }


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

    The scale of an entry is the prior's times 2^((r + c) / 8), r and c whole numbers told for its row and its column;
    sums that few entries have are taken together (:class:`mdl.codes.exponents.Scales`).
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

    def standardised(self, symbols: Symbols, means: MeanSquares | None = None) -> Weights:
        """Some of the weights in units of their scale: what a fit takes."""
        rows, columns = self._axes(symbols, means)
        some = np.arange(0, symbols.size, max(1, symbols.size // _SAMPLE))
        row, column = np.divmod(some, self.columns)
        exponents = rows.exponents[row] + columns.exponents[column]
        cells, counts = np.unique((exponents << self.reach + 1) + (symbols[some] - self.lo), return_counts=True)
        scale = 2.0 ** ((cells >> self.reach + 1) / OCTAVE)
        lower, upper = self.quantizer.cell((cells & self.hi - self.lo) + self.lo)
        return in_density(0.5 * (lower + upper) / scale, counts, (upper - lower) / scale, 1.0)

    def entries(self, scales: Scales) -> int:
        """Of the tables of some scales."""
        return len(scales.exponents) << self.reach + 1

    def nats(self, symbols: ArrayLike) -> Array:
        """Length of each symbol, nats; that of the exponents is the first symbol's."""
        values = np.asarray(symbols)
        flat = self._checked(values)
        nats, scales = np.empty(flat.size), self.scales(flat)
        found = tables(self._cells, scales.exponents)
        for block, number, places in self._places(scales, flat.size):
            nats[block][places] = -found[number].log_mass(flat[block][places])
        nats = np.maximum(nats, 0.0)
        if nats.size:
            nats[0] += sum(axis.nats for axis in scales.axes)
        return nats.reshape(values.shape)

    def total(self, symbols: ArrayLike) -> float:
        """The sum of ``nats``, from how often each symbol occurs under each scale."""
        flat = self._checked(symbols)
        scales, levels = self.scales(flat), 2 << self.reach
        counts = np.zeros(len(scales.exponents) * levels, np.int64)
        for block in self._blocks(flat.size):
            at = scales.numbers(block).astype(np.int32)
            at *= levels
            at += flat[block] - np.int32(self.lo)
            counts += np.bincount(at, minlength=counts.size)
        nats = sum(axis.nats for axis in scales.axes)
        for table, occurring in zip(tables(self._cells, scales.exponents), counts.reshape(-1, levels), strict=True):
            used = np.flatnonzero(occurring)
            nats += float(occurring[used] @ np.maximum(-table.log_mass(used + self.lo), 0.0))
        return float(nats)

    def push(self, coder: Coder, symbols: Symbols) -> None:
        """Write symbols; the exponents go on top of them, to be read first. CodeError if there are too many scales."""
        flat = self._checked(symbols)
        scales = self.scales(flat)
        if self.entries(scales) > MAX_ENTRIES:
            raise CodeError(
                f"ScaledMatrix: expected tables of at most {MAX_ENTRIES} entries, got {self.entries(scales)}"
            )
        found = alphabets(self._cells, scales.exponents)
        for block, number, places in reversed(list(self._places(scales, flat.size))):
            found[number].push(coder, flat[block][places])
        for axis in reversed(scales.axes):
            axis.write(coder)

    def pop(self, coder: Coder, count: int) -> Symbols:
        """Read symbols."""
        symbols = np.empty(count, np.int32)
        scales = Scales.of(*(Axis.read(coder, lines) for lines in self._shape(count)))
        if self.entries(scales) > MAX_ENTRIES:
            raise MessageError(f"expected tables of at most {MAX_ENTRIES} entries, got {self.entries(scales)}")
        found = alphabets(self._cells, scales.exponents)
        for block, number, places in self._places(scales, count):
            symbols[block][places] = found[number].pop(coder, places.size)
        return symbols

    @property
    def _cells(self) -> Cells:
        shared: Any = self.prior, self.quantizer, self.reach
        return cells_of(*shared)

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

    def _places(self, scales: Scales, count: int) -> Iterator[tuple[slice, int, NDArray[np.intp]]]:
        """Block by block each scale that occurs, by its number, with the places in the block that have it."""
        for block in self._blocks(count):
            for number, places in groups(scales.numbers(block)):
                yield block, number, places

    def scales(self, symbols: Symbols, means: MeanSquares | None = None) -> Scales:
        """Those that are told for these symbols."""
        return Scales.of(*self._axes(symbols, means))

    def _axes(self, flat: Symbols, means: MeanSquares | None = None) -> tuple[Axis, Axis]:
        """The exponents of rows and columns that match the mean squares, told as finely as is worth it."""
        if not flat.size:
            return Axis.of(np.empty(0)), Axis.of(np.empty(0))
        rows, columns, whole = map(self._exponents, means or self._mean_squares(flat))
        return Axis.of(rows, columns.size), Axis.of(columns - whole, rows.size)

    def _mean_squares(self, flat: Symbols) -> MeanSquares:
        """Of the weights of each row, of each column, and of all."""
        squares = np.zeros(self._shape(flat.size), np.float32)
        np.take(self._cells.squares, flat - self.lo, out=squares.reshape(-1)[: flat.size])
        full = np.full(squares.shape[0], squares.shape[1])
        full[-1] = flat.size - (full.size - 1) * squares.shape[1]
        filled = np.where(np.arange(squares.shape[1]) < full[-1], full.size, max(full.size - 1, 1))
        by_row, by_column = squares.sum(axis=1, dtype=np.float64), squares.sum(axis=0, dtype=np.float64)
        return by_row / full, by_column / filled, np.array([by_row.sum() / flat.size])

    def _exponents(self, mean_squares: Array) -> Array:
        """The exponent, not whole yet, at which the prior's cells have this mean square."""
        with np.errstate(divide="ignore"):
            return np.interp(np.log(mean_squares), self._cells.expected, KNOWN)


def in_density(w: Array, counts: NDArray[np.int64], width: Array, scale: float | None = None) -> Weights:
    """What a fit takes, or, much faster, those of it in narrow cells, if most are: for them the density will do.

    Not where the cell about zero holds many weights, for which a density may be endlessly large. ``scale`` is by
    default the root mean square.
    """
    total = float(counts.sum())
    if scale is None:
        scale = math.sqrt(float(counts @ np.square(w)) / max(total, 1.0))
    narrow = width < _NARROW * scale
    if counts[narrow].sum() > 0.5 * total and counts[np.abs(w) < width].sum() < _CENTRE * total:
        return w[narrow], counts[narrow], np.zeros(1)
    return w, counts, width
