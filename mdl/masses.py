"""Standard densities (scale 1, centre 0) and ln of the mass that they give an interval, exact in both tails.

Every ``*_mass(lower, upper)`` takes broadcastable float arrays with ``lower <= upper`` (infinities allowed) and returns
nats. Differences of distribution functions cancel where an interval is narrow or far out; each function here uses
the form that does not: a closed form where there is one, else the left-tail difference, else Gauss-Legendre quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]

LN2 = math.log(2.0)
_HALF_LN_2PI = 0.5 * math.log(2.0 * math.pi)
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(10)
_TAIL_NODES, _TAIL_WEIGHTS = np.polynomial.legendre.leggauss(64)
_TAIL_SPAN = 45.0  # decay lengths after which a tail integrand no longer matters to 1e-19


def log_sub(high: Array, low: Array) -> Array:
    """ln(e^high - e^low) for high >= low, by whichever of log1p and expm1 keeps the digits."""
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(np.isneginf(low), -np.inf, low - high)
        return high + np.where(gap > -LN2, np.log(-np.expm1(gap)), np.log1p(-np.exp(gap)))


def _fold(lower: Array, upper: Array) -> tuple[Array, Array]:
    """Reflect each interval so that its centre is not right of 0 (the densities are even)."""
    with np.errstate(invalid="ignore"):
        right = lower + upper > 0.0
    return np.where(right, -upper, lower), np.where(right, -lower, upper)


def _split(lower: ArrayLike, upper: ArrayLike) -> tuple[Array, Array]:
    low, high = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    return _fold(low, high)


def gaussian_pdf(z: Array) -> Array:
    """Ln N(z; 0, 1)."""
    return -0.5 * z * z - _HALF_LN_2PI


def gaussian_mass(lower: ArrayLike, upper: ArrayLike) -> Array:
    """Gaussian: differences of ln Phi in the left tail, a series in the width for narrow cells."""
    low, high = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    with np.errstate(invalid="ignore"):
        width, centre = high - low, 0.5 * (high + low)
        z = 0.5 * np.abs(centre) * width
    if _all_below(width, 2e-3) and _all_below(z, 0.1):  # even in the centre: nothing to reflect
        return _gaussian_narrow(centre, width, z)
    narrow = (width < 2e-3) & (z < 0.1)
    far, near = _fold(low, high)
    mass = log_sub(special.log_ndtr(near), special.log_ndtr(far))
    return np.where(narrow, _gaussian_narrow(centre, width, z), mass) if narrow.any() else mass


def _all_below(values: Array, bound: float) -> bool:
    """Whether every value is; one that is no number is not."""
    return values.size > 0 and bool(values.max() < bound)


def _gaussian_narrow(centre: Array, width: Array, z: Array) -> Array:
    """Ln of the integral of N(c + t) over |t| < w/2 to O(w^4): ln(sinh z / z) as its series, z = |c| w / 2 < 0.1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        square = z * z
        log_sinhc = square * (1 / 6 - square * (1 / 180 - square * (1 / 2835 - square / 37800)))
        return gaussian_pdf(centre) + np.log(width) + log_sinhc - width**2 / 24.0


def laplace_pdf(z: Array) -> Array:
    """Ln of e^-|z| / 2."""
    return -np.abs(z) - LN2


def laplace_mass(lower: ArrayLike, upper: ArrayLike) -> Array:
    """Laplace: closed form, with the cell that straddles the kink treated apart."""
    far, near = _split(lower, upper)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        one_side = np.minimum(near, 0.0) - LN2 + np.log(-np.expm1(far - near))
        outside = 0.5 * (np.exp(far) + np.exp(-near))
        inside = -0.5 * (np.expm1(far) + np.expm1(-near))
        both_sides = np.where(outside < 0.5, np.log1p(-np.minimum(outside, 0.5)), np.log(inside))
    return np.where(near > 0.0, both_sides, one_side)


def logistic_pdf(z: Array) -> Array:
    """Ln of 1 / (4 cosh^2(z/2))."""
    return -np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z)))


def logistic_mass(lower: ArrayLike, upper: ArrayLike) -> Array:
    """Logistic: F(b) - F(a) = F(b) F(-a) (1 - e^(a-b)), which never cancels."""
    low, high = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    with np.errstate(divide="ignore", invalid="ignore"):
        return special.log_expit(high) + special.log_expit(-low) + np.log(-np.expm1(low - high))


def cauchy_pdf(z: Array) -> Array:
    """Ln of 1 / (pi (1 + z^2))."""
    return -math.log(math.pi) - np.log1p(z * z)


def cauchy_mass(lower: ArrayLike, upper: ArrayLike) -> Array:
    """Cauchy: the angle between two rays, one arctangent."""
    far, near = _split(lower, upper)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        angle = np.arctan2(near - far, 1.0 + far * near)
        angle = np.where(np.isneginf(far), np.arctan2(1.0, -near), angle)  # the tail left of `near`
        return np.where(np.isposinf(near) & np.isneginf(far), 0.0, np.log(angle / math.pi))


def student_t_pdf(z: Array, df: float) -> Array:
    """Ln of Student's t density with ``df`` degrees of freedom."""
    constant = _log_gamma_step(0.5 * df) - 0.5 * math.log(df * math.pi)
    return constant - 0.5 * (df + 1) * np.log1p(z * z / df)


def _log_gamma_step(x: float) -> float:
    """Ln Gamma(x + 1/2) - ln Gamma(x): by Stirling's series where the difference would lose its digits."""
    if x < 30.0:
        return float(special.gammaln(x + 0.5) - special.gammaln(x))
    square = 1.0 / (x * x)
    return 0.5 * math.log(x) - (1 / 8 - square * (1 / 192 - square * (1 / 640 - square * 17 / 14336))) / x


def student_t_mass(lower: ArrayLike, upper: ArrayLike, df: float) -> Array:
    """Student's t: incomplete beta functions where they differ enough, quadrature elsewhere."""
    far, near = _split(lower, upper)

    def upper_tail(x: Array) -> Array:
        def central(x: Array) -> Array:
            return special.betaincc(0.5, 0.5 * df, x * x / (df + x * x))

        def outer(x: Array) -> Array:
            return special.betainc(0.5 * df, 0.5, df / (df + x * x))

        return 0.5 * np.piecewise(x, [x * x < df], [central, outer])

    def slope(x: Array) -> Array:
        return (df + 1) * x / (df + x * x)

    def difference(a: Array, b: Array) -> Array:
        inner, outer = upper_tail(np.abs(a)), upper_tail(b)
        return np.where(a < 0.0, np.log1p(-inner - outer), np.log(inner - outer))

    start, end = -near, -far
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        width, centre = end - start, 0.5 * (start + end)
        steepest = slope(np.minimum(np.maximum(-start, end), math.sqrt(df)))
        smooth = (width < 0.25 * np.sqrt(df + centre**2)) & (width * steepest < 4.0)
        lost = (start > 0.0) & ~smooth & (student_t_pdf(start, df) < -600.0)
        mass = _fill(np.full(width.shape, -np.inf), ~smooth & ~lost, difference, start, end)
    mass = _fill(mass, smooth, lambda a, b: _quadrature(lambda x: student_t_pdf(x, df), a, b), start, end)
    return _fill(mass, lost, lambda a, b: _tail(lambda x: student_t_pdf(x, df), a, b, slope(a)), start, end)


def generalized_gaussian_pdf(z: Array, shape: float) -> Array:
    """Ln of shape / (2 Gamma(1/shape)) e^-|z|^shape."""
    with np.errstate(over="ignore"):  # the density is 0 there
        return math.log(0.5 * shape) - float(special.gammaln(1.0 / shape)) - np.abs(z) ** shape


def generalized_gaussian_mass(lower: ArrayLike, upper: ArrayLike, shape: float) -> Array:
    """Generalised Gaussian: incomplete gamma functions where they differ enough, quadrature elsewhere."""
    far, near = _split(lower, upper)
    start, end = -near, -far
    order = 1.0 / shape

    def log_density(x: Array) -> Array:
        return generalized_gaussian_pdf(x, shape)

    def slope(x: Array) -> Array:
        return shape * x ** (shape - 1.0)

    def difference(a: Array, b: Array) -> Array:
        inner, outer = np.abs(a) ** shape, b**shape
        below = special.gammainc(order, outer), special.gammainc(order, inner)
        above = special.gammaincc(order, inner), special.gammaincc(order, outer)
        one_side = np.log(np.where(inner < order, below[0] - below[1], above[0] - above[1])) - LN2
        inside = below[0] + below[1]
        both_sides = np.where(inside > 1.0, np.log1p(-0.5 * (above[0] + above[1])), np.log(inside) - LN2)
        return np.where(a < 0.0, both_sides, one_side)

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        width, positive = end - start, start > 0.0
        smooth = positive & (width < 0.5 * start) & (width * np.maximum(slope(start), slope(end)) < 4.0)
        lost = positive & ~smooth & (np.abs(start) ** shape > 600.0)
        mass = _fill(np.full(width.shape, -np.inf), ~smooth & ~lost, difference, start, end)
    mass = _fill(mass, smooth, lambda a, b: _quadrature(log_density, a, b), start, end)
    return _fill(mass, lost, lambda a, b: _tail(log_density, a, b, slope(a)), start, end)


def uniform_pdf(z: Array) -> Array:
    """Ln of the uniform density on [-1, 1]."""
    return np.where(np.abs(z) <= 1.0, -LN2, -np.inf)


def uniform_mass(lower: ArrayLike, upper: ArrayLike) -> Array:
    """Uniform on [-1, 1]: half the overlap."""
    low, high = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(np.minimum(high, 1.0) - np.maximum(low, -1.0), 0.0)) - LN2


def _fill(mass: Array, where: NDArray[np.bool_], rule: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """``mass`` with the entries ``where`` recomputed by ``rule``, which sees only those intervals."""
    if not where.any():
        return mass
    if mass.ndim == 0:
        return rule(a.reshape(1), b.reshape(1)).reshape(())
    filled = mass.copy()
    filled[where] = rule(a[where], b[where])
    return filled


def _quadrature(log_density: Callable[[Array], Array], a: Array, b: Array) -> Array:
    """Ln of the integral of a density that is smooth on [a, b]: 10-point Gauss-Legendre about its centre."""
    half = 0.5 * (b - a)
    centre = a + half
    at_centre = log_density(centre)
    nodes = log_density(centre[..., None] + half[..., None] * _NODES)
    with np.errstate(divide="ignore"):
        return at_centre + np.log(half) + np.log(np.exp(nodes - at_centre[..., None]) @ _NODE_WEIGHTS)


def _tail(log_density: Callable[[Array], Array], a: Array, b: Array, slope: Array) -> Array:
    """Ln of the integral over [a, b] where the density falls at least like e^(-slope (x - a))."""
    half = 0.5 * np.minimum(b - a, _TAIL_SPAN / slope)
    nodes = log_density(a[..., None] + half[..., None] * (1.0 + _TAIL_NODES))
    at_start = log_density(a)
    return at_start + np.log(half) + np.log(np.exp(nodes - at_start[..., None]) @ _TAIL_WEIGHTS)
