"""The data's expected length when the weights are Gaussian, with the derivatives that a search needs.

Exact for linear models of one output. Otherwise a mean over draws that are the same at every call with the same seed,
so that a search sees a smooth function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import linalg, special

from mdl.curvature.links import ScalarLink
from mdl.curvature.objective import ACTIVATIONS, CHUNK, Objective, outer_sum
from mdl.curvature.propagation import predicted, roots
from mdl.masses import Array

_ROWS = 4096  # examples and draws handled at once where there are few examples


class Slopes(NamedTuple):
    """An expected length and its derivatives in ``mean`` (d,), ``scale`` (d,) and ``factor`` (d, r)."""

    nats: float
    mean: Array
    scale: Array
    factor: Array


class Curved(NamedTuple):
    """An expected length, its derivative in ``mean`` (d,), and the expected curvature (d, d)."""

    nats: float
    mean: Array
    curvature: Array


def expected_nats(
    objective: Objective, mean: Array, scale: Array, factor: Array, *, samples: int = 8, seed: int = 0
) -> Slopes:
    """E[-ln p(y | X, w)] for w ~ N(mean, diag(scale²) + factor factorᵀ).

    Noise is drawn where it enters, at the units of each layer and apart for each example, not on the weights: the
    expectation is the same, since each example's length is one term of a sum, and its error is far smaller.

    Parameters
    ----------
    objective
        The data's length as a function of d weights.
    mean, scale, factor
        (d,), (d,) >= 0 and (d, r), r >= 0.
    samples, seed
        Draws an example where there is no closed form, rounded up to pairs of opposite sign.

    Returns
    -------
    Slopes
        The length and its derivatives; those of the mean over these draws, exactly.

    Examples
    --------
    >>> from mdl import likelihoods
    >>> from mdl.models import FeedForward
    >>> model = FeedForward({"layers.0.weight": [[0.0]], "layers.0.bias": [0.0]}, likelihoods.Gaussian(1.0, scale=1.0))
    >>> objective = Objective(model, [[1.0]], [0])
    >>> at = expected_nats(objective, np.zeros(1), np.ones(1), np.zeros((1, 0)))  # E w²/2 is 1/2
    >>> round(at.nats - objective.nats(np.zeros(1)), 12)
    0.5

    References
    ----------
    D. Kingma, T. Salimans & M. Welling, Variational dropout and the local reparameterization trick (2015).
    """
    if objective.linear and objective.names and isinstance(objective.link, ScalarLink):
        return _exact(objective, objective.link, mean, scale, factor)
    layers, rng, pairs = _layers(objective, mean, scale, factor), np.random.default_rng(seed), -(-samples // 2)
    width = sum(layer.mean.size + sum(layer.mean.shape) * (3 + layer.r) for layer in layers)
    nats = 0.0
    for rows in _chunks(len(objective.X), width):
        X, y = objective.X[rows], objective.targets[rows]
        at_once = max(1, min(pairs, _ROWS // (2 * len(X))))
        for done in range(0, pairs, at_once):
            count = min(at_once, pairs - done)
            tiled = np.tile(X, (2 * count, 1)), np.tile(y, 2 * count)
            nats += _add_draws(objective, layers, *tiled, _noise(layers, count * len(X), rng))
    drawn = [layers[int(name.split(".")[1])] for name in objective.names]
    of_mean, of_variance = (
        np.concatenate([np.empty(0), *(getattr(layer, name).ravel() for layer in drawn)]) / (2 * pairs)
        for name in ("of_mean", "of_variance")
    )
    of_factor = [
        np.empty((0, factor.shape[1])),
        *(layer.of_factor.reshape(layer.mean.size, layer.r) for layer in drawn),
    ]
    return Slopes(nats / (2 * pairs), of_mean, 2.0 * scale * of_variance, np.concatenate(of_factor) / (2 * pairs))


def _exact(objective: Objective, link: ScalarLink, mean: Array, scale: Array, factor: Array) -> Slopes:
    X = objective.X
    along = X @ factor
    v = X**2 @ scale**2 + (along**2).sum(axis=1)
    nats, of_m, of_v = link.expected(objective.model_at(mean).predict(X), v, objective.targets)
    of_scale, of_factor = 2.0 * scale * (of_v @ X**2), 2.0 * X.T @ (of_v[:, None] * along)
    return Slopes(float(nats.sum()), of_m @ X, of_scale, of_factor)


@dataclass
class _Layer:
    """One layer's Gaussian weights, and where the derivatives of all draws are summed."""

    mean: Array  # (fan_in, fan_out)
    bias: Array
    variance: Array  # like mean
    factor: Array  # (fan_in, fan_out * r)
    r: int
    of_mean: Array
    of_variance: Array
    of_factor: Array


def _layers(objective: Objective, mean: Array, scale: Array, factor: Array) -> list[_Layer]:
    means, variances, layers, start = objective.split(mean), objective.split(scale**2), {}, 0
    r = factor.shape[1]
    for name in (name for name in objective.model.weights if name not in objective.model.free):
        own = np.asarray(objective.model.weights[name], np.float64)
        m, v, rows = means.get(name, own), variances.get(name, np.zeros_like(own)), np.zeros((own.size, r))
        if name in means:
            rows, start = factor[start : start + own.size], start + own.size
        rows = rows.reshape(own.shape[0], own.shape[1] * r)
        bias = np.asarray(objective.model.weights[name.replace("weight", "bias")], np.float64)
        zeros = (np.zeros_like(m), np.zeros_like(v), np.zeros_like(rows))
        layers[int(name.split(".")[1])] = _Layer(m, bias, v, rows, r, *zeros)
    return [layers[k] for k in sorted(layers)]


def _chunks(n: int, width: int) -> Iterator[slice]:
    rows = max(1, CHUNK // max(width, 1))
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def _noise(layers: list[_Layer], n: int, rng: np.random.Generator) -> list[Array]:
    """Of each layer's units, and last of the factors, which all layers share: n draws and their negatives."""
    shapes = [*((n, layer.mean.shape[1]) for layer in layers), (n, layers[0].r)]
    return [np.concatenate([z, -z]) for z in map(rng.standard_normal, shapes)]


def _add_draws(objective: Objective, layers: list[_Layer], X: Array, y: Array, noise: list[Array]) -> float:
    """The length of these examples, each at its own draw; its derivatives are added to the layers'."""
    activate, slope = ACTIVATIONS[objective.model.activation]
    common, inputs, roots, z = noise[-1], [], [], X
    for k, layer in enumerate(layers):
        a = activate(z) if k else X
        roots.append(np.sqrt(a**2 @ layer.variance))
        z = a @ layer.mean + layer.bias + roots[k] * noise[k]
        if layer.r:
            z += ((a @ layer.factor).reshape(*z.shape, -1) @ common[:, :, None])[:, :, 0]
        inputs.append(a)
    nats, g = float(objective.link.nats(z, y).sum()), objective.link.slope(z, y)
    for k in range(len(layers) - 1, -1, -1):
        layer, a = layers[k], inputs[k]
        of_v = np.divide(0.5 * g * noise[k], roots[k], out=np.zeros_like(g), where=roots[k] > 0.0)
        spread = (g[:, :, None] * common[:, None, :]).reshape(len(g), -1)
        layer.of_mean += a.T @ g
        layer.of_variance += (a**2).T @ of_v
        layer.of_factor += a.T @ spread
        if k:
            g = (g @ layer.mean.T + 2.0 * a * (of_v @ layer.variance.T) + spread @ layer.factor.T) * slope(a)
    return nats


# --- any covariance ---------------------------------------------------------------------------------------------------


def expected_curvature(
    objective: Objective, mean: Array, covariance: Array, *, samples: int = 8, seed: int = 0
) -> Curved:
    """E[-ln p(y | X, w)] for w ~ N(mean, covariance), with the expected gradient and Gauss-Newton curvature.

    The derivative in the covariance is half the expected Hessian; for a linear model that is half this curvature.
    Under Gaussian weights a linear model's predictions are Gaussian, so that noise is drawn on them, apart for each
    example; with hidden layers it is drawn on the weights.

    Parameters
    ----------
    objective
        The data's length as a function of d <= ``MAX_DENSE`` weights.
    mean, covariance
        (d,) and (d, d).
    samples, seed
        As in :func:`expected_nats`.

    Returns
    -------
    Curved
        The length, its gradient in the mean, and the (d, d) curvature.
    """
    rng = np.random.default_rng(seed)
    if not objective.linear or not objective.names:
        return _of_drawn_weights(objective, mean, covariance, samples, rng)
    if isinstance(objective.link, ScalarLink):
        X = objective.X
        v = ((X @ covariance) * X).sum(axis=1)
        m = objective.model_at(mean).predict(X)
        nats, of_m, of_v = objective.link.expected(m, v, objective.targets)
        return Curved(float(nats.sum()), of_m @ X, X.T @ (2.0 * of_v[:, None] * X))
    return _of_drawn_predictions(objective, mean, covariance, samples, rng)


def _of_drawn_weights(
    objective: Objective, mean: Array, covariance: Array, samples: int, rng: np.random.Generator
) -> Curved:
    root = linalg.cholesky(covariance, lower=True) if objective.size else covariance
    nats, slope, bend = 0.0, np.zeros_like(mean), np.zeros_like(covariance)
    z = np.zeros_like(mean)
    for k in range(samples):
        z = -z if k % 2 else rng.standard_normal(objective.size)
        w = mean + root @ z
        nats += objective.nats(w) / samples
        slope += objective.gradient(w) / samples
        bend += objective.ggn(w) / samples
    return Curved(nats, slope, bend)


def _of_drawn_predictions(
    objective: Objective, mean: Array, covariance: Array, samples: int, rng: np.random.Generator
) -> Curved:
    K, link = objective.outputs, objective.link
    nats, slope, bend = 0.0, np.zeros_like(mean), np.zeros_like(covariance)
    centre = objective.model_at(mean).predict(objective.X)
    for rows in _chunks(len(objective.X), objective.size + K * K * 4):
        X, y = objective.X[rows], objective.targets[rows]
        V = predicted(X, covariance, K)
        root = roots(V)
        p, H, z = np.zeros((len(X), K)), np.zeros_like(V), np.zeros((len(X), K))
        for k in range(samples):
            z = -z if k % 2 else rng.standard_normal(z.shape)
            f = centre[rows] + (root @ z[:, :, None])[:, :, 0]
            nats += float(link.nats(f, y).sum()) / samples
            soft = special.softmax(f, axis=1)
            p += soft / samples
            H -= soft[:, :, None] * soft[:, None, :] / samples
        H[:, np.arange(K), np.arange(K)] += p
        p[np.arange(len(X)), y.astype(np.int64)] -= 1.0
        slope += (X.T @ p).ravel()
        bend += outer_sum(X, H)
    return Curved(nats, slope, bend)
