"""Relative-entropy coding: the weights as a path through a random tree that the prior grew, and the data; realised.

A file of about KL(posterior || prior) bits of branches, and the data under the weights on that path. The prior has the
given variance in the mean, more of it in the directions in which the inputs vary more. See :mod:`mdl.codes.random` for
the code and :mod:`mdl.codes.tree_search` for the search.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mdl import likelihoods
from mdl.codes.describe import charged, describe
from mdl.codes.numbers import integer_bits, round_real
from mdl.codes.random import (
    LEAST_TILT,
    MOST_SIXTEENTHS,
    MOST_TILT,
    SIXTEENTHS,
    Basis,
    RandomTree,
    natural_bits,
    padded,
    shares,
    trimmed,
)
from mdl.codes.scheme import Coding, Scheme
from mdl.codes.shaped import ShapedCoding
from mdl.codes.tree_search import search
from mdl.curvature import MAX_DENSE, Conditional, Objective, Propagation, mode
from mdl.errors import MdlError, PriorError
from mdl.length import LN2, CodeLength
from mdl.masses import Array
from mdl.models import FeedForward, Model, shared
from mdl.priors import Gaussian
from mdl.trials import Found, Trials
from mdl.weights import Weights

_WEIGHT, _BIAS = "layers.0.weight", "layers.0.bias"
_TRIED = 16  # steps of a search for the prior, at most
_LEAST_SCALE = 1e-100  # and the most is 1 over it: squares are numbers
_STEPS = 6  # to the posterior given what a path has drawn, from that of the one before
_BUDGETS = (0.95, 1.0, 1.05, 1.1)  # times the bits that the posterior's divergence says
_MANY_BUDGETS = tuple(k / 16 for k in range(8, 21))
_CHEAP_BITS = 100
_NOISE_BITS = 8  # significant, of a noise scale that is told


def relative_entropy(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    *,
    width: int = 4096,
    seed: int = 0,
    realised: bool = False,
) -> CodeLength:
    """The length of the message that :func:`encode_relative_entropy` writes; parameters as there.

    Parameters
    ----------
    realised
        Write the message and report its size instead of the ideal length.

    Returns
    -------
    CodeLength
        Parts ``weights`` (the path), ``data``, ``intercepts``, ``quantizer`` (the prior's scale, the tree's settings),
        ``choice``, ``support``, ``header``.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> model = wrap(LogisticRegression().fit(x, x[:, 0] > 0.3))
    >>> length = relative_entropy(model, x, x[:, 0] > 0.3, Gaussian(2.0))
    >>> round(length.part_bits()["weights"]) % 2, length.part_bits()["weights"] < 40
    (0, True)
    """
    found = shortest(model, X, y, prior, width, seed)
    return found.realise()[1] if realised else found.ideal()


def encode_relative_entropy(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    *,
    width: int = 4096,
    seed: int = 0,
) -> bytes:
    """A .mdl whose weights are a path through a random tree; ``mdl.decode_with_data`` reads it.

    Parameters
    ----------
    model
        A feed-forward network without hidden layers: ridge, logistic, softmax or Poisson regression.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets, which are sent.
    prior
        Gaussian at 0: its scale is the root mean square over the directions of the inputs, in proportion to a power of
        whose variance the prior's varies; the power is 3/4 unless another one, 0 among them, makes up for being told.
        An open scale is chosen with it.
    width
        Paths kept by the search.
    seed
        Which tree; sent.

    Raises
    ------
    MdlError
        If the model has hidden layers, or more than 3,000 weights beside the biases.
    PriorError
        If the prior is not Gaussian at 0.

    References
    ----------
    M. Havasi, R. Peharz and J. M. Hernandez-Lobato, Minimal random code learning, ICLR 2019.
    F. Jelinek and J. B. Anderson, Instrumentable tree encoding of information sources, IEEE Trans. Inf. Theory 17
    (1971), on the M algorithm.
    """
    return shortest(model, X, y, prior, width, seed).realise()[0]


def tilted_evidence(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
) -> CodeLength:
    """-ln of the integral over all weights of the data's likelihood, under the prior that a random tree samples.

    What a tree's path and the data under it cannot beat on average. By expectation propagation, which is exact for
    ridge and close where classes are nearly separated. Parameters and errors as of :func:`encode_relative_entropy`.

    Returns
    -------
    CodeLength
        Ideal; parts as those of :func:`mdl.evidence`, ``weights`` the divergence of the posterior from the prior.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> length = tilted_evidence(wrap(LogisticRegression().fit(x, x[:, 0] > 0.3)), x, x[:, 0] > 0.3, Gaussian(2.0))
    >>> round(length.part_bits()["weights"] + length.part_bits()["data"])
    12
    """
    model, X = _checked(model, X, prior)
    trials = Trials(model, X, y)
    coded: Any = trials.with_coded_free()
    with threadpool_limits(1):
        target = _fitted(Objective(coded, trials.inputs, np.asarray(y)), prior)
    likelihood = target.objective.model.likelihood
    if isinstance(likelihood, likelihoods.Gaussian) and likelihood.scale is not None:
        likelihood = replace(likelihood, scale=round_real(likelihood.scale, _NOISE_BITS))
    tilt = integer_bits(target.tilt).size * LN2 if target.tilt else 0.0
    weights = min(target.bits * LN2, target.start.nats)  # propagation is no bound, and the two are apart by its error
    return CodeLength((
        *trials.free_scheme.length({name: trials.tensors[name] for name in trials.free}).parts,
        *charged(likelihood), *charged(Gaussian(target.scale)), ("prior", tilt),
        ("weights", weights), ("data", target.start.nats - weights),
    ))  # fmt: skip


def shortest(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    width: int = 4096,
    seed: int = 0,
) -> Found:
    """The shortest of the messages with a few budgets."""
    model, X = _checked(model, X, prior)
    with threadpool_limits(1):  # matrices so small are a third slower on two
        return _shortest(Trials(model, X, y), np.asarray(y), prior, width, seed)


def _checked(model: Model, X: ArrayLike, prior: object) -> tuple[FeedForward, Any]:
    if not isinstance(prior, Gaussian) or prior.loc != 0.0:
        raise PriorError(f"relative_entropy: expected a Gaussian prior at 0, got {prior}")
    if prior.scale is not None and not _LEAST_SCALE <= prior.scale <= 1.0 / _LEAST_SCALE:
        raise PriorError(f"relative_entropy: expected a scale from 1e-100 to 1e100, got {prior.scale}")
    model, X = shared(model, X)
    if not isinstance(model, FeedForward) or model.depth != 1:
        raise MdlError("relative_entropy: expected a feed-forward network without hidden layers")
    if (size := model.weights[_WEIGHT].size) > MAX_DENSE:
        raise MdlError(f"relative_entropy: expected at most {MAX_DENSE} weights, got {size}; use lattice or refined")
    return model, X


def _shortest(trials: Trials, y: Array, prior: Gaussian, width: int, seed: int) -> Found:
    coded: Any = trials.with_coded_free()
    target = _fitted(Objective(coded, trials.inputs, y), prior)
    if target.bits > _CHEAP_BITS:
        trees = [_tree(target, budget, seed) for budget in _BUDGETS]
    else:  # what the settings take counts as well
        few = [RandomTree(target.scale, trimmed(0, octave, 0, target.tilt, seed)) for octave in (-1, 0, 1)]
        trees = [*few, *(_tree(target, budget, seed) for budget in _MANY_BUDGETS)]
    candidates = [_message(trials, target, tree, width) for tree in dict.fromkeys(trees)]
    return min(candidates, key=lambda found: found.ideal().comparable.nats)


def _fitted(objective: Objective, prior: Gaussian) -> _Coordinates:
    """The prior with the least evidence, -ln p(y), and description; an open scale is one of 2^k and 3/2 2^k."""
    rms = math.sqrt(float(np.mean(objective.vector**2))) if objective.size else 1.0
    best = 2 * round(math.log2(max(rms, _LEAST_SCALE) if rms else 1.0)), 0
    tried: dict[tuple[int, int], _Coordinates] = {}

    def nats(place: int, tilt: int) -> float:
        scale = math.ldexp(1.5 if place % 2 else 1.0, place // 2) if prior.scale is None else prior.scale
        if (place, tilt) not in tried:
            near = tried.get(best)
            tried[place, tilt] = near.under(scale, tilt) if near else _Coordinates.of(objective, scale, tilt)
        return tried[place, tilt].told_nats

    moves = [(0, 0), (0, 1), (0, -1), *([(1, 0), (-1, 0)] if prior.scale is None else [])]
    for _ in range(_TRIED):
        near = [(best[0] + a, best[1] + b) for a, b in moves if LEAST_TILT <= best[1] + b <= MOST_TILT]
        if (closer := min(near, key=lambda here: nats(*here))) == best:
            break
        best = closer
    return tried[best]


@dataclass(frozen=True, eq=False)
class _Coordinates:
    """The data's length in the coordinates of a basis, and their posterior under a prior."""

    objective: Objective
    basis: Basis
    scale: float  # of the prior
    tilt: int
    data: Propagation
    start: Conditional

    @classmethod
    def of(cls, objective: Objective, scale: float, tilt: int) -> _Coordinates:
        """Under a prior; a noise scale is that of the residuals at the mode."""
        likelihood, units = objective.model.likelihood, objective.model.weights[_WEIGHT].shape[1]
        top = mode(objective, scale**-2)
        if isinstance(likelihood, likelihoods.Gaussian):
            predictions = objective.model_at(top).predict(objective.X)
            noise = replace(likelihood, scale=None).fit(predictions, objective.targets).scale
            objective = objective.with_noise(noise or 1.0)
            top = mode(objective, scale**-2)
        basis, offset = Basis.of(objective.X, units), np.asarray(objective.model.weights[_BIAS], np.float64)
        z = basis.coordinates(objective.split(top)[_WEIGHT])
        data = Propagation(
            objective.X @ basis.vectors, basis.contrasts, offset, objective.targets, objective.link, scale**-2
        )
        about = cls(objective, basis, scale, LEAST_TILT, data, data.settled(data.about(z), z, steps=1))
        return about.under(scale, tilt)

    def under(self, scale: float, tilt: int) -> _Coordinates:
        """The same under another prior."""
        objective = self.objective
        if isinstance(objective.model.likelihood, likelihoods.Gaussian) and scale != self.scale:
            return self.of(objective, scale, tilt)
        basis = Basis.of(objective.X, self.basis.contrasts.shape[0]).tilted(tilt)
        data = replace(self.data, inputs=objective.X @ basis.vectors, precision=scale**-2)
        start = data.settled(self.start.sites, self.start.z)
        return replace(self, basis=basis, scale=scale, tilt=tilt, data=data, start=start)

    @property
    def told_nats(self) -> float:
        """Of the data, the weights integrated out, and of the prior's description."""
        prior = RandomTree(self.scale, trimmed(0, 0, 0, self.tilt))
        return self.start.nats + LN2 * sum(part.size for _, part in describe(prior))

    @property
    def bits(self) -> float:
        """KL of the posterior from the prior, bits."""
        return float(_divergence(self).sum()) / LN2

    def nats(self, z: Array) -> float:
        return self.objective.nats(self.basis.weights(z).ravel())

    def given(self, z: Array, first: int, near: Conditional) -> Conditional:
        return self.data.settled(near.sites, z, first, steps=_STEPS)


def _tree(target: _Coordinates, budget: float, seed: int) -> RandomTree:
    """As many bits as the posterior's divergence from the prior, in the order that it needs them."""
    needs = _divergence(target)
    bits = budget * float(needs.sum()) / LN2
    share = np.cumsum(needs) / max(float(needs.sum()), 1e-300)
    eigenvalues, scale = target.basis.eigenvalues, target.scale

    def settings(octave: int, eighths: int) -> tuple[int, ...]:
        natural = natural_bits(eigenvalues, scale, octave)
        longer = math.log2(max(bits, 1.0) / max(natural, 1e-12)) if max(bits, natural) > 1.0 else 0.0
        sixteenths = min(max(round(SIXTEENTHS * longer), -MOST_SIXTEENTHS), MOST_SIXTEENTHS)
        return trimmed(sixteenths, octave, eighths, target.tilt, seed)

    def cost(settings: tuple[int, ...]) -> float:
        _, octave, eighths, *_ = padded(settings)
        off = np.abs(shares(eigenvalues, scale, octave, eighths) - share).max(initial=0.0)
        told = sum(part.size for _, part in describe(RandomTree(scale, settings)))
        return float(off) * bits + told  # a bit late or early costs about a bit

    centre = _octave(target)
    tried = itertools.starmap(settings, itertools.product(range(centre - 4, centre + 5), range(-5, 5)))
    return RandomTree(scale, min(tried, key=cost))


def _octave(target: _Coordinates) -> int:
    """Of the typical curvature of the data's length in a prediction; 0 for classes, which it is near."""
    if isinstance(target.objective.model.likelihood, likelihoods.Bernoulli | likelihoods.Categorical):
        return 0
    eigenvalues = target.basis.eigenvalues
    typical = float(eigenvalues @ np.diag(target.start.curvature)) / max(float(eigenvalues @ eigenvalues), 1e-300)
    return round(math.log2(max(typical, 1e-250))) + 6


def _divergence(target: _Coordinates) -> Array:
    """KL of the posterior from the prior, nats, coordinate by coordinate given those before."""
    precision, covariance = target.data.precision, target.start.covariance
    root = linalg.cholesky(covariance, lower=True) if len(covariance) else covariance
    spread = np.square(root).sum(axis=1)
    terms: Array = 0.5 * (precision * (spread + target.start.z**2) - 1.0 - np.log(precision * np.diag(root) ** 2))
    return np.maximum(terms, 0.0)


def _message(trials: Trials, target: _Coordinates, told: RandomTree, width: int) -> Found:
    coded = target.objective.model
    inputs, shape = target.objective.X, coded.weights[_WEIGHT].shape
    tree = told.bind(inputs, shape)
    chosen = search(tree, target, width)
    described: Any = told
    weight = ShapedCoding.of(Coding(described, told.code), inputs, shape, chosen)
    scheme = Scheme({_WEIGHT: weight, **trials.free_scheme.codings})
    restored = weight.restore(chosen, coded.weights[_WEIGHT].dtype, shape, _WEIGHT)
    tensors = Weights({**coded.weights, _WEIGHT: restored})
    return Found(tensors, scheme, trials.data_under(tensors))
