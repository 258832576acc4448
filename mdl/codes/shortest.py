"""For each tensor whichever prior, and beside a trellis whichever grid, is shortest for its error."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mdl.codes.adaptive import KT
from mdl.codes.coder import MAX_LEVELS, Symbols
from mdl.codes.fitted import fit_counts, searched
from mdl.codes.scaled import Scaled
from mdl.codes.scheme import INTEGER_CODING, Coding, Histogram, PriorLike, Scheme, Tensor
from mdl.errors import PriorError
from mdl.priors import Gaussian, GeneralizedGaussian, StudentT
from mdl.quantize import DeadZone, Quantizer, UniformGrid
from mdl.trellis import SQUARED_ERROR, Trellis

_ROUNDINGS = (0.4, 0.3)  # of dead zones that are tried where most weights are near zero
_SAMPLE = 1 << 16  # weights by which that is told


@dataclass(frozen=True)
class Shortest:
    """A choice of ``priors``: each tensor is coded under the one that makes it shortest, which its description says.

    Where a trellis is given and most of a tensor's weights are near zero, which a trellis has no point for, a uniform
    grid and dead zones of about the same error are tried too, under the first of the priors. What counts is the
    length, and the error at the price that bits have elsewhere: at the least length for an error D a weight, one nat
    less is 2 D more.

    Raises
    ------
    PriorError
        If there are no priors to choose from.

    Examples
    --------
    >>> import mdl
    >>> rng = np.random.default_rng(0)
    >>> w = {"a": rng.normal(size=(99, 99)), "b": rng.standard_t(3, size=(99, 99))}
    >>> lengths = [mdl.measure(w, prior, step=2**-4).bits for prior in (Shortest(), Gaussian(), StudentT())]
    >>> bool(lengths[0] <= min(lengths))
    True
    """

    priors: tuple[PriorLike, ...] = (
        Scaled(Gaussian()),
        Scaled(StudentT()),
        Scaled(GeneralizedGaussian()),
        KT,
    )

    def __post_init__(self) -> None:
        if not self.priors:
            raise PriorError("Shortest: expected some priors, got none")

    def scheme(
        self,
        tensors: Mapping[str, Tensor],
        quantizers: Mapping[str, Quantizer],
        chosen: Mapping[str, Symbols] = types.MappingProxyType({}),
    ) -> Scheme:
        """The coding of every tensor: ``quantizers`` has one for each of floats, ``chosen`` known symbols."""
        return Scheme({
            name: self._coding(name, tensor, quantizers[name], chosen.get(name))
            if name in quantizers
            else INTEGER_CODING
            for name, tensor in tensors.items()
        })  # fmt: skip

    def _coding(self, name: str, tensor: Tensor, quantizer: Quantizer, chosen: Symbols | None) -> Coding:
        if chosen is not None:
            return self._under_shortest(name, tensor, quantizer, chosen)
        by_line = any(isinstance(prior, Scaled) for prior in self.priors)
        symbols = {grid: searched(grid, tensor, by_line, name) for grid in _alternatives(quantizer, tensor)}
        grid = quantizer
        if isinstance(quantizer, Trellis) and len(symbols) > 1:
            nat = 2.0 * SQUARED_ERROR * quantizer.step**2  # its price in squared error

            def cost(grid: Quantizer) -> float:
                """Under one prior: on which grid a tensor is shortest hardly hangs on it."""
                coding = next(self._codings(name, tensor, grid, symbols[grid]))
                return _nats(coding, tensor) + coding.squared_error(tensor) / nat

            grid = min(symbols, key=cost)
        return self._under_shortest(name, tensor, grid, symbols[grid])

    def _under_shortest(self, name: str, tensor: Tensor, grid: Quantizer, symbols: Symbols) -> Coding:
        return min(self._codings(name, tensor, grid, symbols), key=lambda coding: _nats(coding, tensor))

    def _codings(self, name: str, tensor: Tensor, grid: Quantizer, symbols: Symbols) -> Iterator[Coding]:
        """Of known symbols, under one prior that can be used after the other."""
        counted = Histogram.of_symbols(symbols)
        narrow = counted.ends[1] - counted.ends[0] < MAX_LEVELS
        for prior in [prior for prior in self.priors if narrow or prior is not KT] or self.priors:
            yield fit_counts({name: tensor}, {name: grid}, prior, {}, {name: counted}, {name: symbols}).codings[name]


def _nats(coding: Coding, tensor: Tensor) -> float:
    return Scheme({"": coding}).length({"": tensor}).nats


def _alternatives(quantizer: Quantizer, tensor: Tensor) -> Iterator[Quantizer]:
    """A trellis alone, or with grids that have a point at zero, if most of a tensor's weights are nearer to it."""
    yield quantizer
    flat = tensor.reshape(-1)
    some = np.abs(flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64))
    if isinstance(quantizer, Trellis) and some.size and float(np.median(some)) < 0.5 * quantizer.step:
        step = quantizer.step * math.sqrt(12.0 * SQUARED_ERROR)
        yield UniformGrid(step)
        yield from (DeadZone(step, rounding) for rounding in _ROUNDINGS)
