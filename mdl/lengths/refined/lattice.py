"""A message as a function of the integers that its weights and biases are coded as."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.codes import Code
from mdl.codes.adaptive import Dirichlet, TwoLevel
from mdl.codes.contextual import MAX_REACH, ContextualMatrix
from mdl.codes.discretized import Discretized
from mdl.codes.numbers import integer_bits
from mdl.codes.scheme import Tensor
from mdl.curvature import Objective, layer_inputs
from mdl.length import LN2
from mdl.lengths.refined.moves import NEGLIGIBLE, Costs, Move, Positions, Walk, curvature_at, key
from mdl.likelihoods import Bernoulli
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.quantize import UniformGrid
from mdl.trials import Found
from mdl.weights import Weights

_WALKS = 200  # from one fit of the prior
_REFUSED = 30  # walks in a row whose first move is no gain in truth: the round ends
_FIRST, _LONGEST = 64, 512  # moves predicted before the data are asked
_LAST = 2**31 - 1  # largest symbol of a grid


class Place(NamedTuple):
    """Where a tensor lies in a vector of weights, (size,), and what divides it there."""

    positions: Positions
    divisor: float


def _with_constant_unit(model: FeedForward) -> tuple[FeedForward, dict[str, Place]]:
    """The same function of X with a column of ones, biases being weights; and where its vector holds every tensor.

    Each hidden layer has a unit more whose input is 1; a bias that it feeds is a weight divided by its output.
    """
    tensors: dict[str, Array] = {}
    places: dict[str, Place] = {}
    start, constant = 0, 1.0
    for k in range(model.depth):
        name, of_bias = f"layers.{k}.weight", f"layers.{k}.bias"
        weight, bias = (np.asarray(model.weights[part], np.float64) for part in (name, of_bias))
        whole = np.zeros((weight.shape[0] + 1, bias.size + (k < model.depth - 1)))
        whole[:, : bias.size] = np.vstack([weight, bias / constant])
        whole[-1, bias.size :] = 1.0 / constant
        positions = start + np.arange(whole.size).reshape(whole.shape)[:, : bias.size]
        places |= {name: Place(positions[:-1].ravel(), 1.0), of_bias: Place(positions[-1], constant)}
        tensors |= {name: whole, of_bias: np.zeros(whole.shape[1])}
        start, constant = start + whole.size, _activation_of_one(model.activation)
    return replace(model, weights=Weights(tensors)), places


@functools.cache
def _activation_of_one(activation: str) -> float:
    one, zero = np.ones((1, 1)), np.zeros(1)
    layers = {"layers.0.weight": one, "layers.0.bias": zero, "layers.1.weight": one, "layers.1.bias": zero}
    return float(layer_inputs(FeedForward(Weights(layers), Bernoulli(), activation), one)["layers.1.weight"][0, 0])


@dataclass(frozen=True, eq=False)
class Lattice:
    """The message as a function of integers z, (d,): weights ``fixed + steps * z``, each coded as in its tensor.

    ``rows`` (d,) says to which tensor a weight belongs, -1 where it cannot move.
    """

    found: Found
    objective: Objective
    places: Mapping[str, Place]
    steps: Array
    rows: Positions
    fixed: Array
    start: Positions

    @classmethod
    def of(cls, found: Found, model: FeedForward, X: Array, y: NDArray[Any]) -> Lattice:
        """About the message's own symbols."""
        network, places = _with_constant_unit(model.with_weights(found.scheme.quantized(found.tensors)))
        objective = Objective(network, np.column_stack([X, np.ones(len(X))]), y)
        steps, start = np.zeros(objective.size), np.zeros(objective.size, np.int64)
        rows = np.full(objective.size, -1)
        for row, (name, place) in enumerate(places.items()):
            coding = found.scheme.codings[name]
            if isinstance(coding.quantizer, UniformGrid):
                rows[place.positions], steps[place.positions] = row, coding.quantizer.step / place.divisor
                start[place.positions] = coding.symbols(found.tensors[name], name)
        fixed = np.where(rows < 0, objective.vector, 0.0)
        return cls(found, objective, places, steps, rows, fixed, start)

    def tensors(self, z: Positions) -> dict[str, Tensor]:
        """The model's tensors at z, as a reader will get them."""
        tensors = dict(self.found.tensors)
        for name, place in self.places.items():
            coding, old = self.found.scheme.codings[name], tensors[name]
            if isinstance(coding.quantizer, UniformGrid):
                tensors[name] = coding.restore(z[place.positions].astype(np.int32), old.dtype, old.shape, name)
        return tensors

    def costs(self) -> Costs:
        """What symbols near those at the start take under the message's own codes."""
        keys, nats = [key(-1, [0])], [np.zeros(1)]  # so that there is always one
        for row, name in enumerate(self.places):
            symbols, code = self.start[self.rows == row], self.found.scheme.codings[name].code
            if isinstance(code, ContextualMatrix):
                for context, costs in _context_nats(code, symbols):
                    keys.append(key(self._row_of(row, context), np.arange(costs.size) - costs.size // 2))
                    nats.append(costs)
            elif symbols.size:
                near = np.concatenate([symbols - 1, symbols, symbols + 1, [0]])
                levels = np.unique(np.clip(near, -_LAST, _LAST))
                keys.append(key(row, levels))
                nats.append(_symbol_nats(code, levels, symbols))
        listed = np.concatenate(keys)
        order = np.argsort(listed)
        return Costs(self._in_context(self.start), listed[order], np.concatenate(nats)[order])

    def _row_of(self, tensor: int, context: ArrayLike) -> Any:
        """The row of ``Costs`` for a tensor's context, apart from those of the tensors."""
        return tensor + len(self.places) * (1 + np.asarray(context))

    def _in_context(self, z: Positions) -> Positions:
        """``rows``, by context where a tensor's code has them."""
        rows = self.rows.copy()
        for row, name in enumerate(self.places):
            code = self.found.scheme.codings[name].code
            if isinstance(code, ContextualMatrix):
                positions = np.flatnonzero(self.rows == row)
                rows[positions] = self._row_of(row, _numbered(*code.contexts(z[positions])))
        return rows

    def told(self, costs: Costs, z: Positions) -> float:
        """Nats of all symbols at z under ``costs``, each in the context that it has there."""
        return float(replace(costs, rows=self._in_context(z)).of(z).sum())

    @functools.cached_property
    def _ranges(self) -> list[Positions]:
        """Which weights share a code that is told its smallest and largest symbol; one that is shared is told once."""
        shared: dict[Code, list[Positions]] = {}
        for row, name in enumerate(self.places):
            code, positions = self.found.scheme.codings[name].code, np.flatnonzero(self.rows == row)
            if isinstance(code, Discretized | Dirichlet) and positions.size:
                shared.setdefault(code, []).append(positions)
        return [np.concatenate(together) for together in shared.values()]

    def _range_nats(self, z: Positions) -> float:
        ends = [end for positions in self._ranges for end in (z[positions].min(), z[positions].max())]
        return LN2 * sum(integer_bits(end).size for end in ends)

    def descend(self, hopes: int = 0) -> Positions:
        """A z near the start with a smaller total under the codes as they are, in walks as long as predictions hold.

        Where a walk ends, the ``hopes`` best moves and pairs are tried at the data, though they are predicted to lose.
        """
        costs, curvature = self.costs(), curvature_at(self.objective, self.fixed + self.steps * self.start)

        def total(z: Positions) -> float:
            data = self.objective.nats(self.fixed + self.steps * z)
            return data + self.told(costs, z) + self._range_nats(z)

        def slope(z: Positions) -> Array:
            return self.objective.gradient(self.fixed + self.steps * z) * self.steps

        here = _Here(self.start, total(self.start), slope(self.start))
        longest, refused = _FIRST, list[int]()
        for _ in range(_WALKS):
            walk = Walk(here.z, here.slope, self.steps, costs, curvature, refused)
            moves = list(itertools.islice(walk.moves(), longest)) if len(refused) < _REFUSED else []
            if not moves:
                walk = Walk(here.z, here.slope, self.steps, costs, curvature, [])
                tries = (_as_far_as_it_falls(here, few, total) for few in walk.hopes(hopes))
                there, taken = next((tried for tried in tries if tried[1]), (here, 0))
                if not taken:
                    break
            else:
                there, taken = _as_far_as_it_falls(here, moves, total)
                longest = min(_LONGEST, 2 * longest) if taken == len(moves) else max(2, taken)
            if taken:
                here, refused = there._replace(slope=slope(there.z)), []
            else:
                refused.append(moves[0][0])
        return here.z


class _Here(NamedTuple):
    """Symbols, their total, and the data's slope there a unit of z."""

    z: Positions
    nats: float
    slope: Array


def _as_far_as_it_falls(here: _Here, moves: list[Move], total: Callable[[Positions], float]) -> tuple[_Here, int]:
    """Where all moves lead, or the first half of them, or a quarter, ...: the first that falls; and how many."""
    positions, changes = np.array(moves).T
    taken = len(moves)
    while taken:
        z = here.z.copy()
        np.add.at(z, positions[:taken], changes[:taken])
        nats = total(z)
        if nats < here.nats - NEGLIGIBLE:
            return here._replace(z=z, nats=nats), taken
        taken //= 2
    return here, 0


def _symbol_nats(code: Code, levels: Positions, symbols: Positions) -> Array:
    """What each level takes; under a code that learns, what its present frequency implies."""
    if isinstance(code, Discretized):
        return -replace(code, lo=int(levels[0]), hi=int(levels[-1])).log_mass(levels)
    if isinstance(code, Dirichlet | TwoLevel):
        counts = np.bincount(np.searchsorted(levels, symbols), minlength=levels.size) + 0.5
        return -np.log(counts / counts.sum())
    return code.nats(levels)


def _numbered(levels: Positions, signs: Positions) -> Positions:
    """One number for a context of a ``ContextualMatrix``."""
    return 2 * levels + (signs < 0)


def _context_nats(code: ContextualMatrix, symbols: Positions) -> Iterator[tuple[int, Array]]:
    """What symbols up to one beyond the reach take in every context, as their present frequencies imply."""
    wider = replace(code, reach=min(code.reach + 1, MAX_REACH))
    levels, signs = wider.contexts(symbols)
    for level, masses in enumerate(wider.log_masses(levels, symbols * signs)):
        yield 2 * level, -masses
        yield 2 * level + 1, -masses[::-1]
