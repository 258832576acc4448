"""A Gaussian prior about any centre: the length and the capacity that it gives, and what it costs to send it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from mdl import likelihoods
from mdl.codes.numbers import natural_bits, real_bits, round_real
from mdl.curvature import Objective, mode
from mdl.length import LN2
from mdl.lengths.checkpoint import measure
from mdl.lengths.two_part import two_part
from mdl.likelihoods import Likelihood
from mdl.masses import Array
from mdl.models import FeedForward
from mdl.priors import Gaussian
from mdl.quantize import UniformGrid
from mdl.weights import Weights

#: Of a prior, two an octave; which one it is takes the same for each.
SCALES = tuple(part * 2.0**octave for octave in range(-7, 3) for part in (1.0, 1.5))
_OCTAVES = range(-6, 3)  # of the step of a centre that is sent, in halvings of its root mean square: all zeros to fine


# --- models whose every weight has the prior --------------------------------------------------------------------------


def with_constant(X: Array) -> Array:
    """Inputs and a last one that is always 1, whose weights are intercepts under the same prior."""
    return np.hstack([X, np.ones((len(X), 1))])


def linear(features: int, likelihood: Likelihood) -> FeedForward:
    """A linear model of so many inputs; its biases stay 0."""
    outputs = likelihood.classes if isinstance(likelihood, likelihoods.Categorical) else 1
    tensors = {"layers.0.weight": np.zeros((features, outputs)), "layers.0.bias": np.zeros(outputs)}
    return FeedForward(Weights(tensors), likelihood)


def network(features: int, hidden: int, likelihood: Likelihood, rng: np.random.Generator) -> FeedForward:
    """One hidden layer of tanh units, weights drawn with variance 1/fan-in; its biases stay 0."""
    outputs = likelihood.classes if isinstance(likelihood, likelihoods.Categorical) else 1
    tensors = {
        "layers.0.weight": rng.normal(size=(features, hidden)) / math.sqrt(features),
        "layers.0.bias": np.zeros(hidden),
        "layers.1.weight": rng.normal(size=(hidden, outputs)) / math.sqrt(hidden),
        "layers.1.bias": np.zeros(outputs),
    }
    return FeedForward(Weights(tensors), likelihood, "tanh")


def classes(count: int) -> Likelihood:
    """That of so many classes."""
    return likelihoods.Bernoulli() if count == 2 else likelihoods.Categorical(count)


class HeldOut(NamedTuple):
    """Bits an example, and the rate of errors (for numbers: their root mean square)."""

    bits: float
    error: float


def held_out(model: FeedForward, X: Array, y: NDArray[Any]) -> HeldOut:
    """Of a model with its likelihood as it is."""
    f = model.predict(X)
    bits = -float(np.mean(model.likelihood.log_prob(f, y))) / LN2
    if isinstance(model.likelihood, likelihoods.Gaussian):
        return HeldOut(bits, float(np.sqrt(np.mean((y - f) ** 2))))
    said = f.argmax(axis=1) if f.ndim == 2 else (f > 0.0).astype(int)
    return HeldOut(bits, float(np.mean(said != y)))


# --- evidence about a centre ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Posterior:
    """The evidence of N(centre, scale² I) by Laplace's method, exact for Gaussian noise; nats.

    Where the centre is one number this is what :func:`mdl.evidence` gives for the parts ``weights`` and ``data``.
    """

    w: Array  # (d,) the mode
    scale: float
    penalty: float  # ½ ‖w - centre‖²/scale²
    complexity: float  # ½ ln det(I + scale² H)
    data: float  # -ln p(y | X, w)
    freedom: float  # trace H (H + I/scale²)^-1: the number of weights that the data determine

    @classmethod
    def of(cls, objective: Objective, scale: float, centre: ArrayLike = 0.0, start: Array | None = None) -> Self:
        """At the mode that a search from ``start``, by default the centre, finds."""
        about = np.broadcast_to(np.asarray(centre, np.float64), (objective.size,))
        w = mode(objective, scale**-2, about, about if start is None else start)
        bend = scale**2 * np.maximum(linalg.eigvalsh(objective.ggn(w)), 0.0)
        penalty = 0.5 * float(np.sum((w - about) ** 2)) / scale**2
        complexity, freedom = 0.5 * float(np.log1p(bend).sum()), float((bend / (1.0 + bend)).sum())
        return cls(w, scale, penalty, complexity, objective.nats(w), freedom)

    @property
    def evidence_bits(self) -> float:
        """What a reader takes who knows centre and scale."""
        return (self.penalty + self.complexity + self.data) / LN2

    @property
    def bits(self) -> float:
        """What one takes who is told which of ``SCALES`` it is: everything but the centre."""
        return self.evidence_bits + math.log2(len(SCALES))


def fitted(
    objective: Objective, centre: ArrayLike = 0.0, start: Array | None = None, scales: Iterable[float] = SCALES
) -> Posterior:
    """The scale with the shortest length. For a linear model every search goes on from the mode before.

    A network's starts anew: about a narrow prior's zero it would never leave it.
    """
    tried: list[Posterior] = []
    for scale in scales:
        tried.append(Posterior.of(objective, scale, centre, tried[-1].w if tried and objective.linear else start))
    return min(tried, key=lambda found: found.bits)


# --- two parts about a centre -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class About:
    """A model seen from a centre: its weights are deviations, so that a prior about 0 is one about the centre."""

    base: FeedForward
    centre: Mapping[str, Array]

    @property
    def weights(self) -> Weights:
        """What is left of each tensor."""
        own = self.base.weights
        return Weights({name: own[name] - self.centre[name] if name in self.centre else own[name] for name in own})

    @property
    def likelihood(self) -> Likelihood:
        """The base's."""
        return self.base.likelihood

    @property
    def free(self) -> tuple[str, ...]:
        """The base's."""
        return self.base.free

    @property
    def architecture(self) -> str:
        """The base's."""
        return self.base.architecture

    def with_weights(self, weights: Mapping[str, Any]) -> About:
        """Other deviations."""
        moved = {name: w + self.centre[name] if name in self.centre else w for name, w in weights.items()}
        return About(self.base.with_weights(moved), self.centre)

    def with_likelihood(self, likelihood: Likelihood) -> About:
        """Another likelihood."""
        return About(self.base.with_likelihood(likelihood), self.centre)

    def predict(self, X: ArrayLike) -> Array:
        """The base's."""
        return self.base.predict(X)


def two_part_bits(objective: Objective, found: Posterior, centre: Array) -> float:
    """The shortest grid for the mode's deviations from the centre under the same prior, and the data; all charged."""
    model = About(objective.model_at(found.w), objective.split(np.broadcast_to(centre, (objective.size,))))
    return two_part(model, objective.X, objective.y, Gaussian(found.scale)).comparable.bits


# --- what a centre costs ----------------------------------------------------------------------------------------------


def seed_bits(seed: int, distance: float) -> float:
    """A centre drawn by a generator that both sides have: its seed and how far it is drawn from 0."""
    return float(natural_bits(seed).size + real_bits(round_real(distance, 4)).size)


class Sent(NamedTuple):
    """A centre that is part of the message: what it takes, and the sum with what is told about it; bits."""

    centre: float
    total: float


def sent(objective: Objective, tried: Sequence[Posterior], centre: Array) -> Sent:
    """The shortest message of a centre under a fitted Gaussian on a grid, then the evidence about what arrives.

    ``tried`` are posteriors at the scales that the reader may be told. The coarsest grid sends zeros, so that what is
    left of the gain of a centre is at most what its code wastes.
    """
    spread = math.sqrt(float(np.mean(centre**2)))
    found = []
    for octave in _OCTAVES:
        grid = UniformGrid(math.ldexp(1.0, math.floor(math.log2(spread)) - octave))
        cost = measure({"centre": centre}, Gaussian(), grid).comparable.bits
        arrived = np.asarray(grid.dequantize(grid.quantize(centre)), np.float64)
        found += [Sent(cost, cost + Posterior.of(objective, one.scale, arrived, one.w).bits) for one in tried]
    return min(found, key=lambda one: one.total)
