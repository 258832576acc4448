"""For each tensor whichever prior, and beside a trellis whichever grid, is shortest for its error."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdl.codes import Code
from mdl.codes.adaptive import KT
from mdl.codes.coder import MAX_LEVELS, Symbols
from mdl.codes.discretized import Discretized
from mdl.codes.fitted import fit_counts, rounded_code, searched
from mdl.codes.scaled import Scaled, ScaledMatrix, Weights, in_density
from mdl.codes.scheme import INTEGER_CODING, Coding, Histogram, PriorLike, Scheme, Tensor
from mdl.errors import PriorError
from mdl.fitting import Cells
from mdl.masses import Array
from mdl.priors import Gaussian, GeneralizedGaussian, Prior, StudentT
from mdl.quantize import DeadZone, Quantizer, UniformGrid
from mdl.trellis import SQUARED_ERROR, Trellis

_ROUNDINGS = (0.4, 0.3)  # of dead zones that are tried where most weights are near zero
_SAMPLE = 1 << 16  # weights by which that is told
_SHAPE_NATS = 4.0  # that a shape has to be worth
_HEAVY = StudentT  # families that have no lighter tails than a Gaussian to offer


@dataclass(frozen=True)
class Shortest:
    """A choice of ``priors``: each tensor is coded under the one that makes it shortest, which its description says.

    Where a trellis is given and most of a tensor's weights are near zero, which a trellis has no point for, a uniform
    grid and dead zones of about the same error are tried too, under the first of the priors. What counts is the
    length, and the error at the price that bits have elsewhere: at the least length for an error D a weight, one nat
    less is 2 D more. Of several ``Scaled`` families the first is tried; of the others, with one scale and, where that
    helps the first, with scales of lines, whichever makes some of the weights shortest.

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
        by_line = any(isinstance(prior, Scaled) for prior in self.priors)
        first = searched({name: grid for name, grid in quantizers.items() if name not in chosen}, tensors, by_line)
        codings = {}
        for name, tensor in tensors.items():
            if name not in quantizers:
                codings[name] = INTEGER_CODING
            elif name in chosen:
                codings[name] = _shortest(self._codings(name, tensor, quantizers[name], chosen[name]), tensor)
            else:
                codings[name] = self._coding(name, tensor, quantizers[name], first[name])
        return Scheme(codings)

    def _coding(self, name: str, tensor: Tensor, quantizer: Quantizer, symbols: Symbols) -> Coding:
        """With its symbols on the quantizer given, or on another grid under whose first prior it costs less."""
        tried = {quantizer: self._codings(name, tensor, quantizer, symbols)}
        for grid in _others(quantizer, tensor):
            tried[grid] = self._codings(name, tensor, grid, searched({name: grid}, {name: tensor}, False)[name])
        first = {grid: next(codings) for grid, codings in tried.items()}
        best = quantizer
        if isinstance(quantizer, Trellis) and len(tried) > 1:
            nat = 2.0 * SQUARED_ERROR * quantizer.step**2  # its price in squared error
            best = min(tried, key=lambda grid: _nats(first[grid], tensor) + first[grid].squared_error(tensor) / nat)
        return _shortest((first[best], *tried[best]), tensor)

    def _codings(self, name: str, tensor: Tensor, grid: Quantizer, symbols: Symbols) -> Iterator[Coding]:
        """Of known symbols, under one prior that can be used after the other; of rival families one.

        What gives each symbol one mass all over a tensor is not tried where the symbols' entropy is too large for it,
        nor is KT, which nears that.
        """
        counted = Histogram.of_symbols(symbols)
        narrow = counted.ends[1] - counted.ends[0] < MAX_LEVELS
        first: Coding | None = None
        rivals: list[Scaled] = []
        for prior in [prior for prior in self.priors if narrow or prior is not KT] or self.priors:
            scaled = isinstance(prior, Scaled) and hasattr(prior.prior, "scale")
            if first is not None and isinstance(prior, Scaled) and scaled:
                rivals.append(prior)
            elif first is None or prior is not KT or counted.entropy < first.nats(tensor):
                coding = fit_counts({name: tensor}, {name: grid}, prior, {}, {name: counted}, {name: symbols})
                first = coding.codings[name] if scaled else first
                yield coding.codings[name]
        if first is None or not rivals:
            return
        if isinstance(first.code, ScaledMatrix):
            by_line = _best_by_line(first.code, rivals, symbols)
            if by_line is not None:
                yield Coding(grid, by_line, chosen=symbols)
        if counted.entropy < first.nats(tensor):
            whole = _best_whole(first.code, rivals, grid, counted)
            if whole is not None:
                yield Coding(grid, whole, chosen=symbols)


def _best_by_line(code: ScaledMatrix, rivals: Sequence[Scaled], symbols: Symbols) -> Code | None:
    """The code beside another by line under the rival that shortens a sample of the weights most; None if none does."""
    fits = {rival: rival.fit_shapes for rival in rivals}
    best = _most_promising(code.prior, fits, code.standardised(symbols), symbols.size)
    return None if best is None else best[0].beside(code, best[1], symbols)


def _best_whole(code: Code, rivals: Sequence[Scaled], grid: Quantizer, counted: Histogram) -> Code | None:
    """The same of codes with one scale."""
    fits = {rival: rival.fit_whole for rival in rivals}
    prior = code.prior if isinstance(code, Discretized | ScaledMatrix) else None
    best = _most_promising(prior, fits, in_density(*counted.cells(grid)), int(counted.counts.sum()))
    return None if best is None else rounded_code(best[1], best[0].prior, grid, counted)


def _most_promising(
    prior: Prior | None, fits: Mapping[Scaled, Callable[[Weights], Prior]], weights: Weights, count: int
) -> tuple[Scaled, Prior] | None:
    """The family whose fit is shortest for some of so many weights, and the fit.

    To a density of small excess kurtosis k the nearest Gaussian has a relative entropy of k^2 / 48 nats (its
    Gram-Charlier series, to the fourth moment). Where no shape is worth its bits, that tells so without a fit.
    """
    tried = list(fits)
    if isinstance(prior, Gaussian):
        kurtosis = _excess_kurtosis(weights[0], weights[1])
        if count * kurtosis**2 < 48.0 * _SHAPE_NATS:
            return None
        tried = [rival for rival in fits if kurtosis > 0.0 or not isinstance(rival.prior, _HEAVY)]
    cells, fitted = Cells.of(*weights), {rival: fits[rival](weights) for rival in tried}
    best = min(tried, key=lambda rival: cells.nats(fitted[rival]), default=None)
    return None if best is None else (best, fitted[best])


def _excess_kurtosis(w: Array, counts: NDArray[np.int64]) -> float:
    """Fourth moment over squared variance, about zero, less the 3 of a Gaussian; 0 if all weights are zero."""
    squares = np.square(w)
    mean = counts @ squares / counts.sum()
    return float(counts @ np.square(squares / mean) / counts.sum()) - 3.0 if mean > 0.0 else 0.0


def _shortest(codings: Iterable[Coding], tensor: Tensor) -> Coding:
    return min(codings, key=lambda coding: _nats(coding, tensor))


def _nats(coding: Coding, tensor: Tensor) -> float:
    return Scheme({"": coding}).length({"": tensor}).nats


def _others(quantizer: Quantizer, tensor: Tensor) -> Iterator[Quantizer]:
    """Beside a trellis, grids that have a point at zero, if most of a tensor's weights are nearer to it."""
    flat = tensor.reshape(-1)
    some = np.abs(flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64))
    if isinstance(quantizer, Trellis) and some.size and float(np.median(some)) < 0.5 * quantizer.step:
        step = quantizer.step * math.sqrt(12.0 * SQUARED_ERROR)
        yield UniformGrid(step)
        yield from (DeadZone(step, rounding) for rounding in _ROUNDINGS)
