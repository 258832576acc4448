"""Tensors coded with the help of their layer's inputs, which writer and reader share and no message holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from mdl.codes import Code
from mdl.codes.coder import Coder, Symbols
from mdl.codes.scheme import Coding, Histogram, Tensor, restored
from mdl.errors import CodeError, WeightsError
from mdl.masses import Array


@runtime_checkable
class Grid(Protocol):
    """What a shaped quantizer becomes once inputs are known: a decoder of all symbols of a tensor at once."""

    @property
    def count(self) -> int:
        """How many symbols a tensor takes."""
        ...

    def dequantize(self, symbols: ArrayLike) -> Array:
        """(count,) symbols to (size,) weights, row-major."""
        ...


@runtime_checkable
class Shaped(Protocol):
    """A quantizer that is told by a few numbers, and made from them and the inputs H (n, fan_in) of a layer."""

    def bind(self, inputs: Array, shape: tuple[int, ...]) -> Grid:
        """For a weight tensor (fan_in, units)."""
        ...


class ShapedCode(Protocol):
    """The code of a shaped quantizer's symbols."""

    def bind(self, grid: Any) -> Code:
        """For one tensor."""
        ...


@dataclass(frozen=True, eq=False)
class ShapedCoding(Coding):
    """A shaped quantizer and its code, as they are described, with what they become for one tensor.

    ``chosen`` are the symbols to be written: no rule takes a weight alone to its symbol, a search takes all of them.
    The fingerprint covers the decoded weights, as doubles, so that a reader finds out if its arithmetic makes others.
    """

    grid: Grid = field(kw_only=True)
    bound: Code = field(kw_only=True)

    @classmethod
    def of(cls, coding: Coding, inputs: Array, shape: tuple[int, ...], chosen: Symbols | None = None) -> Self:
        """A coding as described, for a tensor (fan_in, units) with these inputs.

        Raises
        ------
        WeightsError
            If shape and inputs do not belong together.
        """
        if len(shape) != 2 or inputs.ndim != 2 or inputs.shape[1] != shape[0]:
            raise WeightsError(f"expected a weight of shape ({inputs.shape[-1]}, units) for its inputs, got {shape}")
        quantizer: Any = coding.quantizer
        code: Any = coding.code
        if not (isinstance(quantizer, Shaped) and hasattr(code, "bind")):
            raise CodeError(f"expected a quantizer and a code shaped by inputs, got {quantizer} and {code}")
        grid = quantizer.bind(inputs, shape)
        return cls(coding.quantizer, code, coding.part, grid=grid, bound=code.bind(grid), chosen=chosen)

    def symbols(self, tensor: Tensor, name: str = "") -> Symbols:
        """Those that were chosen."""
        if self.chosen is None:
            raise CodeError(f"tensor {name!r}: expected symbols that a search has chosen")
        return self.chosen

    def restore(self, symbols: Symbols, dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> Tensor:
        """The tensor that the symbols stand for."""
        return restored(self.grid.dequantize(symbols), dtype, name).reshape(shape)

    def write(self, coder: Coder, tensor: Tensor, name: str = "") -> None:
        """Write the chosen symbols."""
        symbols = self.symbols(tensor, name)
        coder.note(self.grid.dequantize(symbols))
        self.bound.push(coder, symbols)

    def read(self, coder: Coder, dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> Tensor:
        """Read a tensor."""
        values = self.grid.dequantize(self.bound.pop(coder, self.grid.count))
        coder.note(values)
        if values.shape != (math.prod(shape),):
            raise WeightsError(f"tensor {name!r}: expected {math.prod(shape)} weights, got {values.size}")
        return restored(values, dtype, name).reshape(shape)

    def nats(self, tensor: Tensor, name: str = "", counted: Histogram | None = None) -> float:
        """Ideal length of the chosen symbols, nats."""
        return float(self.bound.nats(self.symbols(tensor, name)).sum())
