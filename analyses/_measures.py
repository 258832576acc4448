"""What is measured of a trained network beside its code lengths: norms, margins, sharpness, patterns, rescalings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdl.curvature import Objective
from mdl.curvature.objective import ACTIVATIONS, layer_inputs
from mdl.length import LN2
from mdl.masses import Array
from mdl.models import FeedForward


def matrices(model: FeedForward) -> list[Array]:
    """The weights of every layer, (inputs, outputs), the first layer's first; no biases."""
    return [np.asarray(model.weights[f"layers.{k}.weight"], np.float64) for k in range(model.depth)]


def with_layers(model: FeedForward, weights: list[Array], biases: list[Array]) -> FeedForward:
    """The same network with other layers."""
    pairs = enumerate(zip(weights, biases, strict=True))
    return model.with_weights(
        {f"layers.{k}.{part}": x for k, two in pairs for part, x in zip(_PARTS, two, strict=True)}
    )


_PARTS = ("weight", "bias")


def _biases(model: FeedForward) -> list[Array]:
    return [np.asarray(model.weights[f"layers.{k}.bias"], np.float64) for k in range(model.depth)]


# --- norms ------------------------------------------------------------------------------------------------------------


def squared_norm(model: FeedForward) -> float:
    """The sum of all squared weights, which an L2 penalty is proportional to."""
    return float(sum((W**2).sum() for W in matrices(model)))


def path_norm(model: FeedForward) -> float:
    """Sum over paths from an input to an output of the product of the squared weights on it.

    References
    ----------
    B. Neyshabur, R. Tomioka and N. Srebro, Norm-based capacity control in neural networks, COLT (2015).
    """
    paths = np.ones(matrices(model)[0].shape[0])
    for W in matrices(model):
        paths = paths @ W**2
    return float(paths.sum())


def spectral_product(model: FeedForward) -> float:
    """The product of the largest singular values of the layers: a Lipschitz constant of the network, up to slopes."""
    return float(np.prod([np.linalg.norm(W, 2) for W in matrices(model)]))


# --- what the network does with the examples --------------------------------------------------------------------------


def logits(model: FeedForward, X: ArrayLike) -> Array:
    """A score for each class, (n, classes); of two classes the first has zero."""
    f = model.predict(X)
    return f if f.ndim == 2 else np.stack([np.zeros_like(f), f], axis=1)


def margins(model: FeedForward, X: ArrayLike, y: NDArray[np.int64]) -> Array:
    """How far the score of the right class is above that of the best other, (n,)."""
    f = logits(model, X).copy()
    rows = np.arange(len(f))
    right = f[rows, y]
    f[rows, y] = -np.inf
    return right - f.max(axis=1)


def preactivations(model: FeedForward, X: ArrayLike) -> list[Array]:
    """What enters the activation of each hidden layer, (n, units)."""
    inputs = layer_inputs(model, X)
    pairs = zip(inputs.values(), matrices(model)[:-1], _biases(model)[:-1], strict=False)
    return [entering @ W + b for entering, W, b in pairs]


def patterns(model: FeedForward, X: ArrayLike) -> int:
    """How many sets of units, all hidden layers together, are active on some example.

    Under ReLU the network is affine wherever the set is the same: the number of its pieces that the examples see.
    """
    active = np.concatenate([z > 0.0 for z in preactivations(model, X)], axis=1)
    return len(np.unique(np.packbits(active, axis=1), axis=0))


def bend(model: FeedForward, X: ArrayLike) -> Array:
    """Share of each unit's variance over the examples that no affine function of what enters it explains, (units,).

    Of the first hidden layer; zero for a unit in its linear range, and for one that does not vary. It does not depend
    on the scale of what leaves the unit; under ReLU not on that of what enters it either.
    """
    z, a = preactivations(model, X)[0], list(layer_inputs(model, X).values())[1]
    z, a = z - z.mean(axis=0), a - a.mean(axis=0)
    total = (a**2).sum(axis=0)
    along = (z * a).sum(axis=0) ** 2
    spread = (z**2).sum(axis=0) * total
    explained = np.divide(along, spread, out=np.ones_like(along), where=spread > 0.0)
    return np.clip(1.0 - explained, 0.0, 1.0)


def unlinear(model: FeedForward, X: Array, X_test: Array) -> float:
    """Share of the variance of the scores on ``X_test`` that the affine function fitted to them on ``X`` misses."""

    def with_one(inputs: Array) -> Array:
        return np.column_stack([np.ones(len(inputs)), inputs])

    fitted = np.linalg.lstsq(with_one(X), logits(model, X), rcond=None)[0]
    truth = logits(model, X_test)
    missed = ((truth - with_one(X_test) @ fitted) ** 2).sum()
    total = ((truth - truth.mean(axis=0)) ** 2).sum()
    return float(missed / total) if total > 0.0 else 0.0


def relative_slopes(model: FeedForward, X: ArrayLike) -> Array:
    """Slope of each unit of the first hidden layer at each example, (n, units), as a share of the steepest."""
    _, slope = ACTIVATIONS[model.activation]
    return slope(list(layer_inputs(model, X).values())[1]) / slope(np.full(1, _STEEPEST[model.activation]))


_STEEPEST = {"relu": 1.0, "tanh": 0.0, "logistic": 0.5, "identity": 0.0}  # the activation's value where it is steepest


# --- gradients and sharpness ------------------------------------------------------------------------------------------


def arriving(model: FeedForward, X: Array, y: ArrayLike) -> list[Array]:
    """Derivative of each example's loss in what leaves each layer before its activation, (n, units), nats."""
    objective = Objective(model, X, np.asarray(y))
    _, slope = ACTIVATIONS[model.activation]
    inputs, weights = list(layer_inputs(model, X).values()), matrices(model)
    found = [objective.link.slope(inputs[-1] @ weights[-1] + _biases(model)[-1], objective.targets)]
    for a, W in zip(inputs[:0:-1], weights[:0:-1], strict=True):
        found.append((found[-1] @ W.T) * slope(a))
    return found[::-1]


def example_gradients(model: FeedForward, X: Array, y: ArrayLike) -> Array:
    """Norm of each example's gradient in all weights, biases left out, (n,)."""
    inputs, back = layer_inputs(model, X).values(), arriving(model, X, y)
    return np.sqrt(sum((a**2).sum(axis=1) * (d**2).sum(axis=1) for a, d in zip(inputs, back, strict=True)))


def relative_noise_rise(
    model: FeedForward, X: Array, y: NDArray[np.int64], scale: float, draws: int, rng: np.random.Generator
) -> float:
    """Mean rise of the mean loss, nats, when every weight is multiplied by 1 + scale·ε, ε standard Gaussian."""

    def nats(some: FeedForward) -> float:
        return -float(np.mean(some.likelihood.log_prob(some.predict(X), y)))

    weights, biases = matrices(model), _biases(model)
    noisy = [
        nats(with_layers(model, [W * (1.0 + scale * rng.standard_normal(W.shape)) for W in weights], biases))
        for _ in range(draws)
    ]
    return float(np.mean(noisy)) - nats(model)


def curvature(model: FeedForward, X: Array, y: ArrayLike) -> tuple[Array, Array]:
    """The penalised weights and the diagonal of the Gauss-Newton matrix of the summed loss there, both (d,)."""
    objective = Objective(model, X, np.asarray(y))
    return objective.vector, objective.ggn_diagonal(objective.vector)


def relative_precision_bits(w: Array, diagonal: Array) -> float:
    """½ Σ log2(1 + w² g): what weights take that are told to the precision which the data need, each at its own scale.

    ``diagonal`` is that of the curvature. Every term is unchanged when a weight is stretched and the network made up
    for it. It forgets the scales, so that it is no code.
    """
    return float(np.log1p(w**2 * diagonal).sum()) / (2.0 * LN2)


def fisher_rao(model: FeedForward, X: Array, y: ArrayLike) -> float:
    """wᵀGw of the summed loss's Gauss-Newton matrix G, by one derivative along w; biases do not move.

    References
    ----------
    T. Liang, T. Poggio, A. Rakhlin and J. Stokes, Fisher-Rao metric, geometry, and complexity of neural
    networks, AISTATS (2019).
    """
    objective = Objective(model, X, np.asarray(y))
    _, slope = ACTIVATIONS[model.activation]
    inputs, weights = list(layer_inputs(model, X).values()), matrices(model)
    moved = inputs[0] @ weights[0]
    for a, W in zip(inputs[1:], weights[1:], strict=True):
        moved = (slope(a) * moved) @ W + a @ W
    f = inputs[-1] @ weights[-1] + _biases(model)[-1]
    root = objective.link.root(f)
    return float((np.einsum("no,noc->nc", moved, root) ** 2).sum())


# --- the symmetry of ReLU units ---------------------------------------------------------------------------------------


def unit_norms(model: FeedForward) -> tuple[Array, Array]:
    """Norms of what enters and of what leaves each unit of a single hidden layer, biases left out, (units,) each."""
    first, second = matrices(model)
    return np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1)


def rescaled(model: FeedForward, factors: ArrayLike) -> FeedForward:
    """The same function of a network with one hidden layer of ReLU units: what enters unit j, times the j-th factor.

    Its bias is multiplied as well, what leaves it is divided.
    """
    a = np.asarray(factors, np.float64)
    (first, second), (b, last) = matrices(model), _biases(model)
    return with_layers(model, [first * a, second / a[:, None]], [b * a, last])


def imbalance(model: FeedForward, X: Array, y: ArrayLike, strength: float) -> tuple[Array, Array]:
    """Squares of what enters each unit less those of what leaves it, and what the unfinished training leaves of it.

    Both (units,). Where the mean loss and the penalty have a gradient r, in weights and biases, a unit under ReLU has
    λ(‖w_in‖² - ‖w_out‖²) = w_in·r + b·r - w_out·r, since stretching it changes no loss: at an optimum they are equal.
    """
    inputs, back, n = list(layer_inputs(model, X).values()), arriving(model, X, y), len(X)
    first, second = matrices(model)
    left = [a.T @ d / n + strength * W for a, d, W in zip(inputs, back, (first, second), strict=True)]
    bias = _biases(model)[0] * back[0].mean(axis=0)
    entering, leaving = unit_norms(model)
    unfinished = (first * left[0]).sum(axis=0) + bias - (second * left[1]).sum(axis=1)
    return entering**2 - leaving**2, unfinished / strength


def balanced(model: FeedForward) -> FeedForward:
    """The rescaling of least norm: what enters a unit is as large as what leaves it; a unit without either stays."""
    entering, leaving = unit_norms(model)
    product = entering * leaving
    return rescaled(model, np.sqrt(np.divide(leaving, entering, out=np.ones_like(product), where=product > 0.0)))
