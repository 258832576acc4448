"""Evidence and forecasts under any prior by importance sampling: what Laplace's method is checked against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from analyses._centred import Posterior
from mdl.curvature import Objective
from mdl.curvature.objective import ACTIVATIONS
from mdl.masses import Array

_FREEDOM, _WIDER = 8.0, 1.2  # of Student's t that weights are drawn from, and how much wider than the posterior it is


@dataclass(frozen=True, eq=False)
class Draws:
    """Weights (k, d) drawn from a density about a mode, and the log likelihood of the data at each, (k,) nats."""

    w: Array
    log_density: Array
    log_likelihood: Array

    @classmethod
    def about(cls, objective: Objective, found: Posterior, count: int, rng: np.random.Generator) -> Draws:
        """From a multivariate t with the posterior's shape, whose tails cover what is not Gaussian in it."""
        d = found.w.size
        precision = (objective.ggn(found.w) + np.eye(d) / found.scale**2) / _WIDER**2
        root = linalg.cholesky(precision, lower=False)
        z = rng.normal(size=(count, d)) / np.sqrt(rng.chisquare(_FREEDOM, (count, 1)) / _FREEDOM)
        square = (z**2).sum(axis=1)
        constant = special.gammaln(0.5 * (_FREEDOM + d)) - special.gammaln(0.5 * _FREEDOM)
        constant += float(np.log(np.diag(root)).sum()) - 0.5 * d * math.log(_FREEDOM * math.pi)
        log_density = constant - 0.5 * (_FREEDOM + d) * np.log1p(square / _FREEDOM)
        w = found.w + linalg.solve_triangular(root, z.T, lower=False).T
        f = outputs(objective, w, objective.X)
        nats = objective.link.nats(f.reshape(-1, f.shape[2]), np.tile(objective.targets, count))
        return cls(w, log_density, -nats.reshape(count, -1).sum(axis=1))


class Sampled(NamedTuple):
    """-ln of the evidence, nats; the share of draws that it rests on; and the posterior's weight of each, (k,)."""

    nats: float
    effective: float
    weights: Array


def sampled(draws: Draws, log_prior: Array) -> Sampled:
    """Under the prior whose log density at each draw is given, (k,)."""
    terms = draws.log_likelihood + log_prior - draws.log_density
    weights = special.softmax(terms)
    count = len(terms)
    nats = math.log(count) - float(special.logsumexp(terms))
    return Sampled(nats, 1.0 / (count * float(weights @ weights)), weights)


def outputs(objective: Objective, w: Array, X: Array) -> Array:
    """Predictions (k, n, outputs) of a model of at most one hidden layer, without biases, for (k, d) weights."""
    model = objective.model
    shapes = [model.weights[name].shape for name in objective.names]
    pieces = np.split(w, np.cumsum([math.prod(shape) for shape in shapes])[:-1], axis=1)
    f, (activate, _) = X, ACTIVATIONS[model.activation]
    for layer, (piece, shape) in enumerate(zip(pieces, shapes, strict=True)):
        f = (activate(f) if layer else f) @ piece.reshape(-1, *shape)
    return f


def forecast(objective: Objective, w: Array, weights: Array, X: Array) -> Array:
    """Probability (n,) of the second of two classes, averaged over (k, d) weights with (k,) shares."""
    return weights @ special.expit(outputs(objective, w, X)[:, :, 0])


# --- more than one mode -----------------------------------------------------------------------------------------------

_HEATS = 120  # where nothing else is said
_LEAST = 1e-9  # probability of what came: a few chains may all rule it out
_MOVES = (0.5, 0.2, 0.08)  # shares of the prior that a move draws anew, all three at every heat


def annealed(
    objective: Objective,
    scale: float,
    centre: Array,
    rng: np.random.Generator,
    chains: int,
    heats: int = _HEATS,
) -> tuple[Array, float]:
    """Weights (chains, d) from the posterior under N(centre, scale² I), all modes included, and -ln evidence, nats.

    Chains start in the prior; the likelihood is raised to powers from 0 to 1, at each of which chains are drawn anew
    by what it adds, and moved. Moves leave the prior as it is (preconditioned Crank-Nicolson), so that the likelihood
    alone accepts them.

    References
    ----------
    Del Moral, Doucet & Jasra, Sequential Monte Carlo samplers, J. Royal Statistical Society B 68 (2006).
    """

    def log_likelihood(w: Array) -> Array:
        f = outputs(objective, w, objective.X)
        nats = objective.link.nats(f.reshape(-1, f.shape[2]), np.tile(objective.targets, chains))
        return -np.asarray(nats.reshape(chains, -1).sum(axis=1))

    w = centre + scale * rng.standard_normal((chains, centre.size))
    here, nats, before = log_likelihood(w), 0.0, 0.0
    for heat in np.linspace(0.0, 1.0, heats + 1)[1:] ** 3:
        terms = (heat - before) * here
        nats += math.log(chains) - float(special.logsumexp(terms))
        # systematic resampling: each chain as often as its share says, up to one
        places = (rng.random() + np.arange(chains)) / chains
        kept = np.minimum(np.searchsorted(np.cumsum(special.softmax(terms)), places), chains - 1)
        w, here, before = w[kept], here[kept], heat
        for share in _MOVES:
            moved = centre + math.sqrt(1.0 - share**2) * (w - centre) + share * scale * rng.standard_normal(w.shape)
            there = log_likelihood(moved)
            taken = np.log(rng.random(chains)) < heat * (there - here)
            w, here = np.where(taken[:, None], moved, w), np.where(taken, there, here)
    return w, nats


class AllModes(NamedTuple):
    """-ln of the evidence, nats, and what the average over the posterior costs on held-out examples, bits each."""

    nats: float
    test_bits: float


def all_modes(
    about: tuple[Objective, float, Array],
    X: Array,
    y: NDArray[Any],
    rng: np.random.Generator,
    chains: int,
    heats: int = _HEATS,
) -> AllModes:
    """Of classes, by :func:`annealed`; ``about`` is the objective, the prior's scale and its centre."""
    w, nats = annealed(*about, rng, chains, heats)
    f = outputs(about[0], w, X)
    scores = f if f.shape[2] > 1 else np.concatenate([np.zeros_like(f), f], axis=2)
    p = special.softmax(scores, axis=2).mean(axis=0)[np.arange(len(y)), y]
    return AllModes(nats, -float(np.log2(np.maximum(p, _LEAST)).mean()))
