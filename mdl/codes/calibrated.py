"""Symbols that keep what a model computes: the error of a weight is made good by others, and bits have a price.

A tensor is a matrix here, its first axis by all others. A change E of it costs ½ Σ R_ij C_kl E_ik E_jl, with a factor R
for the rows and C for the columns, one of which may be diagonal: ½ tr(C Eᵀ R E). Weights are rounded a row at a time.
The error of a row is taken from the rows that follow as far as R says that they can make it good, and each symbol is
the one whose error and bits cost least together. A reader needs to know nothing of it.

References
----------
Hassibi & Stork, Second order derivatives for network pruning, NIPS 5 (1993). Frantar & Alistarh, Optimal brain
compression, NeurIPS (2022), and GPTQ, ICLR (2023), for the order of rows. Sullivan & Wiegand, Rate-distortion
optimization for video compression, IEEE Signal Processing Magazine 15 (1998), for the price on bits.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mdl.codes.coder import Symbols
from mdl.errors import QuantizationError
from mdl.masses import Array
from mdl.quantize import UniformGrid, to_int32

_BLOCK = 64  # rows whose errors reach the rows beyond them together
_FARTHEST = 2000  # notch, two an octave, of a step
_WIDEST = 1 << 14  # symbol that a price is asked for: on a grid so fine it decides nothing
_ROUNDS = 3  # of rounding with what symbols cost after the round before
_CLASSES = 24  # of weights that are told apart by the sizes in their row and column
_CLASS = 256  # weights of the least class
_BEFORE = 8.0  # weights of the whole tensor's size that count with those of a line, and with the symbols of a class
_DAMPING = 0.3  # of a factor's mean diagonal, added to it where weights are rounded: examples do not show everything


class Factors(NamedTuple):
    """Curvature of the loss along a tensor's rows and columns, nats an example: (d,), or one of them (d, d)."""

    rows: Array
    columns: Array

    def loss(self, error: Array) -> float:
        """½ Σ R_ij C_kl E_ik E_jl of an error in the tensor's shape, nats an example.

        Examples
        --------
        >>> Factors(np.array([1.0, 2.0]), np.array([[2.0, 1.0], [1.0, 2.0]])).loss(np.array([[1.0, -1.0], [0.0, 1.0]]))
        3.0
        """
        matrix = error.reshape(len(self.rows), len(self.columns))
        half = self.rows @ matrix if self.rows.ndim == 2 else self.rows[:, None] * matrix
        return 0.5 * float(np.sum(half * (matrix @ self.columns if self.columns.ndim == 2 else matrix * self.columns)))

    def check(self, shape: tuple[int, ...]) -> None:
        """QuantizationError unless they are the factors of a tensor of this shape."""
        sides = (shape[0], math.prod(shape[1:])) if shape else (1, 1)
        for axis, factor, side in zip(("rows", "columns"), self, sides, strict=True):
            if factor.shape not in ((side,), (side, side)):
                raise QuantizationError(f"{axis}: expected shape ({side},) or ({side}, {side}), got {factor.shape}")
            if not (np.isfinite(factor).all() and (_diagonal(factor) >= 0.0).all()):
                raise QuantizationError(f"{axis}: expected finite curvature, nowhere negative")
            if factor.ndim == 2 and not np.allclose(factor, factor.T):
                raise QuantizationError(f"{axis}: expected a symmetric matrix")
        if self.rows.ndim == self.columns.ndim == 2:
            raise QuantizationError("expected one factor to be a diagonal at least, got two matrices")


class Rounding:
    """How one tensor is rounded under given factors, whatever the step: the order of rows and who makes good what.

    Parameters
    ----------
    tensor
        Of any number of dimensions; the module says how it is a matrix.
    factors
        Its factors.

    Raises
    ------
    QuantizationError
        If they do not fit the tensor.

    Examples
    --------
    >>> together = np.array([[1.0, 0.9], [0.9, 1.0]])  # two inputs that go together: what counts is the sum of weights
    >>> Rounding(np.array([[0.4], [0.4]]), Factors(together, np.ones(1))).symbols(1.0, price=0.0).tolist()
    [0, 1]
    """

    def __init__(self, tensor: NDArray[np.generic], factors: Factors) -> None:
        factors.check(tensor.shape)
        self._turned = factors.columns.ndim == 2
        along, across = factors[::-1] if self._turned else factors
        matrix = tensor.reshape(len(factors.rows), -1).astype(np.float64)
        self._order = np.argsort(-_diagonal(along), kind="stable")
        self._matrix = (matrix.T if self._turned else matrix)[self._order]
        ordered = along[self._order] if along.ndim == 1 else along[np.ix_(self._order, self._order)]
        self._factors = Factors(ordered, across)
        self._passed, left = _made_good(_damped(ordered))
        self._matters = np.outer(left, _damped(across))

    @property
    def typical(self) -> float:
        """How much a weight matters, nats an example, once others have made its error good: the mean."""
        return float(self._matters.mean())

    def symbols(self, step: float, price: float) -> Symbols:
        """The symbols in the tensor's order, (size,), on a uniform grid, where a nat of code is worth ``price``."""
        found = np.empty(self._matrix.shape, np.int32)
        found[self._order] = self._rounded(step, price)[0]
        return np.ascontiguousarray(found.T if self._turned else found).ravel()

    def cost(self, step: float, price: float) -> float:
        """The loss and, at its price, about the code of ``symbols``: its length by the histograms of like weights."""
        symbols, told = self._rounded(step, price)
        return self._factors.loss(self._matrix - step * symbols) + price * told.nats(symbols)

    def _rounded(self, step: float, price: float) -> tuple[Symbols, _Told]:
        symbols = self._round(step, 0.0, None)
        told = _Told.of(symbols)
        for _ in range(_ROUNDS if price and told.reach <= _WIDEST else 0):
            symbols = self._round(step, price, told)
            told = _Told.of(symbols)
        return symbols, told

    def _round(self, step: float, price: float, told: _Told | None) -> Symbols:
        """One pass over the rows: to the cheapest of zero and the symbols about, or to the nearest."""
        points, passed = self._matrix / step, self._passed
        symbols = np.empty(points.shape)
        for start in range(0, len(points), _BLOCK):
            stop = min(start + _BLOCK, len(points))
            for row in range(start, stop):
                near = np.rint(points[row])
                if told is not None:
                    near = told.cheapest(row, points[row], near, self._matters[row] * (0.5 * step**2 / price))
                symbols[row] = near
                points[row] -= near  # from here on the error
                if passed is not None:
                    points[row + 1 : stop] -= passed[row, row + 1 : stop, None] * points[row]
            if passed is not None:
                points[stop:] -= passed[start:stop, stop:].T @ points[start:stop]
        return to_int32(symbols, f"step {step:g}")


def _diagonal(factor: Array) -> Array:
    return factor if factor.ndim == 1 else np.diag(factor)


def _damped(factor: Array) -> Array:
    more = _DAMPING * _diagonal(factor).mean()
    return factor + (more if factor.ndim == 1 else more * np.eye(len(factor)))


def _made_good(factor: Array) -> tuple[Array | None, Array]:
    """What of a row's error the rows after it take, (d, d), and how much what they leave of it matters, (d,).

    With R⁻¹ = UᵀU, U upper triangular, row j takes U_ij / U_ii of row i's error, and ½ EᵀRE = ½ Σ e_i² / U_ii², e_i the
    error of row i against what it was to be by then. Nothing is taken where R is a diagonal.
    """
    if factor.ndim == 1:
        return None, factor
    try:
        inverse = linalg.cho_solve(linalg.cho_factor(factor), np.eye(len(factor)))
        upper = linalg.cholesky(inverse)
    except linalg.LinAlgError as error:
        raise QuantizationError(f"expected curvature that is nowhere negative: {error}") from error
    diagonal = np.diag(upper)
    return upper / diagonal[:, None], 1.0 / diagonal**2


@dataclass(frozen=True)
class _Told:
    """About what symbols cost, nats, where weights of like rows and columns share a histogram: (classes, symbols)."""

    classes: NDArray[np.intp]
    table: Array
    reach: int

    @classmethod
    def of(cls, symbols: Symbols) -> Self:
        size = np.abs(symbols).astype(np.float64)
        reach = int(size.max(initial=0.0)) + 1
        if reach > _WIDEST:
            return cls(np.zeros(symbols.shape, np.intp), np.zeros((1, 1)), reach)
        classes, count = _classes(size)
        levels = 2 * reach + 1
        counts = np.bincount((classes * levels + symbols + reach).ravel(), minlength=count * levels)
        both = counts.reshape(count, levels).astype(np.float64)
        both = 0.5 * (both + both[:, ::-1])
        of_class = both.sum(axis=1, keepdims=True)
        mean = (both @ np.abs(np.arange(levels) - reach))[:, None] / np.maximum(of_class, 1.0) + 1e-3
        falls = (np.sqrt(1.0 + mean**2) - 1.0) / mean  # of the geometric law of that mean
        law = (1.0 - falls) / (1.0 + falls) * falls ** np.abs(np.arange(levels) - reach)
        law = np.maximum(law, np.finfo(float).tiny)
        return cls(classes, -np.log((both + _BEFORE * law) / (of_class + _BEFORE)), reach)

    def nats(self, symbols: Symbols) -> float:
        """Of all symbols."""
        return float(self.table[self.classes, symbols + self.reach].sum()) if self.reach <= _WIDEST else math.inf

    def cheapest(self, row: int, points: Array, near: Array, worth: Array) -> Array:
        """The symbol of each weight of a row whose squared error times ``worth`` and nats are least together."""
        other = near + np.where(points > near, 1.0, -1.0)
        tried = np.stack([near, near - np.sign(near), other, np.zeros_like(near)])
        np.clip(tried, -self.reach, self.reach, out=tried)
        nats = self.table[self.classes[row], tried.astype(np.intp) + self.reach]
        best: Array = np.take_along_axis(tried, (worth * (tried - points) ** 2 + nats).argmin(axis=0)[None], axis=0)[0]
        return best


def _classes(size: Array) -> tuple[NDArray[np.intp], int]:
    """Weights told apart by the mean size in their row and in their column, each class about as large; and how many."""
    whole = float(size.mean()) + 1e-12
    rows, columns = (
        (size.sum(axis=axis, keepdims=True) + _BEFORE * whole) / (size.shape[axis] + _BEFORE) for axis in (1, 0)
    )
    expected = rows * columns
    count = int(np.clip(size.size // _CLASS, 1, _CLASSES))
    ends = np.quantile(expected, np.linspace(0.0, 1.0, count + 1)[1:-1])
    return np.searchsorted(ends, expected), count


def calibrated(tensor: NDArray[np.generic], factors: Factors, price: float) -> tuple[UniformGrid, Symbols]:
    """The uniform grid on which loss and code cost least together, and the symbols there, (size,).

    Steps 2^k and 3/2 2^k are tried, whose descriptions are short, downhill from a fine one: that whose error at high
    rate would be worth the price if all weights mattered alike.

    Parameters
    ----------
    tensor
        Floats, any shape.
    factors
        Curvature along its axes, nats an example.
    price
        Nats an example that a nat of code is worth, > 0.

    Examples
    --------
    >>> w = np.random.default_rng(0).normal(size=(40, 30))
    >>> grid, symbols = calibrated(w, Factors(np.eye(40), np.ones(30)), price=1e-3)
    >>> grid, int(np.abs(symbols).max())
    (UniformGrid(step=0.09375), 42)
    """
    if not (math.isfinite(price) and price > 0.0):
        raise QuantizationError(f"price: expected a positive finite number, got {price!r}")
    factors.check(tensor.shape)
    if not (tensor.any() and factors.rows.any() and factors.columns.any()):  # such as a layer whose inputs are all zero
        return UniformGrid(1.0), np.zeros(tensor.size, np.int32)
    rounding = Rounding(tensor, factors)
    notch = round(math.log2(12.0) + math.log2(price) - math.log2(rounding.typical))
    if abs(notch) > _FARTHEST:
        raise QuantizationError(f"price: expected one about which there is a step, got {price:g}")

    @functools.cache
    def cost(notch: int) -> float:
        return rounding.cost(_step(notch), price)

    for way in (-1, 1):
        while cost(notch + way) < cost(notch):
            notch += way
    return UniformGrid(_step(notch)), rounding.symbols(_step(notch), price)


def _step(notch: int) -> float:
    """... 1/2, 3/4, 1, 3/2, 2, ..."""
    octave, half = divmod(notch, 2)
    return math.ldexp(1.5 if half else 1.0, octave)
