"""Two-part codes: quantised weights, then the data under the model that they make; ideal and realised.

L(model) + L(data | model), Rissanen (1978). Everything that a reader needs is charged under its own name: which prior,
which step, their parameters, the alphabets' ends; the search over steps is charged by sending the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes import message
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.message import DataPart
from mdl.codes.scheme import Coding, Histogram, PriorLike, Scheme, fit_counts, fit_scheme, tensor_nats
from mdl.errors import MdlError, MessageError, QuantizationError
from mdl.length import LN2, CodeLength
from mdl.models import Model, checked_inputs, from_architecture, from_indices, to_indices
from mdl.priors import Gaussian
from mdl.quantize import Quantizer, UniformGrid
from mdl.weights import Weights, load

#: A step, a quantizer, or one of either a tensor.
Grid = float | Quantizer | Mapping[str, float | Quantizer]

_OCTAVES = 14  # of steps searched, from twice the largest weight downwards


def measure(weights: Any, prior: PriorLike = Gaussian(), step: Grid | None = None) -> CodeLength:  # noqa: B008
    """The ideal length of weights under a prior on a grid, nothing else: L(model).

    Parameters
    ----------
    weights
        Anything that :func:`mdl.load` takes: a path, a dict of arrays, ``Weights``.
    prior
        A prior, whose open parameters are fitted and charged, or a family of codes such as ``KT``.
    step
        A step, a quantizer, or one of either for every tensor of floats; by default the power of two about
        1/16 of the root mean square weight.

    Returns
    -------
    CodeLength
        Parts ``weights``, ``buffers`` (tensors of integers, coded as they are), ``quantizer``, ``prior``, ``support``,
        ``choice`` and ``header``.

    Examples
    --------
    >>> measure({"w": np.linspace(-1, 1, 101)}, prior=Gaussian(), step=2**-4).part_bits()["quantizer"]
    11.0
    """
    loaded = load(weights)
    return message.ideal(loaded, _scheme(loaded, prior, step))


def encode(weights: Any, prior: PriorLike = Gaussian(), step: Grid | None = None) -> bytes:  # noqa: B008
    """Weights as a .mdl message; ``decode`` gives the quantised weights back. Parameters as in ``measure``."""
    loaded = load(weights)
    return message.write(loaded, _scheme(loaded, prior, step))[0]


def _scheme(loaded: Weights, prior: PriorLike, step: Grid | None) -> Scheme:
    return fit_scheme(loaded, quantizers_for(loaded.floats, default_step(loaded) if step is None else step), prior)


@dataclass(frozen=True)
class Report:
    """A length with what it is the length of.

    ``tensors`` has a row ``(name, weights, bits, mse)`` for every tensor of floats if they were asked for.
    """

    length: CodeLength
    weights: int
    mse: float
    data: bytes = b""
    tensors: tuple[tuple[str, int, float, float], ...] = ()

    @property
    def bits_per_weight(self) -> float:
        """Everything but the header, a weight; 0 if there are none."""
        return self.length.comparable.bits / self.weights if self.weights else 0.0

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        about = {"weights": self.weights, "bits_per_weight": self.bits_per_weight, "mse": self.mse}
        rows = [dict(zip(("name", "weights", "bits", "mse"), row, strict=True)) for row in self.tensors]
        return {**about, **self.length.as_dict(), **({"tensors": rows} if rows else {})}

    def __str__(self) -> str:
        lines = [f"{name}: {bits:,.1f} bits, {bits / max(n, 1):.4f} a weight" for name, n, bits, _ in self.tensors]
        about = f"{self.weights:,} weights, {self.bits_per_weight:.4f} bits a weight, mean squared error {self.mse:.4g}"
        return "\n".join([*lines, str(self.length), about])


def report(
    loaded: Weights, prior: PriorLike, step: Grid | None, *, realise: bool = False, tensors: bool = False
) -> Report:
    """``measure``, or with ``realise`` the message that was written, with the error of the quantised weights."""
    names = list(loaded.floats)
    scheme = _scheme(loaded, prior, step)
    data, length = message.write(loaded, scheme) if realise else (b"", message.ideal(loaded, scheme))
    errors = {name: scheme.codings[name].squared_error(loaded[name]) for name in names}
    rows = [
        (name, loaded[name].size, tensor_nats(scheme.codings[name], loaded[name], name, None) / LN2,
         errors[name] / max(loaded[name].size, 1))
        for name in names if tensors
    ]  # fmt: skip
    return Report(length, loaded.count, math.fsum(errors.values()) / max(loaded.count, 1), data, tuple(rows))


def decode(data: bytes, max_weights: int | None = None) -> Weights:
    """The quantised weights of a .mdl message, exactly as the writer had them; MessageError if it is damaged.

    ``max_weights`` bounds what a message may make of the memory: by default 2^21 weights and 8,192 for every byte,
    which only a message of many equal weights exceeds.

    Examples
    --------
    >>> decode(encode({"w": [0.3, -0.1]}, step=0.25))["w"].tolist()
    [0.25, 0.0]
    """
    return Weights(message.parse(data, max_weights=max_weights).tensors)


def default_step(tensors: Weights) -> float:
    """The power of two about 1/16 of the root mean square of all weights; 1 if they are all zero."""
    squares = sum(float(np.square(w, dtype=np.float64).sum()) for w in tensors.floats.values())
    rms = math.sqrt(squares / max(tensors.count, 1))
    return math.ldexp(1.0, round(math.log2(rms)) - 4) if rms > 0.0 else 1.0


def quantizers_for(names: Iterable[str], grid: Grid) -> dict[str, Quantizer]:
    """A quantizer for each tensor."""
    chosen = {}
    for name in names:
        if isinstance(grid, Mapping) and name not in grid:
            raise QuantizationError(f"step: expected one for every tensor, none given for {name!r}")
        one = grid[name] if isinstance(grid, Mapping) else grid
        chosen[name] = one if isinstance(one, Quantizer) else UniformGrid(one)
    return chosen


def two_part(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
    *,
    realised: bool = False,
) -> CodeLength:
    """L(model) + L(y | X, model) on the shortest grid.

    Parameters
    ----------
    model
        What :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets, which are sent.
    prior
        A prior, whose open parameters are fitted and charged, or a family of codes such as ``KT``.
    quantizer
        For the penalised weights: a step, a quantizer, or one of either a tensor. By default the step that makes the
        total shortest, for the whole model or one a tensor. Free tensors (intercepts) always have a grid of their own.
    realised
        Write the message and report its size instead of the ideal length.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.preprocessing import scale
    >>> from mdl.models import wrap
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = wrap(LogisticRegression(C=0.1).fit(scale(X), y))
    >>> length = two_part(model, scale(X), y)
    >>> length.comparable.bits < 569
    True
    """
    trials = Trials(model, X, y)
    found = trials.search(prior) if quantizer is None else trials.on(quantizer, prior)
    return found.realise()[1] if realised else found.ideal()


def encode_with_data(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: PriorLike = Gaussian(),  # noqa: B008
    quantizer: Grid | None = None,
) -> bytes:
    """The message whose size ``two_part(..., realised=True)`` reports; ``decode_with_data`` reads it."""
    trials = Trials(model, X, y)
    found = trials.search(prior) if quantizer is None else trials.on(quantizer, prior)
    return found.realise()[0]


def decode_with_data(data: bytes, X: ArrayLike) -> tuple[Model, NDArray[Any]]:
    """The quantised model and the exact targets of a message, given the inputs that the writer had.

    Raises
    ------
    MessageError
        If the message is damaged or holds no labels.
    PlatformError
        If X is another, or this platform's arithmetic differs from the writer's.
    """

    def predict(architecture: str, tensors: Mapping[str, Any]) -> ArrayLike:
        return from_architecture(architecture, tensors, likelihood=None).predict(X)  # type: ignore[arg-type]

    checked_inputs(X)
    read = message.parse(data, predict)
    if read.architecture is None or read.likelihood is None or read.labels is None:
        raise MessageError("the message holds weights only, no labels")
    model = from_architecture(read.architecture, read.tensors, read.likelihood)
    return model, from_indices(model, read.labels)


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

    def __init__(self, model: Model, X: ArrayLike, y: ArrayLike) -> None:
        self.model = model
        self._X = checked_inputs(X)
        self._y = to_indices(model, y)
        if self._X.shape[0] != self._y.shape[0]:
            raise MdlError(f"expected as many targets as rows of X, got {self._y.shape[0]} and {self._X.shape[0]}")
        self.tensors = model.weights
        self._penalised = [name for name in self.tensors.floats if name not in model.free]
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
        """The data under the model with these tensors quantised; the likelihood is fitted to it."""
        key = tuple(sorted(quantizers.items(), key=lambda item: item[0]))
        if key not in self._data:
            tensors = dict(self.tensors)
            for name, quantizer in quantizers.items():
                coding = Coding(quantizer, Signed(EliasDelta()))
                tensor = tensors[name]
                tensors[name] = coding.restore(coding.symbols(tensor, name), tensor.dtype, tensor.shape)
            predictions = self.model.with_weights(tensors).predict(self._X)
            likelihood = self.model.likelihood.fit(predictions, self._y)
            symbols = likelihood.to_symbols(self._y)
            self._data[key] = DataPart(self.model.architecture, likelihood, predictions, symbols)
        return self._data[key]

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


def _descend(start: float, factors: tuple[float, ...], nats: Any, moves: int = _OCTAVES) -> float:
    """The step where no factor shortens the total any more."""
    best = start
    for _ in range(moves):
        closest = min((best, *(best * factor for factor in factors)), key=nats)
        if closest == best:
            break
        best = closest
    return best
