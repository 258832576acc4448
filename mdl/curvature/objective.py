"""The data's length as a function of a feed-forward network's penalised weights, its gradient and its curvature."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mdl import likelihoods
from mdl.curvature.links import Link, link
from mdl.errors import DataError, MdlError
from mdl.masses import Array
from mdl.models import FeedForward, checked_inputs, to_indices

#: Most weights for which a dense (d, d) curvature is made.
MAX_DENSE = 3000

#: Doubles that a chunk of examples may take: 128 MiB, and about as much again in temporaries.
CHUNK = 1 << 24

# an activation, and its slope written as a function of its value
_Activation = tuple[Callable[[Array], Array], Callable[[Array], Array]]
ACTIVATIONS: dict[str, _Activation] = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: (a > 0.0).astype(np.float64)),
    "tanh": (np.tanh, lambda a: 1.0 - a**2),
    "logistic": (special.expit, lambda a: a * (1.0 - a)),
}


def layer_inputs(model: FeedForward, X: ArrayLike) -> dict[str, Array]:
    """What enters each weight tensor, ``{name: (n, fan_in)}``: X, then the activations of each hidden layer.

    A reader who has decoded the layers before one can compute what enters it.

    Examples
    --------
    >>> tensors = {"layers.0.weight": [[1.0], [-1.0]], "layers.0.bias": [0.5]}
    >>> tensors |= {"layers.1.weight": [[2.0]], "layers.1.bias": [0.0]}
    >>> model = FeedForward(tensors, likelihoods.Bernoulli(), "relu")
    >>> layer_inputs(model, [[1.0, 0.0], [0.0, 1.0]])["layers.1.weight"].ravel().tolist()
    [1.5, 0.0]
    """
    inputs, _ = _forward(model, model.weights, checked_inputs(X, model.weights["layers.0.weight"].shape[0]))
    return {f"layers.{k}.weight": entering for k, entering in enumerate(inputs)}


def _forward(model: FeedForward, tensors: Mapping[str, Array], X: Array) -> tuple[list[Array], Array]:
    """What enters each layer, and the predictions as (n, outputs)."""
    activate, _ = ACTIVATIONS[model.activation]
    inputs, f = [X], X
    for k in range(model.depth):
        if k:
            inputs.append(activate(f))
        weight, bias = (np.asarray(tensors[f"layers.{k}.{part}"], np.float64) for part in ("weight", "bias"))
        f = inputs[k] @ weight + bias
    return inputs, f


def _backward(model: FeedForward, tensors: Mapping[str, Array], inputs: list[Array], v: Array) -> list[Array]:
    """What of a slope v (n, outputs) in the predictions arrives at each layer's outputs, the first layer's first."""
    _, slope = ACTIVATIONS[model.activation]
    arriving = [v]
    for k in range(model.depth - 1, 0, -1):
        weight = np.asarray(tensors[f"layers.{k}.weight"], np.float64)
        arriving.append((arriving[-1] @ weight.T) * slope(inputs[k]))
    return arriving[::-1]


@dataclass(frozen=True, eq=False)
class Objective:
    """-ln p(y | X, w) of a feed-forward network as a function of its penalised weights w, (d,) float64.

    The vector w holds the penalised tensors one after another, each row-major; free tensors stay as the model has
    them. Predictions are not rounded. A Gaussian likelihood whose scale is open is fitted to the model's residuals (to
    at least half the precision), and enters with the density at the target: the cell's mass up to O(precision²/scale²).

    Parameters
    ----------
    model
        A :class:`mdl.models.FeedForward`, what :func:`mdl.wrap` makes of scikit-learn's estimators.
    X, y
        (n, features) inputs and (n,) targets.

    Raises
    ------
    MdlError
        If the model is of another kind, its likelihood has no canonical predictions, or X and y do not fit it.

    Examples
    --------
    >>> tensors = {"layers.0.weight": [[1.0], [0.0]], "layers.0.bias": [0.0]}
    >>> objective = Objective(FeedForward(tensors, likelihoods.Bernoulli()), [[1.0, 2.0], [0.0, 1.0]], [1, 0])
    >>> objective.size, round(objective.nats(np.zeros(2)) / math.log(2), 6)
    (2, 2.0)
    >>> objective.ggn(np.zeros(2)).tolist()  # p (1 - p) XᵀX at p = 1/2
    [[0.25, 0.5], [0.5, 1.25]]
    """

    model: FeedForward
    X: Array
    y: Array
    targets: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, FeedForward):
            raise MdlError(f"model: expected a FeedForward network, got {type(self.model).__name__}")
        X = checked_inputs(self.X, self.model.weights["layers.0.weight"].shape[0])
        indices = to_indices(self.model, self.y)
        if X.shape[0] != indices.shape[0]:
            raise DataError(f"expected as many targets as rows of X, got {indices.shape[0]} and {X.shape[0]}")
        given = self.model.likelihood
        targets = np.asarray(given.from_symbols(given.to_symbols(indices)), np.float64)
        fitted = given.fit(self.model.predict(X), indices)
        if fitted is not given and isinstance(fitted, likelihoods.Gaussian):
            fitted = replace(fitted, scale=max(fitted.scale or 0.0, 0.5 * fitted.precision))
        for name, value in {"model": self.model.with_likelihood(fitted), "X": X, "targets": targets}.items():
            object.__setattr__(self, name, value)
        link(fitted)  # refuses what has no such form
        expected = given.count if isinstance(given, likelihoods.Categorical) else 1
        if self.outputs != expected:
            raise DataError(f"{type(given).__name__}: expected a network of {expected} outputs, got {self.outputs}")

    @property
    def link(self) -> Link:
        """The likelihood as a function of predictions."""
        return link(self.model.likelihood)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The penalised tensors, in the model's order."""
        return tuple(name for name in self.model.weights.floats if name not in self.model.free)

    @property
    def size(self) -> int:
        """Number d of penalised weights."""
        return sum(self.model.weights[name].size for name in self.names)

    @property
    def vector(self) -> Array:
        """The model's own weights, (d,)."""
        return self.join({name: self.model.weights[name] for name in self.names})

    @property
    def linear(self) -> bool:
        """Whether there is no hidden layer, so that ``nats`` is convex and ``ggn`` its Hessian."""
        return self.model.depth == 1

    def split(self, w: ArrayLike) -> dict[str, Array]:
        """The vector as tensors, ``{name: (fan_in, fan_out)}``."""
        values = np.asarray(w, np.float64)
        if values.shape != (self.size,):
            raise DataError(f"w: expected shape ({self.size},), got {values.shape}")
        shapes = [self.model.weights[name].shape for name in self.names]
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        pieces = np.split(values, ends) if shapes else []
        return {name: p.reshape(shape) for name, p, shape in zip(self.names, pieces, shapes, strict=True)}

    def join(self, tensors: Mapping[str, Array]) -> Array:
        """Tensors as a vector, (d,): the reverse of ``split``."""
        return np.concatenate([np.empty(0), *(tensors[name].ravel().astype(np.float64) for name in self.names)])

    def model_at(self, w: ArrayLike) -> FeedForward:
        """The model with weights w, in float64."""
        return self.model.with_weights({**self.model.weights, **self.split(w)})

    def with_noise(self, scale: float) -> Objective:
        """The same under a Gaussian likelihood with this noise scale."""
        return replace(self, model=self.model.with_likelihood(replace(self.model.likelihood, scale=scale)))  # type: ignore[type-var]

    def nats(self, w: ArrayLike) -> float:
        """-ln p(y | X, w)."""
        return math.fsum(float(self.link.nats(f, y).sum()) for _, _, f, y in self._passes(w, self._width))

    def gradient(self, w: ArrayLike) -> Array:
        """Derivative of ``nats``, (d,)."""
        total = np.zeros(self.size)
        for tensors, inputs, f, y in self._passes(w, self._width):
            arriving = _backward(self.model, tensors, inputs, self.link.slope(f, y))
            total += self.join({n: a.T @ b for n, a, b in self._layers(inputs, arriving)})
        return total

    def ggn(self, w: ArrayLike) -> Array:
        """Generalised Gauss-Newton matrix Σᵢ Jᵢᵀ Hᵢ Jᵢ, (d, d); the Hessian of ``nats`` for a linear model.

        Jᵢ is the Jacobian of example i's predictions in w, Hᵢ the Hessian of -ln p in the predictions.

        Raises
        ------
        MdlError
            If d exceeds ``MAX_DENSE``; ``kronecker`` and ``ggn_diagonal`` have no such limit.

        References
        ----------
        N. Schraudolph, Fast curvature matrix-vector products for second-order gradient descent, Neural Computation 14
        (2002).
        """
        if self.size > MAX_DENSE:
            raise MdlError(
                f"a dense curvature: expected at most {MAX_DENSE} weights, got {self.size}; use kronecker or diagonal"
            )
        total = np.zeros((self.size, self.size))
        for tensors, inputs, f, _ in self._passes(w, self._width + 2 * self.size + self.outputs**2):
            root = self.link.root(f)
            if self.linear and self.names:
                total += outer_sum(inputs[0], root @ root.swapaxes(1, 2))
                continue
            for c in range(root.shape[2]):
                arriving = _backward(self.model, tensors, inputs, root[:, :, c])
                pieces = [a[:, :, None] * b[:, None, :] for _, a, b in self._layers(inputs, arriving)]
                rows = np.concatenate([np.empty((len(f), 0)), *(p.reshape(len(f), -1) for p in pieces)], axis=1)
                total += rows.T @ rows
        return total

    def ggn_diagonal(self, w: ArrayLike) -> Array:
        """Diagonal of ``ggn``, (d,), for any d."""
        total = np.zeros(self.size)
        for tensors, inputs, f, _ in self._passes(w, self._width + self.outputs**2):
            root = self.link.root(f)
            for c in range(root.shape[2]):
                arriving = _backward(self.model, tensors, inputs, root[:, :, c])
                total += self.join({n: (a**2).T @ b**2 for n, a, b in self._layers(inputs, arriving)})
        return total

    def kronecker(self, w: ArrayLike) -> dict[str, tuple[Array, Array]]:
        """Factors (A, B) of each tensor, whose ``np.kron(A, B)`` stands for its block of ``ggn``.

        A (fan_in, fan_in) is the mean outer product of what enters, B (fan_out, fan_out) the sum of the curvature that
        arrives; exact where the two do not vary together, as under a Gaussian likelihood without hidden layers.

        References
        ----------
        Martens & Grosse, Optimizing neural networks with Kronecker-factored approximate curvature (2015).
        """
        shapes = [self.model.weights[name].shape for name in self.names]
        factors = {name: (np.zeros((a, a)), np.zeros((b, b))) for name, (a, b) in zip(self.names, shapes, strict=True)}
        for tensors, inputs, f, _ in self._passes(w, self._width + self.outputs**2):
            root = self.link.root(f)
            for name, entering, _ in self._layers(inputs, inputs):
                factors[name][0][:] += entering.T @ entering / len(self.X)
            for c in range(root.shape[2]):
                arriving = _backward(self.model, tensors, inputs, root[:, :, c])
                for name, _, b in self._layers(inputs, arriving):
                    factors[name][1][:] += b.T @ b
        return factors

    @property
    def outputs(self) -> int:
        """Number of predictions an example."""
        return self.model.weights[f"layers.{self.model.depth - 1}.bias"].size

    @property
    def _width(self) -> int:
        return sum(sum(tensor.shape) for tensor in self.model.weights.values())

    def _layers(self, inputs: list[Array], arriving: list[Array]) -> Iterator[tuple[str, Array, Array]]:
        for name in self.names:
            k = int(name.split(".")[1])
            yield name, inputs[k], arriving[k]

    def _passes(self, w: ArrayLike, width: int) -> Iterator[tuple[Mapping[str, Array], list[Array], Array, Array]]:
        """Forward passes over chunks of examples that take ``width`` doubles each."""
        tensors = {**self.model.weights, **self.split(w)}
        rows = max(1, CHUNK // max(width, 1))
        for start in range(0, len(self.X), rows):
            here = slice(start, start + rows)
            yield tensors, *_forward(self.model, tensors, self.X[here]), self.targets[here]


def outer_sum(X: Array, H: Array) -> Array:
    """Σᵢ xᵢxᵢᵀ ⊗ Hᵢ for (n, features) inputs and (n, outputs, outputs) Hessians."""
    n, features = X.shape
    outputs = H.shape[1]
    total = np.empty((features, outputs, features * outputs))
    for a in range(outputs):
        total[:, a] = X.T @ (X[:, :, None] * H[:, a, None, :]).reshape(n, features * outputs)
    return total.reshape(features * outputs, features * outputs)
