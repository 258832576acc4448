"""Variational code: E_q[-ln p(y | X, w)] + KL(q ‖ p) under the Gaussian q that makes it shortest (bits back)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from mdl import likelihoods
from mdl.codes.describe import charged
from mdl.codes.numbers import round_real
from mdl.curvature import Objective, expected_curvature, expected_nats
from mdl.curvature.posterior import Covariance, Gauss, Search, prior_of
from mdl.errors import MdlError, PriorError
from mdl.length import CodeLength
from mdl.masses import Array
from mdl.models import FeedForward, Model, shared
from mdl.priors import Gaussian, Mixture
from mdl.trials import with_coded_free

_BATCHES, _FEWEST = 16, 16  # of draws that no search has seen measure what it found; of at least so many each
_OPTIMISM = 0.5  # nats that the data may be longer under fresh draws than the search saw before it is given more
_NOISE_BITS = 8  # significant bits of a noise scale, as where a likelihood is fitted


@dataclass(frozen=True, eq=False)
class Posterior:
    """A Gaussian over the penalised weights, N(mean, diag(scale²) + factor factorᵀ), and what it costs.

    Parameters
    ----------
    q
        The Gaussian itself, weights in the order of :class:`mdl.curvature.Objective`.
    prior
        Without open parameters.
    model
        Weights at the mean, free tensors as a reader gets them, the noise scale told.
    told
        The length of everything but weights and data.
    kl, data
        Nats: the parts ``weights`` and ``data``.
    seen, error
        Nats: the data's length under the draws that the search saw, and the standard error of ``data``; where the
        expectation is exact, ``data`` and 0.
    draws
        How many of them an example.
    """

    q: Gauss
    prior: Gaussian | Mixture
    model: FeedForward
    told: CodeLength
    kl: float
    data: float
    seen: float
    error: float
    draws: int

    @property
    def mean(self) -> Array:
        """(d,)."""
        return self.q.mean

    @property
    def scale(self) -> Array:
        """(d,); 0 for a full covariance."""
        return self.q.scale

    @property
    def factor(self) -> Array:
        """(d, r); lower triangular for a full covariance, no columns for a diagonal."""
        return self.q.factor

    @property
    def covariance(self) -> Array:
        """(d, d)."""
        return np.diag(self.scale**2) + self.factor @ self.factor.T

    @property
    def length(self) -> CodeLength:
        """All parts, ideal."""
        return self.told + CodeLength((("weights", self.kl), ("data", self.data)))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """(count, d) weights."""
        d, r = self.factor.shape
        own, common = rng.standard_normal((count, d)), rng.standard_normal((count, r))
        return self.mean + self.scale * own + common @ self.factor.T


def variational(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian | Mixture = Gaussian(),  # noqa: B008
    *,
    covariance: Covariance = "diagonal",
    rank: int = 4,
    samples: int = 8,
    seed: int = 0,
) -> CodeLength:
    """E_q[-ln p(y | X, w)] + KL(q ‖ p), the bits-back code, under the Gaussian q that makes it shortest.

    An upper bound of the evidence; for ridge with a full covariance the evidence itself. A search for q starts from
    the model's weights (linear: from the mode). The expectation is exact for ridge, logistic and Poisson regression.
    For softmax and networks the search sees a few fixed draws an example, and what it found is measured with draws of
    its own; if it is longer than the search saw, the search has fitted its draws, and starts again with four and
    sixteen times as many. ``variational_posterior`` tells the standard error.

    Parameters
    ----------
    model
        A feed-forward network, what :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets.
    prior
        Over the penalised weights. Open parameters are optimised with q, rounded to the precision that is worth its
        bits, and charged; given ones are charged in full. A mixture is charged as Hinton  van Camp do: a weight
        costs -ln Σ π_k exp(-KL(q ‖ N_k)), which bits-back coding of the component attains and is at least KL(q ‖ p).
    covariance
        Of q: ``"diagonal"``; ``"low-rank"``, a diagonal and ``rank`` directions where they pay; ``"full"``, up to 2,000
        weights.
    rank
        Directions of a low-rank covariance, >= 1.
    samples, seed
        Draws an example that the search sees at first, where it needs any, and the seed of all draws.

    Returns
    -------
    CodeLength
        Ideal. ``weights`` is the KL, ``data`` the expectation; ``intercepts`` with ``quantizer``, the free tensors as
        a two-part code has them; ``prior``, ``likelihood`` and ``choice``.

    Raises
    ------
    MdlError
        If the model, the prior or the covariance is of another kind, or a full covariance too large.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> length = variational(wrap(LogisticRegression().fit(x, x[:, 0] > 0.3)), x, x[:, 0] > 0.3)
    >>> sorted(name for name, _ in length.parts)
    ['choice', 'data', 'intercepts', 'prior', 'quantizer', 'weights']

    References
    ----------
    G. Hinton  D. van Camp, Keeping neural networks simple by minimizing the description length of the weights (1993).
    A. Graves, Practical variational inference for neural networks (2011).
    """
    found = variational_posterior(model, X, y, prior, covariance=covariance, rank=rank, samples=samples, seed=seed)
    return found.length


def variational_posterior(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian | Mixture = Gaussian(),  # noqa: B008
    *,
    covariance: Covariance = "diagonal",
    rank: int = 4,
    samples: int = 8,
    seed: int = 0,
) -> Posterior:
    """The Gaussian that :func:`variational` finds, with its length. Parameters as there.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> found = variational_posterior(wrap(Ridge().fit(x, np.rint(3 * x[:, 0]))), x, np.rint(3 * x[:, 0]))
    >>> found.mean.shape, found.covariance.shape, found.error
    ((1,), (1, 1), 0.0)
    """
    _check(prior, covariance, rank, samples)
    model, X = shared(model, X)
    rounded, told = with_coded_free(model, X, y)
    objective = Objective(rounded, np.asarray(X), np.asarray(y))

    def attempt(kind: Covariance, draws: int, start: Gauss | None) -> Posterior:
        search = Search(objective, prior, open_noise=_is_open(rounded), samples=draws, seed=seed)
        return _measured(search, search.run(kind, rank, start), told, prior)

    counts = [samples, 4 * samples, 16 * samples]
    first: Covariance = "diagonal" if covariance == "low-rank" else covariance
    best = _settled(functools.partial(attempt, first), counts)
    if covariance == "low-rank":  # directions are added to a diagonal
        best = _settled(functools.partial(attempt, covariance), counts[1:], best)
    kind: Covariance = "diagonal" if not best.factor.size else covariance

    def under(closed: Gaussian | Mixture) -> Posterior:
        told_noise = Objective(best.model, objective.X, objective.y)
        search = Search(told_noise, closed, samples=best.draws, seed=seed)
        return _measured(search, search.run(kind, rank, best.q), told, closed)

    return _coarsened(under, best, prior)


def _coarsened(
    under: Callable[[Gaussian | Mixture], Posterior], best: Posterior, given: Gaussian | Mixture
) -> Posterior:
    """The best with a q of its own for the prior as rounded, or rounded further, since q follows it."""
    if best.prior == given:
        return best
    coarser = [best.prior]
    for significant in range(24, 0, -1):
        closed = _rounded(best.prior, given, significant)
        coarser += [closed] if closed != coarser[-1] else []
    best = min(best, under(coarser[0]), key=lambda found: found.length.nats)
    for closed in coarser[1:]:
        found = under(closed)
        if not found.length < best.length:
            break
        best = found
    return best


def _settled(
    attempt: Callable[[int, Gauss | None], Posterior], counts: list[int], best: Posterior | None = None
) -> Posterior:
    """The best of attempts with more and more draws, until the data are as long as the search thought."""
    for draws in counts:
        found = attempt(draws, best.q if best else None)
        if best is None or found.length < best.length:
            best = found
        if found.data - found.seen <= max(_OPTIMISM, 3.0 * found.error):
            break
    return cast(Posterior, best)


def _measured(search: Search, q: Gauss, told: CodeLength, prior: Gaussian | Mixture) -> Posterior:
    """What a q costs, with everything rounded that is told."""
    objective, likelihood = search.objective, search.objective.model.likelihood
    if search.open_noise and isinstance(likelihood, likelihoods.Gaussian):
        objective = objective.with_noise(max(round_real(q.noise, _NOISE_BITS), 0.5 * likelihood.precision))
    closed = _worth_its_bits(prior, q)
    scales = CodeLength((*charged(objective.model.likelihood), *charged(closed)))
    seen = _data(objective, q, search.samples, search.seed)
    data, error = seen, 0.0
    if not objective.linear or objective.outputs > 1:
        count = max(search.samples, _FEWEST)
        fresh = [_data(objective, q, count, search.seed + k) for k in range(1, _BATCHES + 1)]
        data, error = float(np.mean(fresh)), float(np.std(fresh, ddof=1)) / math.sqrt(_BATCHES)
    return Posterior(
        q, closed, objective.model_at(q.mean), told + scales, q.kl(closed), data, seen, error, search.samples
    )


def _check(prior: object, covariance: str, rank: int, samples: int) -> None:
    if not isinstance(prior, Gaussian | Mixture):
        raise PriorError(f"variational: expected a Gaussian prior or a mixture, got {type(prior).__name__}")
    if covariance not in ("diagonal", "low-rank", "full"):
        raise MdlError(f"covariance: expected diagonal, low-rank or full, got {covariance!r}")
    if covariance == "full" and isinstance(prior, Mixture) and prior.weights is None:
        raise PriorError("variational: a full covariance takes a Gaussian prior or a mixture without open parameters")
    for name, value in {"rank": rank, "samples": samples}.items():
        if value < 1:
            raise MdlError(f"{name}: expected at least 1, got {value}")


def _is_open(model: FeedForward) -> bool:
    return isinstance(model.likelihood, likelihoods.Gaussian) and model.likelihood.scale is None


def _worth_its_bits(given: Gaussian | Mixture, q: Gauss) -> Gaussian | Mixture:
    """The prior with its open parameters rounded where their description and the KL together are shortest."""
    fitted = prior_of(given, q.parameters)
    if fitted == given:
        return given
    best, shortest = fitted, math.inf
    for significant in range(1, 25):
        candidate = _rounded(fitted, given, significant)
        length = q.kl(candidate) + sum(nats for _, nats in charged(candidate))
        if length < shortest:
            best, shortest = candidate, length
    return best


def _rounded(fitted: Gaussian | Mixture, given: Gaussian | Mixture, significant: int) -> Gaussian | Mixture:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(fitted):
        value = getattr(fitted, field.name)
        if getattr(given, field.name) is None:
            several = isinstance(value, tuple)
            changes[field.name] = (
                tuple(round_real(v, significant) for v in value) if several else round_real(value, significant)
            )
    return replace(fitted, **changes)


def _data(objective: Objective, q: Gauss, samples: int, seed: int) -> float:
    """E_q[-ln p(y | X, w)], exact or by these draws."""
    if q.scale.any() or not q.scale.size:
        return expected_nats(objective, q.mean, q.scale, q.factor, samples=samples, seed=seed).nats
    if objective.linear:
        return expected_curvature(objective, q.mean, q.factor @ q.factor.T, samples=samples, seed=seed).nats
    draws = np.random.default_rng(seed).standard_normal((samples, q.mean.size))
    return float(np.mean([objective.nats(q.mean + q.factor @ z) for z in draws]))
