"""Quantisers: real weights to integer symbols and back, and the cell of reals that each symbol stands for."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.errors import QuantizationError
from mdl.masses import Array

Symbols = NDArray[np.int32]
_LIMIT = 2**31 - 1


@runtime_checkable
class Quantizer(Protocol):
    """Cells that tile the line, numbered in order by int32 symbols, with one weight to stand for each."""

    def quantize(self, w: ArrayLike) -> Symbols:
        """The symbol of the cell that holds each weight, shape of ``w``."""
        ...

    def dequantize(self, symbols: ArrayLike) -> Array:
        """The weight that stands for each symbol."""
        ...

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """Lower and upper edge of each symbol's cell; infinite at the ends of a bounded alphabet."""
        ...


def finite(w: ArrayLike) -> Array:
    """Weights as float64, or QuantizationError if some are NaN or infinite."""
    values = np.asarray(w, np.float64)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise QuantizationError(f"expected finite weights, but {bad} of {values.size} are NaN or infinite")
    return values


def checked_step(step: object) -> float:
    """A step as a float, or QuantizationError if it is none."""
    if not (isinstance(step, float | int | np.floating | np.integer) and math.isfinite(step) and step >= 1e-300):
        raise QuantizationError(f"step: expected a positive finite number, got {step!r}")
    return float(step)


def to_int32(values: Array, what: str) -> Symbols:
    """Whole numbers as symbols, or QuantizationError saying that ``what`` is too small for them."""
    if values.size and not max(-float(values.min()), float(values.max())) <= _LIMIT:
        largest = float(np.abs(values).max())
        raise QuantizationError(f"{what} is too small: a weight is {largest:.3g} steps from zero, at most 2^31 - 1 fit")
    return values.astype(np.int32)


@dataclass(frozen=True)
class UniformGrid:
    """Cells of width ``step`` about the multiples of ``step``; ties go to the even multiple.

    Examples
    --------
    >>> grid = UniformGrid(0.25)
    >>> grid.quantize([0.3, -1.0]).tolist(), grid.dequantize([1, -4]).tolist()
    ([1, -4], [0.25, -1.0])
    """

    step: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", checked_step(self.step))

    def quantize(self, w: ArrayLike) -> Symbols:
        """Nearest multiple of the step."""
        with np.errstate(over="ignore"):
            return to_int32(np.rint(finite(w) / self.step), f"step {self.step:g}")

    def dequantize(self, symbols: ArrayLike) -> Array:
        """Symbol times step."""
        return np.asarray(symbols, np.float64) * self.step

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """Half a step either side."""
        centre = np.asarray(symbols, np.float64)
        return (centre - 0.5) * self.step, (centre + 0.5) * self.step


@dataclass(frozen=True)
class DeadZone:
    """A uniform grid whose zero cell is wider: |w| / step is rounded up only from a fraction ``1 - rounding`` on.

    ``rounding`` 1/2 is the uniform grid (but for ties); smaller values send more weights to zero and save bits at
    low rates.
    """

    step: float
    rounding: float = 0.375

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", checked_step(self.step))
        if not 0.0 < self.rounding <= 0.5:
            raise QuantizationError(f"rounding: expected 0 < rounding <= 1/2, got {self.rounding}")

    def quantize(self, w: ArrayLike) -> Symbols:
        """Multiple of the step, rounded towards zero below ``1 - rounding``."""
        values = finite(w)
        with np.errstate(over="ignore"):
            magnitude = np.floor(np.abs(values) / self.step + self.rounding)
        return to_int32(np.copysign(magnitude, values), f"step {self.step:g}")

    def dequantize(self, symbols: ArrayLike) -> Array:
        """Symbol times step."""
        return np.asarray(symbols, np.float64) * self.step

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """From ``|s| - rounding`` steps outwards; the zero cell is ``2 - 2 rounding`` steps wide."""
        s = np.asarray(symbols, np.float64)
        lower = np.where(s > 0, s - self.rounding, s - 1.0 + self.rounding)
        upper = np.where(s < 0, s + self.rounding, s + 1.0 - self.rounding)
        return lower * self.step, upper * self.step


@dataclass(frozen=True)
class Codebook:
    """Any ascending ``levels``; a weight takes the nearest. ``Codebook.fit`` places them by k-means."""

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        array = np.asarray(self.levels, np.float64)
        if array.ndim != 1 or array.size < 1 or not np.isfinite(array).all() or not (np.diff(array) > 0).all():
            raise QuantizationError("levels: expected at least one finite level, strictly ascending")

    @classmethod
    def fit(cls, w: ArrayLike, levels: int) -> Codebook:
        """At most ``levels`` levels by k-means in one dimension, started at quantiles; float32, so that they are short.

        Examples
        --------
        >>> Codebook.fit([0.0, 0.1, 1.0, 1.1], 2).levels
        (0.05000000074505806, 1.0499999523162842)
        """
        from sklearn.cluster import KMeans

        values = finite(w).reshape(-1, 1)
        if levels < 1 or values.size == 0:
            raise QuantizationError(f"Codebook.fit: expected weights and levels >= 1, got {values.size} and {levels}")
        start = np.unique(np.quantile(values, (np.arange(levels) + 0.5) / levels, method="nearest"))
        fitted = KMeans(start.size, init=start.reshape(-1, 1), n_init=1, max_iter=100).fit(values)
        centres = np.unique(fitted.cluster_centers_.astype(np.float32))
        return cls(tuple(centres.astype(np.float64).tolist()))

    @functools.cached_property
    def _edges(self) -> tuple[Array, Array]:
        levels = np.asarray(self.levels, np.float64)
        return levels, levels[:-1] + 0.5 * np.diff(levels)

    def quantize(self, w: ArrayLike) -> Symbols:
        """Index of the nearest level."""
        return np.searchsorted(self._edges[1], finite(w)).astype(np.int32)

    def dequantize(self, symbols: ArrayLike) -> Array:
        """The level."""
        return self._edges[0][_indices(symbols, 0, len(self.levels) - 1)]

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """Midpoints to the neighbouring levels; infinite at both ends."""
        edges = np.concatenate([[-np.inf], self._edges[1], [np.inf]])
        index = _indices(symbols, 0, len(self.levels) - 1)
        return edges[index], edges[index + 1]


def _indices(symbols: ArrayLike, low: int, high: int) -> NDArray[np.int64]:
    index = np.asarray(symbols, np.int64)
    if index.size and not low <= index.min() <= index.max() <= high:
        raise QuantizationError(f"expected symbols from {low} to {high}, got {index.min()} to {index.max()}")
    return index


_FORMATS: dict[str, tuple[Any, Any]] = {  # name: (float type, unsigned type of its bits)
    "float32": (np.float32, np.uint32),
    "float16": (np.float16, np.uint16),
    "bfloat16": (ml_dtypes.bfloat16, np.uint16),
    "float8_e4m3fn": (ml_dtypes.float8_e4m3fn, np.uint8),
    "float8_e5m2": (ml_dtypes.float8_e5m2, np.uint8),
}


def _cast(values: Array, kind: Any) -> NDArray[Any]:
    """Nearest values of a float type, rounded once.

    ml_dtypes casts float64 by way of float32. What that first step rounds is made odd there, which is never a tie of
    the second step and lies on the same side of every tie as the value itself (Boldo & Melquiond 2008).
    """
    if kind in (np.float16, np.float32):
        return values.astype(kind)
    single = values.astype(np.float32)
    pattern = single.view(np.uint32)
    inexact = single != values
    pattern = pattern - (np.abs(single) > np.abs(values))
    return (pattern | inexact).astype(np.uint32).view(np.float32).astype(kind)


@dataclass(frozen=True)
class FloatFormat:
    """The values of a float format taken literally: symbol k is the k-th value above zero, -k its mirror image.

    ``name`` is float32, float16, bfloat16, float8_e4m3fn or float8_e5m2. Both zeros are symbol 0. A weight beyond
    the largest finite value is refused, never made infinite.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _FORMATS:
            raise QuantizationError(f"float format: expected one of {', '.join(_FORMATS)}, got {self.name!r}")

    @property
    def bits_per_weight(self) -> int:
        """Width of the format, bits."""
        return 8 * np.dtype(_FORMATS[self.name][0]).itemsize

    @property
    def largest(self) -> float:
        """The largest finite value."""
        return float(ml_dtypes.finfo(_FORMATS[self.name][0]).max)  # type: ignore[no-untyped-call]

    def quantize(self, w: ArrayLike) -> Symbols:
        """Nearest value of the format, ties to the even one."""
        values = finite(w)
        kind, unsigned = _FORMATS[self.name]
        if values.size and float(np.abs(values).max()) > self.largest:
            worst = float(np.abs(values).max())
            raise QuantizationError(
                f"{self.name}: a weight of size {worst:g} is beyond its largest value {self.largest:g}"
            )
        sign = 1 << (self.bits_per_weight - 1)
        pattern = _cast(values, kind).view(unsigned).astype(np.int64)
        magnitude = pattern & (sign - 1)
        return np.where(pattern & sign, -magnitude, magnitude).astype(np.int32)

    @functools.cached_property
    def _last(self) -> int:
        return int(self.quantize(self.largest))

    def dequantize(self, symbols: ArrayLike) -> Array:
        """The float of that rank, exact in float64."""
        index = _indices(symbols, -self._last, self._last)
        kind, unsigned = _FORMATS[self.name]
        magnitude = np.abs(index).astype(unsigned).view(kind).astype(np.float64)
        return np.where(index < 0, -magnitude, magnitude)

    def cell(self, symbols: ArrayLike) -> tuple[Array, Array]:
        """Midpoints to the neighbouring floats; infinite at both ends."""
        index = _indices(symbols, -self._last, self._last)
        centre = self.dequantize(index)
        below = self.dequantize(np.maximum(index - 1, -self._last))
        above = self.dequantize(np.minimum(index + 1, self._last))
        lower = np.where(index == -self._last, -np.inf, 0.5 * (centre + below))
        return lower, np.where(index == self._last, np.inf, 0.5 * (centre + above))
