"""Luckiness NML: normalised maximum likelihood with a prior's density as luckiness function; and MDL-COMP for ridge.

max_w p(y | w) π(w) divided by its sum over all y. Where the prior is Gaussian the code is defined for any number of
weights, and its complexity ½ ln det(I + s²H) falls as the prior's scale s does: it counts the weights that the prior
leaves free, not those that there are.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

from mdl import likelihoods
from mdl.codes.describe import charged
from mdl.codes.numbers import round_real
from mdl.curvature import Objective, mode
from mdl.errors import DataError, MdlError, PriorError
from mdl.length import CodeLength
from mdl.masses import Array
from mdl.models import FeedForward, Model, checked_inputs, shared
from mdl.priors import Gaussian
from mdl.trials import with_coded_free

_BELOW, _ABOVE = 6.0, 4.0  # nats either way of the weights' own spread that an open scale is searched
_DIGITS = range(1, 13)  # significant bits of a scale that may be worth telling


class Terms(NamedTuple):
    """The three terms of a luckiness NML, nats, an entry a scale or strength.

    ``penalty`` is -ln of the luckiness beside its peak, ``complexity`` ln of the normaliser beside it, ``data`` -ln of
    the likelihood at the mode.
    """

    penalty: Array
    complexity: Array
    data: Array

    @property
    def nats(self) -> Array:
        """Their sums."""
        return self.penalty + self.complexity + self.data


def lnml(model: Model, X: ArrayLike, y: ArrayLike, prior: Gaussian = Gaussian()) -> CodeLength:  # noqa: B008
    """The class of linear models under a Gaussian luckiness function, and what a reader must be told to compute it.

    With ŵ the mode, s and m the prior's scale and loc: -ln p(y | X, ŵ) + ‖ŵ - m‖²/2s² + ½ ln det(I + s²H).

    - Gaussian noise: exact (up to the density that stands for a cell's mass), H = XᵀX/noise². For ridge this is the
      Bayesian evidence: the two codes are one.
    - Bernoulli, categorical: the upper bound uLNML, H no less than the curvature of -ln p(y | X, w) at any w: XᵀX/4
      or, for K classes, ½ (I - 11ᵀ/K) ⊗ XᵀX. A code of this length exists: the bound's masses sum to at most 1.

    Parameters
    ----------
    model
        A linear model, what :func:`mdl.wrap` returns. Its weights are only where the search for ŵ starts; its
        intercepts are told, not maximised over.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets.
    prior
        Over the penalised weights. An open scale is the one with the least length, rounded to the precision that is
        worth its bits, and charged; a given one is charged in full.

    Returns
    -------
    CodeLength
        Ideal. ``penalty``, ``complexity``, ``data``; ``intercepts`` with ``quantizer``; ``prior``; ``likelihood`` (an
        open noise scale, fitted to the model's residuals); ``choice``.

    Raises
    ------
    MdlError
        If the prior is not Gaussian, the model not linear, or its curvature without bound (Poisson).

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> length = lnml(wrap(LogisticRegression().fit(x, x[:, 0] > 0.3)), x, x[:, 0] > 0.3)
    >>> from mdl.length import LN2
    >>> (length.part("penalty") + length.part("complexity") + length.part("data")) / LN2 < 20
    True

    References
    ----------
    P. Grünwald, The Minimum Description Length Principle (2007), section 11.3.
    Miyaguchi & Yamanishi, High-dimensional penalty selection via minimum description length principle, Machine Learning
    107 (2018).
    D. Böhning, Multinomial logistic regression algorithm, Annals of the Institute of Statistical Mathematics 44 (1992).
    """
    if not isinstance(prior, Gaussian):
        raise PriorError(f"lnml: expected a Gaussian prior, got {type(prior).__name__}")
    model, X = shared(model, X)
    rounded, told = with_coded_free(model, X, y)
    problem = _Problem(Objective(rounded, np.asarray(X), np.asarray(y)), prior.loc)
    closed = prior if prior.scale is not None else _shortest(problem, prior)
    terms = problem.terms(np.array(closed.parameters[:1]))
    parts = ((name, float(nats[0])) for name, nats in terms._asdict().items())
    return CodeLength((*told.parts, *charged(problem.objective.model.likelihood), *charged(closed), *parts))


def lnml_terms(model: Model, X: ArrayLike, y: ArrayLike, scales: ArrayLike, loc: float = 0.0) -> Terms:
    """Luckiness NML of a linear model under many prior scales, from one decomposition of X.

    Nothing is trained: the modes of ridge are closed forms, the others' are found from one another. The scale with the
    least ``nats`` is a choice of penalty that needs no validation set. A strength λ of the mean NLL is the scale
    1/√(nλ).

    Parameters
    ----------
    model, X, y
        As of :func:`lnml`; intercepts and noise stay as they are for all scales, and are not charged here.
    scales
        (k,) standard deviations of the prior, > 0.
    loc
        Its mean.

    Returns
    -------
    Terms
        Of (k,) each.

    Raises
    ------
    MdlError
        As of :func:`lnml`, or if a scale is not positive and finite.

    Examples
    --------
    >>> model = FeedForward({"layers.0.weight": [[0.0]], "layers.0.bias": [0.0]}, likelihoods.Bernoulli())
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> terms = lnml_terms(model, x, x[:, 0] > 0.3, scales=[0.1, 1.0, 10.0])
    >>> terms.complexity.round(2).tolist()
    [0.07, 1.35, 3.62]
    """
    if not isinstance(model, FeedForward):
        raise MdlError(f"model: expected a FeedForward network, got {type(model).__name__}")
    problem = _Problem(Objective(model, np.asarray(X), np.asarray(y)), loc)
    return problem.terms(_positive("scales", scales))


@dataclass(frozen=True)
class _Problem:
    """A linear model and its data, in the basis of its inputs' singular vectors."""

    objective: Objective
    loc: float

    def __post_init__(self) -> None:
        if not self.objective.linear:
            raise MdlError("lnml: expected a linear model, got one with hidden layers")
        if isinstance(self.objective.model.likelihood, likelihoods.Poisson):
            raise MdlError(
                "lnml: expected Gaussian, Bernoulli or categorical targets, got Poisson ones, whose curvature has no "
                "upper bound; use evidence"
            )

    @functools.cached_property
    def ridge(self) -> _Ridge:
        """About the prior's loc and the intercept; only the squares are used without Gaussian noise."""
        centre = self.objective.model_at(np.full(self.objective.size, self.loc)).predict(self.objective.X)
        residual = self.objective.targets - (centre if centre.ndim == 1 else 0.0)
        return _Ridge.of(self.objective.X, residual)

    def terms(self, scales: Array) -> Terms:
        """At (k,) scales."""
        likelihood = self.objective.model.likelihood
        if isinstance(likelihood, likelihoods.Gaussian):
            noise = likelihood.scale or 1.0
            penalty, complexity, data = self.ridge.terms((noise / scales) ** 2, noise)
            density = math.log(noise * math.sqrt(2.0 * math.pi) / likelihood.precision)
            return Terms(penalty, complexity, data + len(self.objective.X) * density)
        bend, times = 0.25, 1
        if isinstance(likelihood, likelihoods.Categorical):
            bend, times = 0.5, likelihood.count - 1
        complexity = 0.5 * times * np.log1p(bend * self.ridge.squares * scales[:, None] ** 2).sum(axis=1)
        penalty, data = np.empty(scales.size), np.empty(scales.size)
        w = self.objective.vector
        for k in np.argsort(scales):  # each mode starts from its neighbour's
            w = mode(self.objective, scales[k] ** -2.0, self.loc, w)
            penalty[k] = 0.5 * float(np.sum((w - self.loc) ** 2)) / scales[k] ** 2
            data[k] = self.objective.nats(w)
        return Terms(penalty, complexity, data)


@dataclass(frozen=True)
class _Ridge:
    """‖y - Xw‖² + alpha ‖w‖² at its least, as sums over the min(n, d) singular values of X."""

    squares: Array  # squared singular values
    along: Array  # squared targets along the left singular vectors
    rest: float  # what of the targets' square is orthogonal to them all

    @classmethod
    def of(cls, X: Array, targets: Array) -> _Ridge:
        U, singular, _ = linalg.svd(X, full_matrices=False)
        along = U.T @ targets
        return cls(singular**2, along**2, float(np.sum((targets - U @ along) ** 2)))

    def terms(self, alphas: Array, noise: float) -> Terms:
        """At (k,) strengths; the data without ``n ln(noise √2π/precision)``."""
        shrunk = alphas[:, None] / (self.squares + alphas[:, None])
        residual = self.rest + (self.along * shrunk**2).sum(axis=1)
        penalty = (self.along * shrunk * (1.0 - shrunk)).sum(axis=1)  # alpha ‖ŵ‖²
        complexity = 0.5 * np.log1p(self.squares / alphas[:, None]).sum(axis=1)
        return Terms(0.5 * penalty / noise**2, complexity, 0.5 * residual / noise**2)


def _shortest(problem: _Problem, prior: Gaussian) -> Gaussian:
    """The prior with its scale where the length, the scale's own bits included, is least."""
    deviation = problem.objective.vector - prior.loc
    start = math.log(float(np.sqrt(np.mean(deviation**2))) if deviation.any() else 1.0)
    span = (start - _BELOW, start + _ABOVE)
    options = {"xatol": 3e-3}
    best = optimize.minimize_scalar(
        lambda log: float(problem.terms(np.exp([log])).nats[0]), bounds=span, method="bounded", options=options
    )
    candidates = [replace(prior, scale=round_real(math.exp(best.x), digits)) for digits in _DIGITS]
    nats = problem.terms(np.array([candidate.parameters[0] for candidate in candidates])).nats
    told = np.array([sum(nats for _, nats in charged(candidate)) for candidate in candidates])
    return candidates[int(np.argmin(nats + told))]


# --- MDL-COMP ---------------------------------------------------------------------------------------------------------


def mdl_comp(X: ArrayLike, w: ArrayLike, noise: float) -> CodeLength:
    """The least expected redundancy of ridge's luckiness codes when y ~ N(Xw, noise² I): MDL-COMP of a linear model.

    ½ Σᵢ ln(1 + ρᵢ ωᵢ²/noise²) with ρᵢ the eigenvalues of XᵀX and ωᵢ the true weights along its eigenvectors, each
    direction under the penalty noise²/ωᵢ², which only who knows w can choose.

    Parameters
    ----------
    X
        (n, d) inputs, d > n included.
    w
        (d,) true weights.
    noise
        Standard deviation of the noise, > 0.

    Returns
    -------
    CodeLength
        One part, ``complexity``, for all n targets; the paper divides it by n.

    Raises
    ------
    DataError
        If shapes disagree or a number is out of range.

    Examples
    --------
    >>> round(mdl_comp(np.eye(2), [1.0, 0.0], noise=1.0).bits, 9)
    0.5

    References
    ----------
    Dwivedi, Singh, Yu & Wainwright, Revisiting minimum description length complexity in overparameterized models, JMLR
    24 (2023).
    """
    inputs, weights = checked_inputs(X), np.asarray(w, np.float64)
    if weights.shape != inputs.shape[1:] or not np.isfinite(weights).all():
        raise DataError(f"w: expected ({inputs.shape[1]},) finite numbers, got shape {weights.shape}")
    (scale,) = _positive("noise", [noise])
    _, singular, Vt = linalg.svd(inputs, full_matrices=False)
    ratios = (singular * (Vt @ weights) / scale) ** 2
    return CodeLength((("complexity", 0.5 * float(np.log1p(ratios).sum())),))


def prac_mdl_comp(X: ArrayLike, y: ArrayLike, alphas: ArrayLike, noise: float) -> Terms:
    """Prac-MDL-COMP: the luckiness NML of ridge at many strengths, without the terms that all share.

    ‖y - Xŵ‖²/2noise² + α‖ŵ‖²/2noise² + ½ Σᵢ ln(1 + ρᵢ/α); the paper divides by n and takes the least over α. The
    authors' published code leaves the factor α out of the middle term; here it is as in the paper, without which this
    is no code length.

    Parameters
    ----------
    X, y
        (n, d) and (n,), both centred where an intercept is free.
    alphas
        (k,) strengths > 0, scikit-learn's ``Ridge(alpha=)``.
    noise
        Standard deviation of the noise, known or estimated, > 0.

    Returns
    -------
    Terms
        Of (k,) each, for all n targets. With ``n ln(noise √2π/precision)`` added this is :func:`lnml_terms`.

    Raises
    ------
    DataError
        If shapes disagree or a number is out of range.

    Examples
    --------
    >>> terms = prac_mdl_comp(np.eye(2), [2.0, 0.0], alphas=[0.1, 1.0, 10.0], noise=1.0)
    >>> terms.nats.round(4).tolist()
    [2.5797, 1.6931, 1.9135]

    References
    ----------
    Dwivedi, Singh, Yu & Wainwright, as of :func:`mdl_comp`.
    """
    inputs, targets = checked_inputs(X), np.asarray(y, np.float64)
    if targets.shape != inputs.shape[:1] or not np.isfinite(targets).all():
        raise DataError(f"y: expected ({len(inputs)},) finite numbers, got shape {targets.shape}")
    (scale,) = _positive("noise", [noise])
    return _Ridge.of(inputs, targets).terms(_positive("alphas", alphas), float(scale))


def _positive(name: str, values: ArrayLike) -> Array:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not (np.isfinite(numbers).all() and (numbers > 0.0).all()):
        raise DataError(f"{name}: expected finite numbers > 0, got {values!r}")
    return numbers
