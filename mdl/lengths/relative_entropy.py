"""Relative-entropy coding: the weights as a path through a random tree that the prior grew, and the data; realised.

A file of about KL(posterior || prior) bits of branches, and the data under the weights on that path. See
:mod:`mdl.codes.random` for the code and :mod:`mdl.codes.tree_search` for the search.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from mdl import likelihoods
from mdl.codes.numbers import integer_bits
from mdl.codes.random import BRANCH_BITS, LEAD_BITS, MAX_STEPS, Basis, RandomTree, shares
from mdl.codes.scheme import Coding, Scheme
from mdl.codes.shaped import ShapedCoding
from mdl.codes.tree_search import search
from mdl.curvature import Objective, mode
from mdl.curvature.objective import outer_sum
from mdl.errors import MdlError, PriorError
from mdl.length import LN2, CodeLength
from mdl.masses import Array
from mdl.models import FeedForward, Model, shared
from mdl.priors import Gaussian
from mdl.trials import Found, Trials
from mdl.weights import Weights

_WEIGHT, _BIAS = "layers.0.weight", "layers.0.bias"
_SCALES = 16  # tried at most
_SAMPLES, _ROUNDS = 4, 4
_FIRST_STEPS, _LATER_STEPS = 16, 3  # of Newton's method; later modes start near
_BUDGETS = (0.8, 1.0, 1.2)  # times the bits that the posterior's divergence says
_MANY_BUDGETS = tuple(k / 8 for k in range(3, 11))
_CHEAP_BITS = 100


def relative_entropy(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    *,
    width: int = 2048,
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
        Parts ``weights`` (the path), ``data``, ``intercepts``, ``prior``, ``quantizer`` (bits, curvature, warp, seed),
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
    width: int = 2048,
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
        Gaussian at 0. An open scale is fitted to the trained weights.
    width
        Paths kept by the search.
    seed
        Which tree; sent.

    Raises
    ------
    MdlError
        If the model has hidden layers.
    PriorError
        If the prior is not Gaussian at 0.

    References
    ----------
    M. Havasi, R. Peharz and J. M. Hernandez-Lobato, Minimal random code learning, ICLR 2019.
    F. Jelinek and J. B. Anderson, Instrumentable tree encoding of information sources, IEEE Trans. Inf. Theory 17
    (1971), on the M algorithm.
    """
    return shortest(model, X, y, prior, width, seed).realise()[0]


def shortest(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    width: int = 2048,
    seed: int = 0,
) -> Found:
    """The shortest of the messages with a few budgets."""
    if not isinstance(prior, Gaussian) or prior.loc != 0.0:
        raise PriorError(f"relative_entropy: expected a Gaussian prior at 0, got {prior}")
    model, X = shared(model, X)
    if not isinstance(model, FeedForward) or model.depth != 1:
        raise MdlError("relative_entropy: expected a feed-forward network without hidden layers")
    trials = Trials(model, X, y)
    coded: Any = trials.with_coded_free()
    prior, target = _fitted(Objective(coded, trials.inputs, np.asarray(y)), prior)
    budgets = _BUDGETS if target.bits > _CHEAP_BITS else _MANY_BUDGETS
    trees = dict.fromkeys(_tree(target, prior, budget, seed) for budget in budgets)
    candidates = [_message(trials, target, tree, width) for tree in trees]
    return min(candidates, key=lambda found: found.ideal().comparable.nats)


def _fitted(objective: Objective, prior: Gaussian) -> tuple[Gaussian, _Coordinates]:
    """An open scale is the one of 2^k and 3/2 2^k with the shortest expected length."""
    if prior.scale is not None:
        return prior, _Coordinates.of(objective, prior)
    rms = math.sqrt(float(np.mean(objective.vector**2))) if objective.size else 1.0
    tried: dict[int, _Coordinates] = {}

    def scale(place: int) -> Gaussian:
        return Gaussian(math.ldexp(1.5 if place % 2 else 1.0, place // 2))

    def nats(place: int) -> float:
        if place not in tried:
            tried[place] = _Coordinates.of(objective, scale(place))
        return tried[place].expected

    best = 2 * round(math.log2(max(rms, 1e-250)))
    while (closer := min((best, best - 1, best + 1), key=nats)) != best and len(tried) < _SCALES:
        best = closer
    return scale(best), tried[best]


@dataclass(frozen=True, eq=False)
class _Coordinates:
    """The data's length in the coordinates of a basis, and where data and prior leave them.

    ``bend`` is the mean curvature about the mode ``start``, ``mean_nats`` the mean length of the data: over a Gaussian
    posterior that has this curvature. Where classes are nearly separated, the curvature at the mode itself is far less.
    """

    objective: Objective
    basis: Basis
    precision: float
    start: Array
    bend: Array
    mean_nats: float = 0.0

    @classmethod
    def of(cls, objective: Objective, prior: Gaussian) -> _Coordinates:
        """At a prior; a noise scale is that of the residuals at the mode."""
        likelihood, units = objective.model.likelihood, objective.model.weights[_WEIGHT].shape[1]
        if isinstance(likelihood, likelihoods.Gaussian):
            predictions = objective.model_at(mode(objective, prior.parameters[0] ** -2)).predict(objective.X)
            noise = replace(likelihood, scale=None).fit(predictions, objective.targets).scale
            objective = objective.with_noise(noise or 1.0)
        basis = Basis.of(objective.X, units, isinstance(likelihood, likelihoods.Categorical))
        empty = cls(objective, basis, prior.parameters[0] ** -2, np.empty(0), np.empty((0, 0)))
        start, _, bend = empty.around(np.zeros(basis.eigenvalues.size), 0)
        if isinstance(likelihood, likelihoods.Gaussian):  # its curvature is the same everywhere
            covariance = linalg.inv(empty._posterior(bend, 0)) if len(bend) else bend
            return replace(
                empty, start=start, bend=bend, mean_nats=empty.nats(start) + 0.5 * float(np.sum(covariance * bend))
            )
        return empty._averaged(start, bend)

    def _averaged(self, start: Array, bend: Array) -> _Coordinates:
        """``bend`` and ``mean_nats`` by a few samples of the posterior, which change it in turn."""
        normals = np.random.default_rng(0).standard_normal((_SAMPLES // 2, len(start)))
        normals, nats = np.concatenate([normals, -normals]), 0.0
        for _ in range(_ROUNDS if len(start) else 0):
            root = linalg.cholesky(self._posterior(bend, 0), lower=False)
            samples = start + linalg.solve_triangular(root, normals.T).T
            nats = float(np.mean([self.nats(z) for z in samples]))
            bend = 0.5 * (bend + np.mean([self.curve(z) for z in samples], axis=0))
        return replace(self, start=start, bend=bend, mean_nats=nats)

    @property
    def bits(self) -> float:
        """KL of the posterior from the prior, bits."""
        return float(_divergence(self).sum()) / LN2

    @property
    def expected(self) -> float:
        """About the length of a sample of the posterior and of the data under it, nats."""
        return self.mean_nats + self.bits * LN2

    def nats(self, z: Array) -> float:
        return self.objective.nats(self.basis.weights(z).ravel())

    def slope(self, z: Array) -> Array:
        return self.basis.pull(self.objective.gradient(self.basis.weights(z).ravel()))

    def curve(self, z: Array) -> Array:
        model = self.objective.model_at(self.basis.weights(z).ravel())
        root = self.objective.link.root(model.predict(self.objective.X).reshape(len(self.objective.X), -1))
        contrasted = np.einsum("uc,nuk->nck", self.basis.contrasts, root, optimize=True)
        return outer_sum(self.objective.X @ self.basis.vectors, contrasted @ contrasted.swapaxes(1, 2))

    def around(self, z: Array, first: int) -> tuple[Array, Array, Array]:
        """Laplace's model: at the mode of what follows ``first``."""
        z = self._settled(z.copy(), first)
        return z, self.slope(z), self.curve(z)

    def _posterior(self, bend: Array, first: int) -> Array:
        return bend[first:, first:] + self.precision * np.eye(len(bend) - first)

    def _newton(self, z: Array, slope: Array, bend: Array, first: int) -> Array:
        step: Array = linalg.solve(
            self._posterior(bend, first), slope[first:] + self.precision * z[first:], assume_a="pos"
        )
        return step

    def _settled(self, z: Array, first: int) -> Array:
        """The mode given the entries before ``first``, by Newton's method with halved steps."""

        def value(at: Array) -> float:
            return self.nats(at) + 0.5 * self.precision * float(at[first:] @ at[first:])

        here = value(z)
        steps = (_FIRST_STEPS if not first else _LATER_STEPS) if first < len(z) else 0
        for _ in range(steps):
            step = self._newton(z, self.slope(z), self.curve(z), first)
            for halvings in range(8):
                moved = z.copy()
                moved[first:] -= step * 0.5**halvings
                if (there := value(moved)) < here:
                    break
            else:
                break
            z, gained, here = moved, here - there, there
            if gained < 1e-2:
                break
        return z


def _tree(target: _Coordinates, prior: Gaussian, budget: float, seed: int) -> RandomTree:
    """As many bits as the posterior's divergence from the prior, in the order that it needs them."""
    needs = _divergence(target)
    steps = round((budget * float(needs.sum()) / LN2 + LEAD_BITS) / BRANCH_BITS)
    steps = int(np.clip(steps, LEAD_BITS // BRANCH_BITS, MAX_STEPS))
    share = np.cumsum(needs) / max(float(needs.sum()), 1e-300)
    eigenvalues = target.basis.eigenvalues

    def lag(schedule: tuple[int, int]) -> float:
        off = np.abs(shares(eigenvalues, prior, *schedule) - share).max(initial=0.0)
        told = sum(integer_bits(number).size for number in schedule)
        return float(off) * steps * BRANCH_BITS + told  # a bit late or early costs about a bit

    centre = _octave(target)
    octave, eighths = min(itertools.product(range(centre - 3, centre + 4), range(-5, 5)), key=lag)
    contrasts = int(isinstance(target.objective.model.likelihood, likelihoods.Categorical))
    return RandomTree(prior, steps, octave, eighths, contrasts, seed)


def _octave(target: _Coordinates) -> int:
    """Of the typical curvature of the data's length in a prediction; 0 for classes, which it is near."""
    if isinstance(target.objective.model.likelihood, likelihoods.Bernoulli | likelihoods.Categorical):
        return 0
    eigenvalues = target.basis.eigenvalues
    typical = float(eigenvalues @ np.diag(target.bend)) / max(float(eigenvalues @ eigenvalues), 1e-300)
    return round(math.log2(max(typical, 1e-250))) + 6


def _divergence(target: _Coordinates) -> Array:
    """KL of the posterior from the prior, nats, coordinate by coordinate given those before."""
    precision = target.precision
    covariance = linalg.inv(target.bend + precision * np.eye(len(target.bend))) if len(target.bend) else target.bend
    root = linalg.cholesky(0.5 * (covariance + covariance.T), lower=True) if len(covariance) else covariance
    spread = np.square(root).sum(axis=1)
    terms: Array = 0.5 * (precision * (spread + target.start**2) - 1.0 - np.log(precision * np.diag(root) ** 2))
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
