"""The Gaussian over the penalised weights under which data and prior together are shortest."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from scipy import linalg, optimize, special

from mdl import likelihoods
from mdl.curvature.expected import Curved, expected_curvature, expected_nats
from mdl.curvature.modes import mode
from mdl.curvature.objective import Objective
from mdl.errors import MdlError
from mdl.masses import Array
from mdl.priors import Gaussian, Mixture

Covariance = Literal["diagonal", "low-rank", "full"]

#: Most weights for which a full covariance is searched.
MAX_FULL = 2000

_BELOW, _ABOVE = 6.0, 4.0  # nats either way of its start that the scale of a full covariance's prior is searched
_GAIN = 1e-7  # nats that a step of a full covariance's search must gain


class Gauss(NamedTuple):
    """N(mean, diag(scale²) + factor factorᵀ), and what was open and chosen with it."""

    mean: Array  # (d,)
    scale: Array  # (d,)
    factor: Array  # (d, r)
    log_det: float  # of the covariance
    parameters: Array  # (3, K) of the prior: logits, locs, ln scales
    noise: float  # the scale of a Gaussian likelihood; 1 for others

    @property
    def variance(self) -> Array:
        """Diagonal of the covariance, (d,)."""
        return self.scale**2 + (self.factor**2).sum(axis=1)

    def kl(self, prior: Gaussian | Mixture) -> float:
        """KL from a prior without open parameters, nats, as :class:`Cross` has it."""
        return max(
            0.0, cross(_parameters(prior), self.mean, self.variance).nats - _entropy(self.mean.size, self.log_det)
        )


class Cross(NamedTuple):
    """Σ_j -ln Σ_k π_k exp(E_q ln N(w_j; m_k, s_k)), nats, and its derivatives.

    E_q[-ln p(w)] itself for one component; at least that for more (Jensen), and what bits-back coding of the component
    attains.
    """

    nats: float
    mean: Array  # (d,)
    variance: Array  # (d,)
    parameters: Array  # (3, K)


def cross(parameters: Array, mean: Array, variance: Array) -> Cross:
    """For a prior of (3, K) logits, locs and ln scales, and a q with (d,) means and variances."""
    logits, locs, logs = parameters[:, :, None]
    precision, away = np.exp(-2.0 * logs), mean - locs
    square = precision * (away**2 + variance)
    terms = special.log_softmax(logits, axis=0) - logs - 0.5 * math.log(2.0 * math.pi) - 0.5 * square
    each = special.logsumexp(terms, axis=0)
    shares = np.exp(terms - each)
    pulled = shares * precision * away
    of_logits = special.softmax(logits[:, 0]) * mean.size - shares.sum(axis=1)
    of_parameters = np.stack([of_logits, -pulled.sum(axis=1), (shares * (1.0 - square)).sum(axis=1)])
    return Cross(-float(each.sum()), pulled.sum(axis=0), 0.5 * (shares * precision).sum(axis=0), of_parameters)


def _parameters(prior: Gaussian | Mixture) -> Array:
    if isinstance(prior, Gaussian):
        return np.array([[0.0], [prior.loc], [math.log(prior.parameters[0])]])
    weights, locs, scales = np.array(prior.parameters).reshape(3, prior.components)
    return np.stack([np.log(weights), locs, np.log(scales)])


def prior_of(given: Gaussian | Mixture, parameters: Array) -> Gaussian | Mixture:
    """``given`` with its open parameters filled in from (3, K) logits, locs and ln scales."""
    if isinstance(given, Gaussian):
        return given if given.scale is not None else replace(given, scale=math.exp(parameters[2, 0]))
    if given.weights is not None:
        return given
    weights, locs, scales = np.maximum(special.softmax(parameters[0]), 2.0**-20), parameters[1], np.exp(parameters[2])
    return replace(given, weights=tuple(weights.tolist()), locs=tuple(locs.tolist()), scales=tuple(scales.tolist()))


def _entropy(d: int, log_det: float) -> float:
    return 0.5 * (d * (1.0 + math.log(2.0 * math.pi)) + log_det)


class Search:
    """The problem, where its search starts, and which parameters of prior and noise are open.

    Parameters
    ----------
    objective
        The data's length; for an open noise scale, with the noise to start from.
    prior
        Gaussian or a mixture of Gaussians.
    open_noise
        Whether the noise scale of a Gaussian likelihood is searched, down to half the targets' precision.
    samples, seed
        See :func:`mdl.curvature.expected_nats`.
    """

    def __init__(
        self, objective: Objective, prior: Gaussian | Mixture, *, open_noise: bool = False, samples: int, seed: int
    ) -> None:
        self.objective, self.open_noise, self.samples, self.seed = objective, open_noise, samples, seed
        likelihood = objective.model.likelihood
        gaussian = likelihood if isinstance(likelihood, likelihoods.Gaussian) else None
        self.noise, self.precision = (gaussian.scale or 1.0, gaussian.precision) if gaussian else (1.0, 1.0)
        w = objective.vector
        seen = w if w.any() else np.array([-1.0, 1.0])  # a model of zeros tells no scale
        loc = prior.loc if isinstance(prior, Gaussian) else 0.0
        spread = math.sqrt(float(np.mean((seen - loc) ** 2))) or 1.0
        k = prior.components if isinstance(prior, Mixture) else 1
        octaves = np.linspace(-2.0, 2.0, k) if k > 1 else np.zeros(1)
        start = np.stack([np.zeros(k), np.full(k, loc), math.log(spread) + octaves * math.log(2.0)])
        self.parameters = _parameters(prior_of(prior, start))
        self.opened = np.zeros((3, k), bool)
        if prior_of(prior, start) != prior:
            self.opened[2 if isinstance(prior, Gaussian) else slice(None)] = True
        self.mean = self._mode() if objective.linear else w

    def _mode(self) -> Array:
        """Under the Gaussian that has the prior's mean and variance."""
        weights, locs, scales = special.softmax(self.parameters[0]), self.parameters[1], np.exp(self.parameters[2])
        loc = float(weights @ locs)
        return mode(self.objective, 1.0 / float(weights @ (scales**2 + (locs - loc) ** 2)), loc)

    def at_noise(self, noise: float) -> Objective:
        """The objective under another noise scale."""
        return self.objective if noise == self.noise else self.objective.with_noise(noise)

    def misfit(self, nats: float, noise: float) -> float:
        """Half the expected squared residuals, in units of the noise, from the data's expected length."""
        return nats - len(self.objective.X) * math.log(noise * math.sqrt(2.0 * math.pi) / self.precision)

    def run(self, covariance: Covariance, rank: int, start: Gauss | None = None) -> Gauss:
        """The best q of this kind, searched from ``start``; MdlError if a full covariance would be too large."""
        if start is not None:
            self.mean, self.parameters = start.mean, np.where(self.opened, start.parameters, self.parameters)
        if covariance != "full":
            return _Factored(self, rank if covariance == "low-rank" else 0, start).run()
        if self.objective.size > MAX_FULL:
            raise MdlError(
                f"a full covariance: expected at most {MAX_FULL} weights, got {self.objective.size}; "
                "use diagonal or low-rank"
            )
        return _full(self, start)


# --- a diagonal and a few directions ----------------------------------------------------------------------------------


class _Factored:
    """Searched by L-BFGS, in units of a first guess at the posterior's scales."""

    def __init__(self, search: Search, rank: int, start: Gauss | None) -> None:
        self.search, self.rank, self.d = search, rank, search.objective.size
        # at no direction at all the slope in them is zero
        self.directions = 0.1 * np.random.default_rng(search.seed).standard_normal((self.d, rank))
        if start is None:
            prior = cross(search.parameters, search.mean, np.zeros(self.d))
            self.unit = (search.objective.ggn_diagonal(search.mean) + 2.0 * prior.variance) ** -0.5
            return
        self.unit = start.scale
        if start.factor.shape[1] == rank:
            self.directions = start.factor / start.scale[:, None]

    def unpack(self, theta: Array) -> Gauss:
        """Means, ln scales and directions in these units; then what is open."""
        d, rank, search = self.d, self.rank, self.search
        mean, logs, directions, opened, noise = np.split(
            theta, np.cumsum([d, d, d * rank, search.opened.sum()]).astype(int)
        )
        scale, factor = self.unit * np.exp(logs), self.unit[:, None] * directions.reshape(d, rank)
        parameters = search.parameters.copy()
        parameters[search.opened] += opened
        inner = np.eye(rank) + (factor.T / scale**2) @ factor
        log_det = 2.0 * float(np.log(scale).sum()) + float(np.linalg.slogdet(inner)[1])
        at = max(search.noise * math.exp(noise[0]), 0.5 * search.precision) if search.open_noise else search.noise
        return Gauss(search.mean + self.unit * mean, scale, factor, log_det, parameters, at)

    def value(self, theta: Array) -> tuple[float, Array]:
        """The length and its derivatives."""
        search, q = self.search, self.unpack(theta)
        data = expected_nats(
            search.at_noise(q.noise), q.mean, q.scale, q.factor, samples=search.samples, seed=search.seed
        )
        prior = cross(q.parameters, q.mean, q.variance)
        along = q.factor / q.scale[:, None] ** 2
        solved = np.linalg.solve(np.eye(self.rank) + q.factor.T @ along, along.T).T  # Σ⁻¹ factor
        inverse = q.scale**-2 - (solved * along).sum(axis=1)  # diagonal of Σ⁻¹
        of_scale = data.scale + q.scale * (2.0 * prior.variance - inverse)
        of_factor = data.factor + 2.0 * prior.variance[:, None] * q.factor - solved
        slopes = [self.unit * (data.mean + prior.mean), q.scale * of_scale, (self.unit[:, None] * of_factor).ravel()]
        slopes.append(prior.parameters[search.opened])
        if search.open_noise:
            held = q.noise == 0.5 * search.precision
            slopes.append(
                np.array([0.0 if held else len(search.objective.X) - 2.0 * search.misfit(data.nats, q.noise)])
            )
        return data.nats + prior.nats - _entropy(self.d, q.log_det), np.concatenate(slopes)

    def run(self) -> Gauss:
        """From the start."""
        rest = np.zeros(int(self.search.opened.sum()) + self.search.open_noise)
        start = np.concatenate([np.zeros(2 * self.d), self.directions.ravel(), rest])
        options = {"maxiter": 2000, "maxfun": 4000, "maxcor": 20, "ftol": 1e-11, "gtol": 1e-6}
        if start.size:
            start = optimize.minimize(self.value, start, jac=True, method="L-BFGS-B", options=options).x
        return self.unpack(start)


# --- any covariance ---------------------------------------------------------------------------------------------------


class _State(NamedTuple):
    """A q with its precision Λ, and the derivatives there."""

    mean: Array
    precision: Array
    covariance: Array
    log_det: float
    noise: float
    data: Curved
    prior: Cross
    nats: float


def _state(search: Search, parameters: Array, noise: float, mean: Array, precision: Array) -> _State:
    d, root = mean.size, linalg.cholesky(precision, lower=True)
    covariance = linalg.cho_solve((root, True), np.eye(d))
    log_det = -2.0 * float(np.log(np.diag(root)).sum())
    data = expected_curvature(
        search.at_noise(noise), mean, 0.5 * (covariance + covariance.T), samples=search.samples, seed=search.seed
    )
    prior = cross(parameters, mean, np.diag(covariance))
    nats = data.nats + prior.nats - _entropy(d, log_det)
    return _State(mean, precision, covariance, log_det, noise, data, prior, nats)


def _natural(search: Search, parameters: Array, here: _State) -> _State:
    """The noise scale and natural-gradient steps in turn until they gain no more.

    At the optimum Λ is the expected curvature plus the prior's precision. A whole step is a Newton step, exact for
    ridge; one that does not gain is halved.
    """
    for _ in range(200):
        before = here.nats
        if search.open_noise:
            square = 2.0 * search.misfit(here.data.nats, here.noise) / len(search.objective.X)
            noise = max(here.noise * math.sqrt(square), 0.5 * search.precision)
            here = _state(search, parameters, noise, here.mean, here.precision)
        here = _stepped(search, parameters, here)
        if here.nats > before - _GAIN:
            break
    return here


def _stepped(search: Search, parameters: Array, here: _State) -> _State:
    bend = here.data.curvature + np.diag(2.0 * here.prior.variance)
    slope, size = here.data.mean + here.prior.mean, 1.0
    while size > 0.01:
        precision = (1.0 - size) * here.precision + size * bend
        step = linalg.solve(precision, slope, assume_a="pos")
        there = _state(search, parameters, here.noise, here.mean - size * step, precision)
        if there.nats < here.nats:
            return there
        size *= 0.5
    return here


def _full(search: Search, start: Gauss | None) -> Gauss:
    """An open scale of the prior is searched about the search for q."""
    below, above = (_BELOW, _ABOVE) if start is None else (1.0, 1.0)
    first = cross(search.parameters, search.mean, np.zeros_like(search.mean))
    if start is None:
        bend = search.objective.ggn(search.mean) + np.diag(2.0 * first.variance)
    else:
        bend = linalg.cho_solve((start.factor, True), np.eye(search.mean.size))
    latest = _state(search, search.parameters, search.noise, search.mean, bend)

    def at(log_scale: float) -> _State:
        nonlocal latest
        parameters = np.where(search.opened, log_scale, search.parameters)
        latest = _natural(search, parameters, _state(search, parameters, latest.noise, latest.mean, latest.precision))
        return latest

    parameters = search.parameters
    if search.opened.any():
        origin = float(search.parameters[2, 0])
        best = optimize.minimize_scalar(
            lambda x: at(x).nats, bounds=(origin - below, origin + above), method="bounded", options={"xatol": 1e-2}
        ).x
        parameters = np.where(search.opened, best, parameters)
    found = at(float(parameters[2, 0]))
    factor = linalg.cholesky(found.covariance, lower=True)
    return Gauss(found.mean, np.zeros_like(found.mean), factor, found.log_det, parameters, found.noise)
