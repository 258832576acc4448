"""Networks trained under an L1 penalty: L-BFGS-B over the positive and the negative part of every weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from mdl import likelihoods
from mdl.curvature.objective import Objective
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.training import HIDDEN, MODELS, Split
from mdl.weights import Weights

_TOLERANCE = 1e-6  # on the largest entry of the projected gradient of the mean loss
_ITERATIONS = 4000
_INNER, _OUTER = "layers.0.weight", "layers.1.weight"


def train(name: str, strength: float, seed: int, split: Split) -> tuple[FeedForward, bool]:
    """The optimum of mean NLL + strength ||w||_1, intercepts free, and whether the gradient vanished there.

    ``name`` is that of a classifier in ``MODELS``; what :func:`mdl.training.train` is for L2. Its intercepts are not
    among the weights of an ``Objective``: here they are the weights of an input that is always one, and of a hidden
    unit that is.
    """
    return optimum(Problem.of(name, seed, split), strength, _ITERATIONS)


def optimum(problem: Problem, strength: float, iterations: int) -> tuple[FeedForward, bool]:
    """What so many iterations from the problem's start find at most, and whether the gradient vanished there."""
    n, pairs = len(problem.objective.X), int(problem.penalised.sum())
    pull = np.concatenate([np.full(2 * pairs, strength), np.zeros(int(problem.free.sum()))])

    def loss(z: Array) -> tuple[float, Array]:
        w = problem.weights(z)
        slope = problem.objective.gradient(w) / n
        inner = slope[problem.penalised]
        gradient = np.concatenate([inner, -inner, slope[problem.free]]) + pull
        return problem.objective.nats(w) / n + float(pull @ z), gradient

    start = problem.start
    parts = [np.maximum(start[problem.penalised], 0.0), np.maximum(-start[problem.penalised], 0.0), start[problem.free]]
    bounds = optimize.Bounds(np.concatenate([np.zeros(2 * pairs), np.full(parts[2].size, -np.inf)]), np.inf)
    found = minimum(loss, np.concatenate(parts), iterations, bounds)
    return problem.network(problem.weights(found.x)), found.nit < iterations


def minimum(
    loss: Callable[[Array], tuple[float, Array]],
    start: Array,
    iterations: int,
    bounds: optimize.Bounds | None = None,
    callback: Callable[[Array], None] | None = None,
) -> Any:
    """What L-BFGS-B finds for a loss with its gradient."""
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "gtol": _TOLERANCE, "ftol": 0.0, "maxcor": 20}
    return optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options, callback=callback
    )


@dataclass(frozen=True)
class Problem:
    """A network whose intercepts are weights: which entries are penalised, which are free; the rest stays."""

    objective: Objective
    penalised: NDArray[np.bool_]
    free: NDArray[np.bool_]
    start: Array

    @classmethod
    def of(cls, name: str, seed: int, split: Split, hidden: int = HIDDEN) -> Problem:
        features, outputs = split.X.shape[1], split.classes if split.classes > 2 else 1
        likelihood = likelihoods.Categorical(outputs) if outputs > 1 else likelihoods.Bernoulli()
        X = np.column_stack([split.X, np.ones(len(split.X))])
        rng, activation = np.random.default_rng(seed), MODELS[name]
        if activation is None:
            first = _with_row(np.zeros((features, outputs)))
            shapes = {_INNER: first}
            masks = {_INNER: _kinds(first.shape)}
        else:
            first = _with_row(_glorot(rng, features, hidden))
            always = np.zeros((features + 1, 1))
            always[-1] = 1.0
            second = _with_row(_glorot(rng, hidden, outputs))
            shapes = {_INNER: np.hstack([first, always]), _OUTER: second}
            untouched = np.zeros((features + 1, 1), int)
            masks = {_INNER: np.hstack([_kinds(first.shape), untouched]), _OUTER: _kinds(second.shape)}
        tensors = {}
        for k, tensor in enumerate(shapes.values()):
            tensors |= {f"layers.{k}.weight": tensor, f"layers.{k}.bias": np.zeros(tensor.shape[1])}
        objective = Objective(FeedForward(Weights(tensors), likelihood, activation or "identity"), X, split.y)
        kinds = objective.join({name: mask.astype(float) for name, mask in masks.items()})
        return cls(objective, kinds == 1.0, kinds == 2.0, objective.vector)

    def weights(self, z: Array) -> Array:
        """The vector of weights from positive parts, negative parts and free entries."""
        w, pairs = self.start.copy(), int(self.penalised.sum())
        w[self.penalised] = z[:pairs] - z[pairs : 2 * pairs]
        w[self.free] = z[2 * pairs :]
        return w

    def network(self, w: Array) -> FeedForward:
        """The network with intercepts of its own."""
        model, tensors = self.objective.model, self.objective.split(w)
        inner = tensors[_INNER]
        found = {_INNER: inner[:-1], "layers.0.bias": inner[-1]}
        if _OUTER in tensors:
            outer = tensors[_OUTER]
            one, none = np.ones((1, 1)), np.zeros(1)
            always = {_INNER: one, "layers.0.bias": none, _OUTER: one, "layers.1.bias": none}
            unit = float(model.with_weights(always).predict(one)[0])  # what the unit that is always on puts out
            found = {_INNER: inner[:-1, :-1], "layers.0.bias": inner[-1, :-1],
                     _OUTER: outer[:-1], "layers.1.bias": unit * outer[-1]}  # fmt: skip
        return model.with_weights({name: np.ascontiguousarray(tensor) for name, tensor in found.items()})


def _with_row(weight: Array) -> Array:
    """With a row for the input that is always one."""
    return np.vstack([weight, np.zeros(weight.shape[1])])


def _kinds(shape: tuple[int, ...]) -> NDArray[np.int_]:
    """1 where a weight is penalised, 2 in the last row, which is free."""
    kinds = np.ones(shape, int)
    kinds[-1] = 2
    return kinds


def _glorot(rng: np.random.Generator, inputs: int, outputs: int) -> Array:
    """The start that scikit-learn's perceptrons have."""
    reach = np.sqrt(6.0 / (inputs + outputs))
    return rng.uniform(-reach, reach, (inputs, outputs))
