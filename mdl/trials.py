"""Messages of one trained model and its data on every grid and under every prior that is tried."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mdl.codes import message
from mdl.codes.fitted import fit_counts
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.message import DataPart
from mdl.codes.scheme import FREE, Coding, Histogram, PriorLike, Scheme
from mdl.errors import MdlError, QuantizationError
from mdl.length import CodeLength
from mdl.models import FeedForward, Model, count_rows, shared, to_indices
from mdl.quantize import Quantizer, UniformGrid
from mdl.source import Source, root_mean_square
from mdl.weights import Weights

#: A step, a quantizer, or one of either a tensor.
Grid = float | Quantizer | Mapping[str, float | Quantizer]

_OCTAVES = 14  # of steps searched, from twice the largest weight downwards


def quantizers_for(names: Iterable[str], grid: Grid) -> dict[str, Quantizer]:
    """A quantizer for each tensor."""
    chosen = {}
    for name in names:
        if isinstance(grid, Mapping) and name not in grid:
            raise QuantizationError(f"step: expected one for every tensor, none given for {name!r}")
        one = grid[name] if isinstance(grid, Mapping) else grid
        chosen[name] = one if isinstance(one, Quantizer) else UniformGrid(one)
    return chosen


@dataclass(frozen=True)
class Found:
    """One message of a model and its data, ready to be measured or written."""

    tensors: Weights
    scheme: Scheme
    data: DataPart

    def ideal(self) -> CodeLength:
        """Its ideal length."""
        return message.ideal(self.tensors, self.scheme, self.data)

    def realise(self) -> tuple[bytes, CodeLength]:
        """Its bytes, and their number part by part."""
        return message.write(self.tensors, self.scheme, self.data)


class Trials:
    """Messages of one trained model and its data under any prior, sharing what does not depend on the prior."""

    def __init__(self, model: Model, X: Any, y: ArrayLike) -> None:
        self.model, self.inputs = shared(model, X)
        self.targets = to_indices(self.model, y)
        if count_rows(self.inputs) != len(self.targets):
            rows = count_rows(self.inputs)
            raise MdlError(f"expected as many targets as rows of X, got {len(self.targets)} and {rows}")
        self.tensors = self.model.weights
        self._penalised = [name for name in self.tensors.floats if name not in self.model.free]
        self._histograms: dict[tuple[str, Quantizer], Histogram] = {}
        self._data: dict[tuple[tuple[str, Quantizer], ...], DataPart] = {}
        self._free: dict[str, UniformGrid] | None = None

    @property
    def free(self) -> dict[str, UniformGrid]:
        """The grid of the free tensors that makes them and the data shortest, other weights unquantised."""
        if self._free is None:
            names = [name for name in self.model.free if self.tensors[name].size]
            best = min(self._steps(names), key=lambda step: self._free_nats(names, step)) if names else 1.0
            self._free = {name: UniformGrid(best) for name in self.model.free}
        return self._free

    @property
    def free_scheme(self) -> Scheme:
        """How the free tensors are coded."""
        return Scheme({name: Coding(grid, Signed(EliasDelta()), FREE) for name, grid in self.free.items()})

    def with_coded_free(self) -> Model:
        """The model with its free tensors as a reader gets them."""
        free = {name: self.tensors[name] for name in self.free}
        return self.model.with_weights({**self.tensors, **self.free_scheme.quantized(free)})

    def _free_nats(self, names: list[str], step: float) -> float:
        grid = UniformGrid(step)
        code = Signed(EliasDelta())
        nats = sum(float(code.nats(grid.quantize(self.tensors[name]).ravel()).sum()) for name in names)
        return nats + self._data_nats(dict.fromkeys(names, grid))

    def _steps(self, names: Iterable[str]) -> list[float]:
        """Powers of two from twice the largest weight downwards."""
        largest = max((float(np.abs(self.tensors[n].astype(float)).max(initial=0.0)) for n in names), default=0.0)
        top = math.frexp(largest or 1.0)[1] + 1
        return [math.ldexp(1.0, top - k) for k in range(_OCTAVES)]

    def _histogram(self, name: str, quantizer: Quantizer) -> Histogram:
        key = (name, quantizer)
        if key not in self._histograms:
            self._histograms[key] = Histogram.of(quantizer, self.tensors[name], name)
        return self._histograms[key]

    def _data_part(self, quantizers: Mapping[str, Quantizer]) -> DataPart:
        key = tuple(sorted(quantizers.items(), key=lambda item: item[0]))
        if key not in self._data:
            tensors = dict(self.tensors)
            for name, quantizer in quantizers.items():
                coding = Coding(quantizer, Signed(EliasDelta()))
                tensor = tensors[name]
                tensors[name] = coding.restore(coding.symbols(tensor, name), tensor.dtype, tensor.shape)
            self._data[key] = self.data_under(tensors)
        return self._data[key]

    def data_under(self, tensors: Mapping[str, Any]) -> DataPart:
        """The data under the model with these quantised tensors; the likelihood is fitted to it."""
        predictions = self.model.with_weights(tensors).predict(self.inputs)
        likelihood = self.model.likelihood.fit(predictions, self.targets)
        return DataPart(self.model.architecture, likelihood, predictions, likelihood.to_symbols(self.targets))

    def _data_nats(self, quantizers: Mapping[str, Quantizer]) -> float:
        data = self._data_part(quantizers)
        return float(data.labels.nats(data.symbols).sum())

    def on(self, grid: Grid, prior: PriorLike) -> Found:
        """The message with the penalised weights on this grid."""
        quantizers = quantizers_for(self._penalised, grid)
        counts = {name: self._histogram(name, quantizer) for name, quantizer in quantizers.items()}
        scheme = fit_counts(self.tensors, quantizers, prior, self.free, counts)
        return Found(self.tensors, scheme, self._data_part({**quantizers, **self.free}))

    def search(self, prior: PriorLike, near: float | None = None) -> Found:
        """The message with the shortest ideal length, over steps for the model and then one a tensor.

        ``near`` starts from a step known to be good (another prior's) instead of trying every octave.
        """
        tried: dict[tuple[float, ...], tuple[float, Found]] = {}

        def nats(steps: tuple[float, ...]) -> float:
            if steps not in tried:
                found = self.on(dict(zip(self._penalised, steps, strict=True)), prior)
                tried[steps] = (found.ideal().comparable.nats, found)
            return tried[steps][0]

        def common(step: float) -> tuple[float, ...]:
            return (step,) * len(self._penalised)

        octaves = self._steps(self._penalised)
        best = min(octaves, key=lambda step: nats(common(step))) if near is None else near
        best = _descend(best, (0.5, 2.0), lambda step: nats(common(step)))
        steps = common(_descend(best, (0.75, 1.5), lambda step: nats(common(step)), moves=1))
        if len(steps) > 1:
            for k in range(len(steps)):
                own = _descend(steps[k], (0.5, 2.0), lambda s, k=k, at=steps: nats((*at[:k], s, *at[k + 1 :])))
                steps = (*steps[:k], own, *steps[k + 1 :])
        nats(steps)
        return tried[steps][1]


def with_coded_free(model: Model, X: ArrayLike, y: ArrayLike) -> tuple[FeedForward, CodeLength]:
    """A network with its free tensors as a reader gets them, and the length of telling them.

    Raises
    ------
    MdlError
        If the model is of another kind.
    """
    trials = Trials(model, X, y)
    model = trials.model
    if not isinstance(model, FeedForward):
        raise MdlError(f"model: expected a FeedForward network, got {type(model).__name__}")
    free = {name: trials.tensors[name] for name in trials.free}
    scheme = trials.free_scheme
    return model.with_weights({**model.weights, **scheme.quantized(free)}), scheme.length(free)


def _descend(start: float, factors: tuple[float, ...], nats: Any, moves: int = _OCTAVES) -> float:
    """The step where no factor shortens the total any more."""
    best = start
    for _ in range(moves):
        closest = min((best, *(best * factor for factor in factors)), key=nats)
        if closest == best:
            break
        best = closest
    return best


def default_step(source: Source) -> float:
    """The power of two about 1/16 of the root mean square of all weights; 1 if they are all zero."""
    rms = root_mean_square(source)
    return math.ldexp(1.0, round(math.log2(rms)) - 4) if rms > 0.0 else 1.0
