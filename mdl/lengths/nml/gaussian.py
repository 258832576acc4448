"""Targets with Gaussian noise of known scale about a mean, or about a linear function of inputs; exact."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, special

from mdl.errors import DataError
from mdl.length import CodeLength
from mdl.lengths.nml.ranges import of_parts, power_of_two
from mdl.masses import Array
from mdl.models import checked_inputs


def gaussian_location(
    y: ArrayLike, scale: float, radius: float | None = None, loc: float = 0.0, precision: float = 1.0
) -> CodeLength:
    """Targets about one unknown mean within ``radius`` of ``loc``: C = 1 + 2 radius √n / (scale √2π).

    Parameters
    ----------
    y
        (n,) targets, stated to ``precision``.
    scale
        Standard deviation of the noise, known, at least half the precision: the density stands for a cell's mass.
    radius, loc
        The range of the mean, agreed on beforehand; by default ``radius`` is the least power of two times
        ``scale``/√n that holds the mean, and is told.
    precision
        Width of a target's cell.

    Returns
    -------
    CodeLength
        ``complexity``, ``data``, and ``range`` where it is told.

    Raises
    ------
    DataError
        If targets are not finite or a number is out of range.

    Examples
    --------
    >>> length = gaussian_location([1.0, 2.0, 0.0, 1.0], scale=1.0, radius=math.sqrt(math.pi / 2))
    >>> round(math.exp(length.part("complexity")), 9)
    3.0
    """
    values = np.asarray(y, np.float64)
    root = math.sqrt(max(values.size, 1))
    wide = None if radius is None else radius * root
    return linear_regression(np.ones((values.size, 1)), values - loc, scale, wide, precision)


def linear_regression(
    X: ArrayLike, y: ArrayLike, scale: float, radius: float | None = None, precision: float = 1.0
) -> CodeLength:
    """Targets about Xw, the fitted values within an ellipsoid: ‖Xw‖ <= radius.

    In the d = rank(X) directions that X spans, w is a point of a ball, so that C is the ball's Wills functional
    Σⱼ Vⱼ / (scale √2π)ʲ with the intrinsic volumes Vⱼ = binom(d, j) (κ_d/κ_{d-j}) radiusʲ, where κ_m is the volume of
    the unit ball. Its last term is Rissanen's normaliser over data whose estimate lies in the ellipsoid.

    Parameters
    ----------
    X, y
        (n, features) inputs, which the reader has, and (n,) targets; neither is centred here.
    scale
        Standard deviation of the noise, known, at least half the precision: the density stands for a cell's mass.
    radius
        In units of y, agreed on beforehand; by default the least power of two times ``scale`` that holds the
        least-squares fit, and is told.
    precision
        Width of a target's cell.

    Returns
    -------
    CodeLength
        ``complexity``, ``data``, and ``range`` where it is told.

    Raises
    ------
    DataError
        If shapes disagree, targets are not finite, or a number is out of range.

    Examples
    --------
    >>> X, y = np.eye(3)[:, :1], np.array([1.0, 0.0, 0.0])
    >>> linear_regression(X, y, scale=1.0, radius=4.0) == gaussian_location(y[:1], 1.0, 4.0) + CodeLength(
    ...     (("data", math.log(2 * math.pi)),)
    ... )
    True

    References
    ----------
    J. Rissanen, MDL denoising, IEEE Trans. Inf. Theory 46 (2000).
    J. Mourtada, Universal coding, intrinsic volumes, and metric complexity (2023).
    """
    inputs, targets = checked_inputs(X), np.asarray(y, np.float64)
    if targets.shape != inputs.shape[:1] or not np.isfinite(targets).all():
        raise DataError(f"y: expected ({len(inputs)},) finite numbers, got shape {targets.shape}")
    if not 0.5 * precision <= scale < math.inf or not precision > 0.0:
        raise DataError(f"scale: expected at least half the precision {precision:g} > 0, got {scale}")
    U = span(inputs)
    along = U.T @ targets
    norm, told = float(np.linalg.norm(along)), None
    if radius is None:
        ratio, told = power_of_two(max(norm / scale, 1.0))
        radius = ratio * scale
    if not 0.0 <= radius < math.inf:
        raise DataError(f"radius: expected a finite number >= 0, got {radius}")
    rest = float(np.sum((targets - U @ along) ** 2)) + max(norm - radius, 0.0) ** 2
    data = 0.5 * rest / scale**2 + targets.size * math.log(scale * math.sqrt(2.0 * math.pi) / precision)
    return of_parts(log_wills(along.size, radius / scale), data, told)


def span(X: Array) -> Array:
    """Orthonormal columns that span those of X, (n, rank)."""
    if not X.size:
        return np.empty((len(X), 0))
    U, singular, _ = linalg.svd(X, full_matrices=False)
    return U[:, singular > singular[0] * max(X.shape) * np.finfo(float).eps]


def log_wills(d: int, r: float) -> float:
    """Ln ∫ (2π)^(-d/2) exp(-½ dist(z, ball of radius r)²) dz in d dimensions."""
    j = np.arange(d + 1.0)
    binomial = special.gammaln(d + 1.0) - special.gammaln(j + 1.0) - special.gammaln(d - j + 1.0)
    volumes = log_ball(d) - log_ball(d - j)
    return float(special.logsumexp(binomial + volumes + special.xlogy(j, r / math.sqrt(2.0 * math.pi))))


def log_ball(d: ArrayLike) -> Array:
    """Ln of the volume of the unit ball."""
    m = np.asarray(d, np.float64)
    return 0.5 * m * math.log(math.pi) - special.gammaln(0.5 * m + 1.0)
