"""Two-part codes on a lattice: steps shaped by the curvature that writer and reader share, weights rounded together.

A naive grid rounds every weight alone, so its step must be fine enough for the direction that the data determine best.
Here the step of each weight follows from its layer's inputs (mdl/codes/curved.py), and what rounding one weight does to
the data, the weights not yet rounded make good (error feedback). Layer after layer: a reader who has decoded the layers
before can compute what enters the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from mdl.codes.coder import Symbols
from mdl.codes.curved import ByStep, CurvedGrid, Lengths, SteppedGrid, factor, products, round_back
from mdl.codes.discretized import Discretized
from mdl.codes.numbers import real_bits
from mdl.codes.scheme import Coding, Scheme, Tensor, restored
from mdl.codes.shaped import ShapedCoding
from mdl.curvature import MAX_DENSE, Objective
from mdl.errors import CodeError, MdlError, PriorError, QuantizationError
from mdl.length import LN2, CodeLength
from mdl.masses import Array
from mdl.models import FeedForward, Model, inputs_of_layer, shared
from mdl.priors import Gaussian
from mdl.quantize import UniformGrid
from mdl.trials import Found, Trials
from mdl.weights import Weights

_REACH_BITS = 5  # significant bits of a reach, at most
_SPARE = 1.25  # how far beyond the largest weight rounding may go
_FEW_UNITS = 16  # that may have a curvature each
_MUCH = 1 << 26  # predictions computed for one pass over the last layer, at most
_SWEEPS = 8
_GAIN = 1e-9  # nats
_SHARES = 0.5, 1.0  # of what is best for a quadratic function


def lattice(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    *,
    realised: bool = False,
) -> CodeLength:
    """L(model) + L(y | X, model) with the model's weights on the curvature-shaped lattice that makes the sum shortest.

    In theory boxes matched to a Gaussian posterior cost ½ log2(2πe/12) = 0.254 bit a weight more than the evidence.
    Even steps are a lattice too, of which the reader is told less: they are taken where that is shorter, the weights
    rounded together all the same. Rounding and polishing look at the length of the symbols, so the model that is sent
    lies nearer to the optimum under the prior sent along than the trained one. Never longer than the best plain grid.

    Parameters
    ----------
    model
        A feed-forward network, what :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs, which the reader has too and computes the steps from, and (n,) targets, which are sent.
    prior
        Gaussian over the penalised weights. An open scale is searched, one a layer, and charged.
    realised
        Write the message and report its size instead of the ideal length.

    Returns
    -------
    CodeLength
        ``weights``, ``data``, ``quantizer`` (spacing, curvatures), ``prior``, ``support`` (reach), ``choice``,
        ``intercepts`` (as in a two-part code), ``likelihood``, ``header``.

    Raises
    ------
    MdlError
        If the model is no feed-forward network with weights of floats.
    PriorError
        If the prior is not Gaussian.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> length = lattice(wrap(LogisticRegression().fit(x, x[:, 0] > 0.3)), x, x[:, 0] > 0.3)
    >>> length.part("weights") + length.part("data") < 40 * LN2
    True

    References
    ----------
    C. Wallace and P. Freeman, Estimation and inference by compact coding, J. R. Statist. Soc. B 49 (1987).
    L. Babai, On Lovasz' lattice reduction and the nearest lattice point problem, Combinatorica 6 (1986).
    """
    found = shortest(model, X, y, prior)
    return found.realise()[1] if realised else found.ideal()


def encode_lattice(model: Model, X: ArrayLike, y: ArrayLike, prior: Gaussian = Gaussian()) -> bytes:  # noqa: B008
    """The message whose size ``lattice(..., realised=True)`` reports; ``mdl.decode_with_data`` reads it."""
    return shortest(model, X, y, prior).realise()[0]


def shortest(model: Model, X: ArrayLike, y: ArrayLike, prior: Gaussian = Gaussian()) -> Found:  # noqa: B008
    """The message, its layers chosen one after another; the best plain grid's where that is shorter."""
    model, X = shared(model, X)
    if not isinstance(model, FeedForward) or any(tensor.dtype.kind in "biu" for tensor in model.weights.values()):
        raise MdlError("lattice: expected a feed-forward network with weights of floats")
    if not isinstance(prior, Gaussian):
        raise PriorError(f"lattice: expected a Gaussian prior, got {type(prior).__name__}")
    trials = Trials(model, X, y)
    network: Any = trials.with_coded_free()
    codings: dict[str, Coding] = dict(trials.free_scheme.codings)
    for k in range(model.depth):
        layer = _Layer(trials, network, k)
        codings[f"layers.{k}.weight"], network = layer.polished(_search(layer, prior))
    scheme = Scheme({name: codings[name] for name in trials.tensors})
    found = Found(network.weights, scheme, trials.data_under(network.weights))
    return min(found, trials.search(prior), key=lambda one: one.ideal().comparable.nats)


# --- the search over one layer's spacing, curvatures and scale --------------------------------------------------------


class _Place(NamedTuple):
    """A place on ladders: the search goes from rung to rung."""

    scale: int  # of the prior, two rungs to the octave
    spacing: int  # over the scale, two rungs to the octave
    curvatures: tuple[int, ...]  # two octaves to the rung; one for all units, or one a unit; none: even steps

    def beside(self, open_scale: bool) -> Iterator[_Place]:
        """The places one rung away."""
        for move in (-1, 1):
            if open_scale:
                yield self._replace(scale=self.scale + move)
            yield self._replace(spacing=self.spacing + move)
            for k, at in enumerate(self.curvatures):
                yield self._replace(curvatures=(*self.curvatures[:k], at + move, *self.curvatures[k + 1 :]))


def _rung(place: int) -> float:
    """... 1, 1.5, 2, 3, 4, ...: numbers that take few bits."""
    return math.ldexp(1.5 if place % 2 else 1.0, place // 2)


def _grid(place: _Place) -> UniformGrid | CurvedGrid:
    spacing = _rung(place.scale + place.spacing)
    if not place.curvatures:
        return UniformGrid(spacing)
    return CurvedGrid(spacing, () if place.curvatures == (0,) else tuple(4.0**c for c in place.curvatures))


def _nearest_rung(value: float) -> int:
    return round(2.0 * math.log2(value))


class _Chosen(NamedTuple):
    """A coding of a layer, and the network that a reader then has; what is not yet coded suits it best."""

    coding: Coding
    network: FeedForward


def _search(layer: _Layer, prior: Gaussian) -> _Chosen:
    """Downhill from a few places; at last with a curvature for each of a few units, or with another feedback."""
    tried: dict[tuple[_Place, bool], tuple[float, _Chosen | None]] = {}

    def nats(place: _Place, own: bool = False) -> float:
        if (place, own) not in tried:
            scale = _rung(place.scale) if prior.scale is None else prior.scale
            tried[place, own] = layer.sent(_grid(place), Gaussian(scale, prior.loc), own)
        return tried[place, own][0]

    def downhill(place: _Place) -> _Place:
        while (lower := min((place, *place.beside(prior.scale is None)), key=nats)) != place:
            place = lower
        return place

    scale = _nearest_rung(prior.scale or layer.spread)
    steps = {_nearest_rung(step) for step in (*layer.free_steps, layer.spread)}  # a step told before is free
    best = downhill(min((_Place(at, step - at, ()) for step in steps for at in (scale, scale + 1)), key=nats))
    for curvatures in ((), (0,), (2,)):
        starts = [_Place(scale + up, spacing, curvatures) for up in (0, 1) for spacing in (0, 2, 4)]
        best = min(best, downhill(min(starts, key=nats)), key=nats)
    if 1 < layer.units <= _FEW_UNITS and best.curvatures:
        best = min(best, downhill(best._replace(curvatures=best.curvatures * layer.units)), key=nats)
    place, own = min(((best, False), (best, True)), key=lambda way: nats(*way))
    chosen = tried[place, own][1]
    if chosen is None:
        raise QuantizationError("lattice: expected some spacing that the weights can be rounded on")
    return chosen


class _Layer:
    """Layer k of a network whose layers before it are as a reader has them: what the search asks of it."""

    def __init__(self, trials: Trials, network: FeedForward, k: int) -> None:
        self._trials, self._network, self._k = trials, network, k
        self._name = f"layers.{k}.weight"
        self._inputs = inputs_of_layer(network.architecture, network.weights, self._name, trials.inputs)
        self._target = network.weights[self._name].astype(np.float64)
        self._objective = Objective(_from_layer(network, k), self._inputs, trials.targets)
        self._relative = products(self._inputs)
        self._bend = _ggn(self._objective, self._target.size)
        self._factors: dict[float, Array] = {}

    @property
    def units(self) -> int:
        """Outputs."""
        return self._target.shape[1]

    @property
    def free_steps(self) -> list[float]:
        """Of the free tensors."""
        return [grid.step for grid in self._trials.free.values()]

    @property
    def spread(self) -> float:
        """Root mean square weight; 1 if they are all zero."""
        return math.sqrt(float(np.mean(self._target**2)) if self._target.size else 0.0) or 1.0

    def sent(self, grid: UniformGrid | CurvedGrid, prior: Gaussian, own: bool) -> tuple[float, _Chosen | None]:
        """Length of the layer and the data, nats, infinite if the weights do not fit the grid.

        The weights are rounded by the data's curvature in all weights, or by each unit's ``own`` as the grid has it.
        """
        reach = _SPARE * float(np.abs(self._target).max(initial=0.0))
        try:
            steps = self._steps(grid)
            symbols = round_back(*self._curved(grid, prior, own), steps, prior, reach)
        except (QuantizationError, CodeError):  # steps beyond counting
            return math.inf, None
        later = self._suited(prior, steps.dequantize(symbols) - self._target.ravel())
        tries = [self._with(symbols, grid, steps, prior, {**self._network.weights, **moved}) for moved in later]
        return min(tries, key=lambda tried: tried[0])

    def polished(self, chosen: _Chosen) -> _Chosen:
        """For the last layer: symbols moved by one where that makes the sum shorter; to rounding it was quadratic."""
        size = self.units**2 * self._inputs.size
        if len(self._objective.names) > 1 or not 0 < size <= _MUCH:
            return chosen
        tensors, grid = chosen.network.weights, cast(CurvedGrid, chosen.coding.quantizer)
        steps, prior = self._steps(grid), cast(ByStep, chosen.coding.code).prior
        symbols = chosen.coding.symbols(tensors[self._name], self._name)
        weight = steps.dequantize(symbols)
        f = self._inputs @ weight.reshape(self._target.shape) + tensors[self._name.replace("weight", "bias")]
        table = Lengths.of(steps, prior, float(np.abs(weight).max()))
        symbols = _polished(self._objective, self._inputs, f, symbols, steps, table)
        nats, other = self._with(symbols, grid, steps, cast(Gaussian, prior), tensors)
        return other if nats < self._length(chosen.coding, tensors) else chosen

    def _with(
        self, symbols: Symbols, grid: UniformGrid | CurvedGrid, steps: SteppedGrid, prior: Gaussian,
        tensors: Mapping[str, Tensor],
    ) -> tuple[float, _Chosen]:  # fmt: skip
        """Length of the layer and the data, and the layer, with these symbols beside these tensors."""
        kind, shape = tensors[self._name].dtype, self._target.shape
        weight = restored(steps.dequantize(symbols), kind, self._name).reshape(shape)
        coding = _coding(grid, steps, prior, symbols)
        network = self._network.with_weights({**tensors, self._name: weight})
        return self._length(coding, network.weights), _Chosen(coding, network)

    def _steps(self, grid: UniformGrid | CurvedGrid) -> SteppedGrid:
        if isinstance(grid, CurvedGrid):
            return grid.bind(self._inputs, self._target.shape)
        return SteppedGrid(np.full(self._target.size, grid.step))

    def _length(self, coding: Coding, tensors: Mapping[str, Tensor]) -> float:
        """Of this layer, of telling its coding beside those of the free tensors, and of the data."""
        data = self._trials.data_under(tensors)
        scheme = Scheme({**self._trials.free_scheme.codings, self._name: coding})
        told = LN2 * sum(bits.size for _, bits in scheme.description())
        return coding.nats(tensors[self._name], self._name) + told + float(data.labels.nats(data.symbols).sum())

    def _curved(self, grid: UniformGrid | CurvedGrid, prior: Gaussian, own: bool) -> tuple[Array, Array]:
        """Targets and factors for ``round_back``."""
        scale, size = prior.parameters[0], self._target.size
        if self._bend is not None and not own:
            first = len(self._bend) - size
            return self._target.reshape(-1, 1), self._factor(scale)[None, first:, first:]
        curvatures = (grid.curvatures if isinstance(grid, CurvedGrid) else ()) or (1.0,)
        return self._target, np.stack([factor(self._relative, c) for c in curvatures]) / scale

    def _factor(self, scale: float) -> Array:
        """R with R'R the curvature of the data and of Gaussian penalties, the layer's own weights last."""
        if scale not in self._factors:
            later = [np.full(w.size, 1.0 / (np.mean(w**2) or 1.0)) for w in self._later.values()]
            penalty = np.concatenate([*later, np.full(self._target.size, scale**-2)])
            self._factors[scale] = linalg.cholesky(self._bend + np.diag(penalty))
        return self._factors[scale]

    @property
    def _later(self) -> dict[str, Array]:
        """The weights of the layers after this one, as the objective names them."""
        tensors = self._objective.split(self._objective.vector)
        return {name: tensors[name] for name in self._objective.names[1:]}

    def _suited(self, prior: Gaussian, error: Array) -> Iterator[dict[str, Array]]:
        """Weights of the layers after this one: as they are, and moved to make good that this one is off by so much.

        The whole move is best if the data's length is quadratic so far; where it is not, a part of it may be.
        """
        yield {}
        if self._bend is None or not self._later:
            return
        R = self._factor(prior.parameters[0])
        first = len(R) - error.size
        shift = -linalg.solve_triangular(R[:first, :first], R[:first, first:] @ error)
        for share in _SHARES:
            moved = self._objective.split(self._objective.vector + np.concatenate([error, share * shift]))
            yield {_name(name, self._k): moved[name] for name in self._later}


def _ggn(objective: Objective, first: int) -> Array | None:
    """The data's curvature with the first so many weights last; None where there are too many weights."""
    if objective.size > MAX_DENSE:
        return None
    order = np.roll(np.arange(objective.size), -first)
    return objective.ggn(objective.vector)[np.ix_(order, order)]


def _from_layer(network: FeedForward, k: int) -> FeedForward:
    """The network of layer k and those after it."""
    tensors = {
        f"layers.{j - k}.{part}": network.weights[f"layers.{j}.{part}"]
        for j in range(k, network.depth)
        for part in ("weight", "bias")
    }
    return FeedForward(Weights(tensors), network.likelihood, network.activation, network.classes)


def _name(name: str, k: int) -> str:
    """What the network calls a tensor that the network of its layers from k on calls so."""
    _, layer, part = name.split(".")
    return f"layers.{int(layer) + k}.{part}"


def _coding(grid: UniformGrid | CurvedGrid, steps: SteppedGrid, prior: Gaussian, symbols: Symbols) -> Coding:
    """The code of these symbols; of a reach, one of few bits that is just enough, or of fewer that is more."""
    if isinstance(grid, UniformGrid):
        lo, hi = (int(symbols.min()), int(symbols.max())) if symbols.size else (0, 0)
        return Coding(grid, Discretized(prior, grid, lo, hi))
    largest = float(np.abs(steps.dequantize(symbols)).max(initial=0.0))
    codes = [ByStep(prior, _rounded_up(largest, bits)) for bits in range(1, _REACH_BITS + 1)]

    def nats(code: ByStep) -> float:
        return float(code.bind(steps).nats(symbols).sum()) + LN2 * real_bits(code.reach).size

    code = min(codes, key=nats)
    told: tuple[Any, Any] = (grid, code)
    return ShapedCoding(*told, grid=steps, bound=code.bind(steps), chosen=symbols)


def _rounded_up(value: float, significant_bits: int) -> float:
    """The least number of so many significant bits that is not below the value."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.ceil(math.ldexp(mantissa, significant_bits)), exponent - significant_bits)


def _polished(
    objective: Objective, inputs: Array, f: Array, symbols: Symbols, steps: SteppedGrid, table: Lengths
) -> Symbols:
    """Row after row, the symbol that gains most from a move by one moves, until none gains; f are the predictions."""
    units = f.shape[1]
    moved = symbols.astype(np.int64).reshape(-1, units)
    widths = np.where(table.lasts > 0, steps.steps, 0.0).reshape(-1, units)
    starts, lasts = table.starts.reshape(-1, units), table.lasts.reshape(-1, units)
    for _ in range(_SWEEPS):
        before = moved.copy()
        for i, x in enumerate(inputs.T):
            by, k = np.array(
                [(by, k) for by in (-1, 1) for k in range(units) if abs(moved[i, k] + by) <= lasts[i, k]] or [(0, 0)]
            ).T
            other = np.repeat(f[None], len(k), axis=0)
            other[np.arange(len(k)), :, k] += (by * widths[i, k])[:, None] * x
            data = objective.link.nats(other.reshape(-1, units), np.tile(objective.targets, len(k)))
            at = starts[i, k] + moved[i, k]
            gain = float(objective.link.nats(f, objective.targets).sum()) - data.reshape(len(k), -1).sum(axis=1)
            gain -= table.nats[at + by] - table.nats[at]
            best = int(gain.argmax())
            if gain[best] > _GAIN:
                moved[i, k[best]] += by[best]
                f = other[best]
        if (moved == before).all():
            break
    return moved.ravel().astype(np.int32)
