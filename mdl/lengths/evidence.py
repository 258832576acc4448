"""Evidence: the one-part Bayesian code -ln ∫ p(y | X, w) p(w) dw, exact for ridge, by Laplace's method otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

from mdl import likelihoods
from mdl.codes.describe import charged
from mdl.codes.numbers import round_real
from mdl.curvature import MAX_DENSE, Objective, mode
from mdl.errors import DataError, MdlError, PriorError
from mdl.length import LN2, CodeLength
from mdl.masses import Array
from mdl.models import Model, checked_inputs, shared
from mdl.priors import Gaussian
from mdl.trials import with_coded_free

#: How the curvature is held: one of them, or ``"auto"``: full up to 3,000 weights, Kronecker-factored beyond.
Curvature = Literal["auto", "full", "kronecker", "diagonal"]

_BELOW, _ABOVE = 6.0, 4.0  # nats either way of its start that a scale is searched
_NOISE_BITS = 8  # significant bits of a noise scale, as where a likelihood is fitted


class Terms(NamedTuple):
    """Two parts of an evidence, nats. Vectorised over strengths where the scales are."""

    weights: Any
    data: Any


#: The evidence at a prior's scale and a noise scale (1 for likelihoods without noise).
_At = Callable[[float, float], Terms]


def evidence(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    *,
    curvature: Curvature = "auto",
) -> CodeLength:
    """-ln ∫ p(y | X, w) p(w) dw under a Gaussian prior, and what a reader must be told to compute it.

    With H the curvature of -ln p(y | X, w) at the mode w* and s, m the prior's scale and loc, the evidence is
    -ln p(y | X, w*) + ‖w* - m‖²/2s² + ½ ln det(I + s²H). The first term is the part ``data``, the others, which are
    never negative, are ``weights``.

    - Linear under Gaussian noise (ridge): exact, up to the density that stands for a cell's mass.
    - Linear otherwise (logistic, softmax, Poisson regression): Laplace's method, the mode found anew under this prior.
    - With hidden layers: Laplace's method at the weights as trained, with the generalised Gauss-Newton matrix; not
      the integral over all modes, and only as good as the weights are stationary under this prior.

    Parameters
    ----------
    model
        A feed-forward network, what :func:`mdl.wrap` returns.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets.
    prior
        Over the penalised weights. An open scale is the one with the least evidence, rounded to the precision that is
        worth its bits, and charged; a given one is charged in full.
    curvature
        ``"full"``, ``"kronecker"`` or ``"diagonal"``; ``"auto"`` is full up to 3,000 weights.

    Returns
    -------
    CodeLength
        Ideal. ``weights``, ``data``; ``intercepts`` with ``quantizer``, the free tensors as a two-part code has them,
        since no prior speaks about them; ``prior``; ``likelihood``, where an open noise scale is chosen like the
        prior's and told in 8 significant bits; ``choice``, which families they are.

    Raises
    ------
    MdlError
        If the prior is not Gaussian, the model no feed-forward network, or a dense curvature too large.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> length = evidence(wrap(LogisticRegression().fit(x, x[:, 0] > 0.3)), x, x[:, 0] > 0.3)
    >>> sorted(name for name, _ in length.parts)
    ['choice', 'data', 'intercepts', 'prior', 'quantizer', 'weights']
    >>> length.part("weights") + length.part("data") < 40 * LN2
    True

    References
    ----------
    D. MacKay, A practical Bayesian framework for backpropagation networks, Neural Computation 4 (1992).
    A. Immer et al., Scalable marginal likelihood estimation for model selection in deep learning (2021).
    """
    if not isinstance(prior, Gaussian):
        raise PriorError(f"evidence: expected a Gaussian prior, got {type(prior).__name__}")
    if curvature not in ("auto", "full", "kronecker", "diagonal"):
        raise MdlError(f"curvature: expected auto, full, kronecker or diagonal, got {curvature!r}")
    model, X = shared(model, X)
    rounded, told = with_coded_free(model, X, y)
    objective = Objective(rounded, np.asarray(X), np.asarray(y))
    at = _evidence_of(objective, prior.loc, curvature)
    noisy = _noisy(objective)
    scale, noise = _least(at, objective, prior, open_noise=noisy is not None and noisy != rounded.likelihood)
    likelihood = replace(noisy, scale=noise) if noisy else rounded.likelihood
    closed = prior if prior.scale is not None else _worth_its_bits(prior, scale, lambda s: sum(at(s, noise)))
    weights, data = at(closed.parameters[0], noise)
    parts = (*told.parts, *charged(likelihood), *charged(closed), ("weights", weights), ("data", data))
    return CodeLength(parts)


def _noisy(objective: Objective) -> likelihoods.Gaussian | None:
    """The likelihood if it has a noise scale."""
    likelihood = objective.model.likelihood
    return likelihood if isinstance(likelihood, likelihoods.Gaussian) else None


# --- the evidence as a function of the scales -------------------------------------------------------------------------


def _evidence_of(objective: Objective, loc: float, curvature: Curvature) -> _At:
    if curvature == "auto":
        curvature = "full" if objective.size <= MAX_DENSE else "kronecker"
    noisy = _noisy(objective)
    if objective.linear and noisy and curvature == "full":
        residual = objective.targets - objective.model_at(np.full(objective.size, loc)).predict(objective.X)
        spectrum = _Spectrum.of(objective.X, residual, noisy.precision)
        return lambda scale, noise: spectrum.terms((noise / scale) ** 2, noise)
    if objective.linear:
        return _AtMode(objective, loc, curvature)
    return _as_trained(objective, loc, curvature)


@dataclass(frozen=True)
class _Spectrum:
    """Ridge in the basis of its inputs' singular vectors, where every strength is a sum over k <= min(n, d) numbers."""

    squares: Array  # (k,) squared singular values
    along: Array  # (k,) squared targets along the left singular vectors
    rest: float  # what of the targets' square is orthogonal to them all
    n: int
    precision: float

    @classmethod
    def of(cls, X: Array, targets: Array, precision: float) -> _Spectrum:
        U, singular, _ = linalg.svd(X, full_matrices=False)
        along = U.T @ targets
        return cls(singular**2, along**2, float(np.sum((targets - U @ along) ** 2)), len(X), precision)

    def penalised(self, alpha: Array) -> Array:
        """Least of ‖y - Xw‖² + alpha ‖w‖² over w, (...) for (...) alphas."""
        a = np.asarray(alpha, np.float64)[..., None]
        return self.rest + (self.along * a / (self.squares + a)).sum(axis=-1)

    def terms(self, alpha: ArrayLike, noise: ArrayLike) -> Terms:
        """At prior variance noise²/alpha."""
        a, t = np.asarray(alpha, np.float64), np.asarray(noise, np.float64)
        shrunk = a[..., None] / (self.squares + a[..., None])
        residual = self.rest + (self.along * shrunk**2).sum(axis=-1)
        penalty = (self.along * shrunk * (1.0 - shrunk)).sum(axis=-1)
        log_det = np.log1p(self.squares / a[..., None]).sum(axis=-1)
        density = self.n * np.log(t * math.sqrt(2.0 * math.pi) / self.precision)
        return Terms(0.5 * (penalty / t**2 + log_det), 0.5 * residual / t**2 + density)


class _AtMode:
    """A linear model: the mode under each prior, searched from the one before."""

    def __init__(self, objective: Objective, loc: float, curvature: Curvature) -> None:
        self._objective, self._loc, self._curvature = objective, loc, curvature
        self._w = objective.vector

    def __call__(self, scale: float, noise: float) -> Terms:
        objective = self._objective.with_noise(noise) if _noisy(self._objective) else self._objective
        self._w = mode(objective, scale**-2, self._loc, self._w)
        bend = _eigenvalues(objective, self._w, self._curvature)
        return Terms(_of_weights(self._w - self._loc, bend, scale), objective.nats(self._w))


def _as_trained(objective: Objective, loc: float, curvature: Curvature) -> _At:
    """A network with hidden layers at its own weights, where a noise scale only stretches what is computed once."""
    w, noisy = objective.vector, _noisy(objective)
    bend, nats = _eigenvalues(objective, w, curvature), objective.nats(w)
    if noisy is None:
        return lambda scale, noise: Terms(_of_weights(w - loc, bend, scale), nats)
    unit = noisy.scale or 1.0
    n = len(objective.X)
    flat = n * math.log(unit * math.sqrt(2.0 * math.pi) / noisy.precision)

    def at(scale: float, noise: float) -> Terms:
        ratio = (unit / noise) ** 2
        data = (nats - flat) * ratio + flat - 0.5 * n * math.log(ratio)
        return Terms(_of_weights(w - loc, bend * ratio, scale), data)

    return at


def _of_weights(deviation: Array, bend: Array, scale: float) -> float:
    return 0.5 * float(deviation @ deviation) / scale**2 + 0.5 * float(np.log1p(scale**2 * bend).sum())


def _eigenvalues(objective: Objective, w: Array, curvature: Curvature) -> Array:
    """Of the curvature of the data's length at w, (d,), >= 0."""
    if curvature == "full":
        return np.maximum(linalg.eigvalsh(objective.ggn(w)), 0.0) if objective.size else np.empty(0)
    if curvature == "diagonal":
        return objective.ggn_diagonal(w)
    pairs = ((linalg.eigvalsh(A), linalg.eigvalsh(B)) for A, B in objective.kronecker(w).values())
    return np.maximum(np.concatenate([np.empty(0), *(np.outer(a, b).ravel() for a, b in pairs)]), 0.0)


# --- open scales ------------------------------------------------------------------------------------------------------


def _least(at: _At, objective: Objective, prior: Gaussian, open_noise: bool) -> tuple[float, float]:
    """The prior's and the noise scale, those that are open where the evidence is least."""
    deviation, noisy = objective.vector - prior.loc, _noisy(objective)
    spread = math.sqrt(float(np.mean(deviation**2))) if deviation.size else 0.0
    given = np.log([prior.scale or spread or 1.0, (noisy and noisy.scale) or 1.0])
    floor = 0.5 * noisy.precision if noisy else 0.0
    opened = np.flatnonzero([prior.scale is None, open_noise])

    def scales(logs: ArrayLike) -> tuple[float, float]:
        both = given.copy()
        both[opened] = logs
        return math.exp(both[0]), max(math.exp(both[1]), floor)

    def nats(logs: ArrayLike) -> float:
        return sum(at(*scales(logs)))

    if not opened.size:
        return prior.parameters[0], (noisy and noisy.scale) or 1.0
    if opened.size == 1:
        span = (given[opened[0]] - _BELOW, given[opened[0]] + _ABOVE)
        found = optimize.minimize_scalar(nats, bounds=span, method="bounded", options={"xatol": 3e-3}).x
    else:
        simplex = given + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.5]])
        options = {"xatol": 1e-3, "fatol": 1e-4, "initial_simplex": simplex}
        found = optimize.minimize(nats, given, method="Nelder-Mead", options=options).x
    scale, noise = scales(found)
    kept = (noisy and noisy.scale) or 1.0
    return prior.scale or scale, max(round_real(noise, _NOISE_BITS), floor) if open_noise else kept


def _worth_its_bits(prior: Gaussian, scale: float, nats: Callable[[float], float]) -> Gaussian:
    """The prior with its scale rounded where description and evidence together are shortest."""
    best, shortest = prior, math.inf
    for significant in range(1, 25):
        candidate = replace(prior, scale=round_real(scale, significant))
        length = nats(candidate.parameters[0]) + sum(nats for _, nats in charged(candidate))
        if length < shortest:
            best, shortest = candidate, length
        elif length > shortest + LN2:  # one bit more told at every further step, and less and less gained
            break
    return best


# --- ridge, every strength at once ------------------------------------------------------------------------------------


class RidgeEvidence(NamedTuple):
    """What :func:`ridge_evidence` returns, one entry a strength."""

    nats: Array
    noise: Array


def ridge_evidence(
    X: ArrayLike, y: ArrayLike, alphas: ArrayLike, *, noise: ArrayLike | None = None, precision: float = 1.0
) -> RidgeEvidence:
    """Evidence of ridge regression at every strength from one singular value decomposition.

    The strength is scikit-learn's ``Ridge(alpha=)``: noise variance s², prior variance s²/alpha. The mean NLL's
    strength λ is alpha/(n s²).

    Parameters
    ----------
    X, y
        (n, features) and (n,), both centred where an intercept is free.
    alphas
        (k,) strengths > 0.
    noise
        Noise scales s, one or (k,); by default the best for each strength, s² = min (‖y - Xw‖² + alpha ‖w‖²)/n.
    precision
        To which targets are stated.

    Returns
    -------
    RidgeEvidence
        ``nats`` (k,), the sum of weights and data, and ``noise`` (k,).

    Raises
    ------
    DataError
        If shapes disagree or a number is out of range.

    Examples
    --------
    >>> X, y = np.eye(2), np.array([1.0, -1.0])
    >>> ridge_evidence(X, y, [1.0], noise=1.0).nats.round(6).tolist()  # y ~ N(0, 2 I)
    [3.031024]

    References
    ----------
    D. MacKay, Bayesian interpolation, Neural Computation 4 (1992).
    """
    inputs, targets, strengths = checked_inputs(X), np.asarray(y, np.float64), np.asarray(alphas, np.float64)
    if targets.shape != inputs.shape[:1] or not np.isfinite(targets).all():
        raise DataError(f"y: expected ({len(inputs)},) finite numbers, got shape {targets.shape}")
    given = np.ones(1) if noise is None else np.asarray(noise, np.float64)
    for name, value in {"alphas": strengths, "noise": given, "precision": np.asarray(precision)}.items():
        if not (np.isfinite(value).all() and (value > 0.0).all()):
            raise DataError(f"{name}: expected finite numbers > 0, got {value}")
    spectrum = _Spectrum.of(inputs, targets, precision)
    best = np.sqrt(spectrum.penalised(strengths) / len(inputs))
    scales = best if noise is None else np.broadcast_to(given, strengths.shape)
    return RidgeEvidence(np.asarray(sum(spectrum.terms(strengths, scales))), scales)
