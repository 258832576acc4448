"""Linear models: exact under Gaussian noise, bounded for labels, by Fisher information for labels and counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize, special

from mdl import likelihoods
from mdl.codes.describe import describe
from mdl.codes.integers import EliasDelta, Signed
from mdl.codes.scheme import FREE, Coding, Scheme
from mdl.curvature import Objective, mode
from mdl.errors import DataError, MdlError
from mdl.length import LN2, CodeLength
from mdl.lengths.nml.gaussian import linear_regression, log_ball, log_wills, span
from mdl.lengths.nml.ranges import of_parts, power_of_two
from mdl.masses import Array
from mdl.models import FeedForward, Model, shared
from mdl.trials import Trials

_POINTS = 11  # log2 of the points of an integral over a ball
_WIDEST = 64  # weights of such an integral
_CHUNK = 1 << 22  # doubles of products of inputs held at once
_PRECISIONS = tuple(np.geomspace(1e-6, 1e14, 401).tolist())  # of normals that a bound is the least over

#: How the complexity of what is not Gaussian is computed.
Complexity = Literal["bound", "asymptotic"]


def asymptotic(nats: float, n: int, d: int, log_volume: float) -> CodeLength:
    """(d/2) ln(n/2π) + ln ∫ √|I(θ)| dθ beside the maximised likelihood; the rest vanishes as n grows.

    Parameters
    ----------
    nats
        -ln of the maximised likelihood, >= 0.
    n, d
        Examples and parameters.
    log_volume
        ln ∫ √|I(θ)| dθ, with I the Fisher information of one example.

    Returns
    -------
    CodeLength
        ``complexity``, 0 where the formula is below (n too small for it), and ``data``.

    Raises
    ------
    MdlError
        If n < 1 or d < 0.

    Examples
    --------
    >>> from mdl.lengths.nml import bernoulli
    >>> a, b = asymptotic(0.0, 10_000, 1, math.log(math.pi)), bernoulli(0, 10_000)
    >>> round(b.part("complexity") - a.part("complexity"), 4)
    0.0053

    References
    ----------
    J. Rissanen, Fisher information and stochastic complexity, IEEE Trans. Inf. Theory 42 (1996).
    """
    if not (n >= 1 and d >= 0):
        raise MdlError(f"expected n >= 1 and d >= 0, got {n} and {d}")
    return of_parts(0.5 * d * math.log(n / (2.0 * math.pi)) + log_volume, nats, None)


def nml(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: object = None,
    *,
    radius: float | None = None,
    complexity: Complexity = "bound",
) -> CodeLength:
    """The class of linear models that this one belongs to, its weights in a ball about 0; a prior has no say.

    - Gaussian noise: exact, see :func:`linear_regression`; ``radius`` bounds ‖Xw‖, in units of y.
    - Bernoulli, categorical: an upper bound over ‖w‖ <= ``radius``, from H, which is no less than the curvature of
      -ln p(y | X, w) at any w. A code of this length exists: the bound's masses sum to at most 1.
    - Bernoulli, Poisson with ``complexity="asymptotic"``: :func:`asymptotic` over the same ball, an integral by a Sobol
      sequence of 2,048 points, for up to 64 weights. No code's length: weights that the data tell little of make it
      too small, down to 0.

    The bound. Let q be a normal density about 0 with precision A, and ŵ the likeliest weights of the ball. Since q is
    symmetric, ∫ p(y | w) q(w - ŵ) dw >= p(y | ŵ) √(|A|/|A + H|). Summed over y, C is at most √(|A + H|/|A|) times the
    Wills functional of the ball as A stretches it; what is returned is the least over multiples A of I, and over all A
    that share H's eigenvectors, for the cube about the ball.

    Parameters
    ----------
    model
        A linear model, what :func:`mdl.wrap` returns. Its intercepts are told, not maximised over.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets.
    prior
        Ignored.
    radius
        Agreed on beforehand; by default the least power of two (of the noise scale, under Gaussian noise) that holds
        the least-squares fit, or the model's own weights, and is told.
    complexity
        ``"bound"`` or ``"asymptotic"``; an exact one is not affected.

    Returns
    -------
    CodeLength
        Ideal. ``complexity``, ``data`` at the likeliest weights of the ball, ``range`` where it is told;
        ``intercepts`` with ``quantizer``; ``likelihood`` (an open noise scale, fitted to the model's residuals) and
        ``choice``.

    Raises
    ------
    MdlError
        If the length is not defined, or an integral too wide to compute.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from mdl.models import wrap
    >>> x = np.arange(20.0)[:, None]
    >>> length = nml(wrap(Ridge().fit(x, 3 * x[:, 0])), x, 3 * x[:, 0])
    >>> [name for name, _ in length.parts]
    ['choice', 'quantizer', 'intercepts', 'likelihood', 'range', 'complexity', 'data']

    References
    ----------
    Miyaguchi & Yamanishi, High-dimensional penalty selection via minimum description length principle, Machine Learning
    107 (2018), for the bound with a smooth luckiness function instead of a ball.
    J. Mourtada, Universal coding, intrinsic volumes, and metric complexity (2023).
    """
    if complexity not in ("bound", "asymptotic"):
        raise MdlError(f"complexity: expected bound or asymptotic, got {complexity!r}")
    model, X = shared(model, X)
    rounded, told = _with_coded_intercepts(model, X, y)
    objective = Objective(rounded, np.asarray(X), np.asarray(y))
    likelihood = objective.model.likelihood
    if not objective.linear:
        raise MdlError("nml: expected a linear model, got one with hidden layers")
    if isinstance(likelihood, likelihoods.Gaussian):
        residual = objective.targets - objective.model_at(np.zeros(objective.size)).predict(objective.X)
        scale, precision = likelihood.scale or 1.0, likelihood.precision
        length = linear_regression(objective.X, residual, scale, radius, precision)
    else:
        length = _in_ball(objective, radius, _bound if complexity == "bound" else _by_fisher)
    chosen = ((part, bits.size * LN2) for part, bits in describe(likelihood))
    return CodeLength((*told.parts, *chosen, *length.parts))


def _with_coded_intercepts(model: Model, X: ArrayLike, y: ArrayLike) -> tuple[FeedForward, CodeLength]:
    """The model with its free tensors as a reader gets them, and the length of telling them."""
    if not isinstance(model, FeedForward):
        raise MdlError(f"model: expected a FeedForward network, got {type(model).__name__}")
    grids = Trials(model, X, y).free
    scheme = Scheme({name: Coding(grid, Signed(EliasDelta()), FREE) for name, grid in grids.items()})
    tensors = {name: model.weights[name] for name in grids}
    return model.with_weights({**model.weights, **scheme.quantized(tensors)}), scheme.length(tensors)


def _in_ball(objective: Objective, radius: float | None, complexity: Callable[[Objective, float], float]) -> CodeLength:
    told = None
    if radius is None:
        radius, told = power_of_two(float(np.linalg.norm(objective.vector)) or 1.0)
    if not 0.0 < radius < math.inf:
        raise DataError(f"radius: expected a finite number > 0, got {radius}")
    return of_parts(complexity(objective, radius), objective.nats(_likeliest(objective, radius)), told)


def _bound(objective: Objective, radius: float) -> float:
    likelihood = objective.model.likelihood
    if isinstance(likelihood, likelihoods.Poisson):
        raise MdlError(
            'nml: the curvature of Poisson targets has no upper bound; use complexity="asymptotic", or evidence'
        )
    bend, times = 0.25, 1
    if isinstance(likelihood, likelihoods.Categorical):  # diag(p) - ppᵀ <= (I - 11ᵀ/K)/2 (Böhning 1992)
        bend, times = 0.5, likelihood.count - 1
    singular = linalg.svdvals(objective.X) if objective.X.size else np.empty(0)
    h = np.repeat(bend * singular**2 * radius**2, times)  # H's eigenvalues for the unit ball
    h = h[h > 0.0]
    ball = min(log_wills(h.size, math.sqrt(a)) + 0.5 * float(np.log1p(h / a).sum()) for a in _PRECISIONS)
    a = np.array(_PRECISIONS)
    cube = (np.log1p(np.sqrt(2.0 * a / math.pi)) + 0.5 * np.log1p(h[:, None] / a)).min(axis=1).sum()
    return min(ball, float(cube))


def _by_fisher(objective: Objective, radius: float) -> float:
    d = objective.size
    if isinstance(objective.model.likelihood, likelihoods.Categorical):
        raise MdlError(
            "nml: adding the same to the weights of all classes changes nothing, so that the Fisher information of a "
            'categorical model is singular; use complexity="bound"'
        )
    if d > _WIDEST:
        raise MdlError(f"nml: expected at most {_WIDEST} weights for an integral over a ball, got {d}")
    if span(objective.X).shape[1] < d:
        raise DataError("X: expected linearly independent columns, or the Fisher information is singular")
    halves = 0.5 * _log_fisher(objective, radius * _ball_points(d))
    log_mean = float(special.logsumexp(halves)) - math.log(halves.size)
    return float(log_ball(d)) + d * math.log(radius) + log_mean - 0.5 * d * math.log(2.0 * math.pi)


def _ball_points(d: int) -> Array:
    """Points spread evenly in the unit ball, (2048, d); the same ones each time, for a reader needs them too."""
    from scipy.stats import qmc

    u = qmc.Sobol(d + 1, scramble=False).random_base2(_POINTS) + 0.5**_POINTS / 2.0
    direction = special.ndtri(u[:, :d])
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * u[:, d:] ** (1.0 / max(d, 1))


def _log_fisher(objective: Objective, w: Array) -> Array:
    """ln|Σᵢ hᵢ(w) xᵢxᵢᵀ| for (k, d) weights, (k,)."""
    bias = objective.model_at(np.zeros(objective.size)).predict(objective.X)
    k, d = w.shape
    total = np.zeros((k, d * d))
    rows = max(1, _CHUNK // (d * d + k))
    for start in range(0, len(objective.X), rows):
        X = objective.X[start : start + rows]
        f = w @ X.T + bias[start : start + rows]
        bend = objective.link.root(f.reshape(-1, 1)).reshape(f.shape) ** 2
        total += bend @ (X[:, :, None] * X[:, None, :]).reshape(len(X), d * d)
    return np.linalg.slogdet(total.reshape(k, d, d))[1]


def _likeliest(objective: Objective, radius: float) -> Array:
    """The weights of the ball under which the data are shortest."""

    def at(log_price: float) -> Array:  # ‖w‖² at the price that keeps w within the ball
        return mode(objective, math.exp(log_price))

    def excess(log_price: float) -> float:
        return float(np.linalg.norm(at(log_price))) - radius

    pull = float(np.linalg.norm(objective.gradient(np.zeros(objective.size))))
    high = math.log(max(pull, 1e-12) / radius)  # ‖w‖ <= pull/price for a convex length
    low = high - 25.0
    if excess(low) <= 0.0:
        return at(low)
    return at(optimize.brentq(excess, low, high + 1e-9, xtol=1e-9))
