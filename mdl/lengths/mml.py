"""Minimum message length: weights stated in cells as wide as the data leave them uncertain, then the data (MML87)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize, special

from mdl.codes.describe import charged
from mdl.codes.numbers import round_real
from mdl.curvature import Objective
from mdl.errors import MdlError, PriorError
from mdl.length import CodeLength
from mdl.masses import Array
from mdl.models import Model, shared
from mdl.priors import Gaussian
from mdl.trials import with_coded_free

#: κ_1..κ_8, mean squared error a dimension of the best lattices known, cells of volume 1 (Conway & Sloane).
KAPPA = (1 / 12, 0.080188, 0.078543, 0.076603, 0.075625, 0.074244, 0.073116, 0.071682)

_ABOVE = 6.0  # nats from the weights' own spread upwards that an open scale is searched: the best is never less
_DIGITS = range(1, 13)  # significant bits of a scale that may be worth telling


def mml(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    prior: Gaussian = Gaussian(),  # noqa: B008
    *,
    curvature: Literal["posterior", "fisher"] = "posterior",
) -> CodeLength:
    """-ln h(w) + ½ ln|F(w)| - ln f(y | X, w) + (d/2)(1 + ln κ_d) at the model's own weights.

    F is the Fisher information of the penalised weights: the Hessian of -ln f for linear models, the generalised
    Gauss-Newton matrix for networks. MML87 takes the prior h to be flat over a cell, and breaks down where it is not: a
    combination of weights that the data leave less certain than the prior does gets a cell wider than the prior, and
    would shorten the message without end as F goes to 0. Two ways out:

    - ``"posterior"``, the default: F plus the prior's own curvature 1/s², so that no cell is wider than the prior. The
      length is then the evidence by Laplace's method at w, and (d/2) ln(2πe κ_d) for rounding: 0.2546 bits for a single
      weight, 0 a weight in the limit.
    - ``"fisher"``: the formula as published, refused where it breaks down.

    Parameters
    ----------
    model
        A feed-forward network, what :func:`mdl.wrap` returns; up to 3,000 weights.
    X, y
        (n, features) inputs, which the reader has too, and (n,) targets.
    prior
        Over the penalised weights. An open scale is the one with the least length, rounded to the precision that is
        worth its bits, and charged; a given one is charged in full.
    curvature
        ``"posterior"`` or ``"fisher"``.

    Returns
    -------
    CodeLength
        Ideal. ``weights``, -ln h + ½ ln|F| - (d/2) ln 2π; ``rounding``, (d/2) ln(2πe κ_d), of which half a nat a weight
        lengthens the data; ``data`` at the weights themselves; ``intercepts`` with ``quantizer``; ``prior``;
        ``likelihood`` (an open noise scale, fitted to the model's residuals); ``choice``.

    Raises
    ------
    MdlError
        If the prior is not Gaussian, the model no feed-forward network or too large, or MML87 breaks down.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mdl.models import wrap
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> length = mml(wrap(LogisticRegression().fit(x, x[:, 0] > 0.3)), x, x[:, 0] > 0.3)
    >>> from mdl.length import LN2
    >>> round(length.part("rounding") / LN2, 4)
    0.2546

    References
    ----------
    Wallace & Freeman, Estimation and inference by compact coding, J. Royal Statistical Society B 49 (1987).
    C. Wallace, Statistical and Inductive Inference by Minimum Message Length (2005), chapter 5.
    """
    if not isinstance(prior, Gaussian):
        raise PriorError(f"mml: expected a Gaussian prior, got {type(prior).__name__}")
    if curvature not in ("posterior", "fisher"):
        raise MdlError(f"curvature: expected posterior or fisher, got {curvature!r}")
    model, X = shared(model, X)
    rounded, told = with_coded_free(model, X, y)
    objective = Objective(rounded, np.asarray(X), np.asarray(y))
    w, d = objective.vector - prior.loc, objective.size
    fisher = linalg.eigvalsh(objective.ggn(objective.vector)) if d else np.empty(0)
    own = 1.0 if curvature == "posterior" else 0.0
    closed = prior if prior.scale is not None else _shortest(prior, w, fisher, own)
    scale = closed.parameters[0]
    if not own and d and fisher[0] * scale**2 < 1.0:
        wide = int((fisher * scale**2 < 1.0).sum())
        raise MdlError(
            f"mml: MML87 expects the data to tell more of every weight than the prior of scale {scale:g} does, and "
            f'they tell less of {wide} of {d} combinations. Use curvature="posterior", fewer weights, or a wider prior'
        )
    rounding = 0.5 * d * (math.log(2.0 * math.pi * math.e) + log_kappa(d)) if d else 0.0
    parts = (
        ("weights", float(_weights(np.array([scale]), w, fisher, own)[0])),
        ("rounding", rounding),
        ("data", objective.nats(objective.vector)),
    )
    return CodeLength((*told.parts, *charged(objective.model.likelihood), *charged(closed), *parts))


def log_kappa(d: int) -> float:
    """Ln κ_d: what a good quantiser's cell of volume 1 in d dimensions costs, mean squared error a dimension.

    Up to 8 dimensions the best lattice known. Beyond, the lesser of two that can be reached: those lattices side by
    side, and Zador's bound Γ(1 + 2/d) Γ(1 + d/2)^(2/d) / (πd), which falls to 1/(2πe).

    Parameters
    ----------
    d
        Dimensions, >= 1.

    Raises
    ------
    MdlError
        If d < 1.

    Examples
    --------
    >>> [round(math.exp(log_kappa(d)), 6) for d in (1, 2, 8, 100, 10_000)]
    [0.083333, 0.080188, 0.071682, 0.061325, 0.058604]

    References
    ----------
    Conway & Sloane, Sphere Packings, Lattices and Groups (1999), chapters 2 and 21.
    P. Zador, Asymptotic quantization error of continuous signals, IEEE Trans. Inf. Theory 28 (1982).
    """
    if d < 1:
        raise MdlError(f"d: expected at least 1 dimension, got {d}")
    whole, rest = divmod(d, len(KAPPA))
    side_by_side = whole * len(KAPPA) * math.log(KAPPA[-1]) + (rest and rest * math.log(KAPPA[rest - 1]))
    zador = special.gammaln(1.0 + 2.0 / d) + (2.0 / d) * special.gammaln(1.0 + 0.5 * d) - math.log(math.pi * d)
    return min(side_by_side / d, float(zador))


def _weights(scales: Array, w: Array, fisher: Array, own: float) -> Array:
    """½ ‖w‖²/s² + ½ Σ ln(s² F + own) at (k,) scales, from the eigenvalues of F."""
    squares = scales[:, None] ** 2
    terms = np.log(np.maximum(squares * fisher, 1e-300) + own)  # no information: far below 1, refused or own
    return 0.5 * (float(w @ w) / squares[:, 0] + terms.sum(axis=1))


def _shortest(prior: Gaussian, w: Array, fisher: Array, own: float) -> Gaussian:
    """The prior with its scale where the length, the scale's own bits included, is least."""
    start = math.log(float(np.sqrt(np.mean(w**2))) if w.any() else 1.0)
    best = optimize.minimize_scalar(
        lambda log: float(_weights(np.exp([log]), w, fisher, own)[0]),
        bounds=(start, start + _ABOVE),
        method="bounded",
    )
    candidates = [replace(prior, scale=round_real(math.exp(best.x), digits)) for digits in _DIGITS]
    nats = _weights(np.array([candidate.parameters[0] for candidate in candidates]), w, fisher, own)
    told = np.array([sum(nats for _, nats in charged(candidate)) for candidate in candidates])
    return candidates[int(np.argmin(nats + told))]
