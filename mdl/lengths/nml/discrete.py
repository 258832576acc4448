"""Sequences of symbols and of counts: Bernoulli, multinomial, Poisson, geometric; exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mdl.errors import DataError
from mdl.length import CodeLength
from mdl.lengths.nml.ranges import of_parts, power_of_two
from mdl.masses import Array

_HEAD = 1 << 16  # terms of a sum that are added one by one; beyond, they are so smooth that an integral is exact


def bernoulli(ones: int, n: int) -> CodeLength:
    """A sequence of n binary symbols with so many ones.

    C(n) = Σₖ binom(n, k) (k/n)ᵏ (1 - k/n)ⁿ⁻ᵏ = (n!/nⁿ) Σⱼ nʲ/j!, a regularised incomplete gamma function: exact for
    any n, at no cost.

    Parameters
    ----------
    ones, n
        0 <= ones <= n; the reader knows n.

    Returns
    -------
    CodeLength
        ``complexity``, ln C(n), and ``data``, -ln of the maximised likelihood.

    Raises
    ------
    DataError
        If the counts are no such whole numbers.

    Examples
    --------
    >>> round(math.exp(bernoulli(1, 2).part("complexity")), 9)  # 1 + 1/2 + 1
    2.5

    References
    ----------
    Y. Shtarkov, Universal sequential coding of single messages, Problems of Information Transmission 23 (1987).
    D. Knuth, The Art of Computer Programming 1, section 1.2.11.3 (the sum, 1 + Ramanujan's Q).
    """
    if not 0 <= ones <= n:
        raise DataError(f"ones: expected 0 to n = {n}, got {ones}")
    return multinomial([ones, n - ones])


def multinomial(counts: ArrayLike) -> CodeLength:
    """A sequence of symbols in which each of K occurs so often.

    Parameters
    ----------
    counts
        (K,) whole numbers >= 0. The reader knows K and their sum n.

    Returns
    -------
    CodeLength
        ``complexity``, ln C_K(n), and ``data``, n times the empirical entropy.

    Raises
    ------
    DataError
        If a count is negative or no whole number.

    Examples
    --------
    >>> print(multinomial([50, 30, 20]))
    complexity      6.8 bits
    data          148.5 bits
    total         155.4 bits  (ideal)

    References
    ----------
    Kontkanen & Myllymäki, A linear-time algorithm for computing the multinomial stochastic complexity, Information
    Processing Letters 103 (2007).
    """
    values = np.asarray(counts, np.float64)
    if values.ndim != 1 or not values.size or not ((values >= 0.0) & (values == np.rint(values))).all():
        raise DataError(f"counts: expected (K,) whole numbers >= 0, got {counts!r}")
    n = float(values.sum())
    if n >= 2.0**53:
        raise DataError(f"counts: expected a sum below 2^53, got {n:g}")
    data = float(-special.xlogy(values, values / max(n, 1.0)).sum())
    return CodeLength((("complexity", _multinomial_complexity(n, values.size)), ("data", abs(data))))


def _multinomial_complexity(n: float, K: int) -> float:
    """Ln C_K(n) by C_{K+2} = C_{K+1} + (n/K) C_K; the ratio of neighbours is kept, so that nothing overflows."""
    if n == 0.0 or K == 1:
        return 0.0
    total = float(np.log(special.gammaincc(n + 1.0, n)) - _log_peak(n))  # C_2
    ratio = math.exp(total)
    logs = [total]
    for k in range(1, K - 1):
        ratio = 1.0 + n / (k * ratio)
        logs.append(math.log(ratio))
    return math.fsum(logs)


def _log_peak(s: ArrayLike) -> Array:
    """Ln of the mass that a Poisson distribution of rate s has at s: sˢ e⁻ˢ / s!, by Stirling's series from 16 on."""
    m = np.asarray(s, np.float64)
    large = np.maximum(m, 16.0)
    x = 1.0 / large**2
    series = (1 / 12 - x * (1 / 360 - x * (1 / 1260 - x / 1680))) / large
    direct = special.xlogy(m, m) - m - special.gammaln(m + 1.0)
    return np.where(m < 16.0, direct, -0.5 * np.log(2.0 * math.pi * large) - series)


def poisson(y: ArrayLike, high: float | None = None, low: float = 0.0) -> CodeLength:
    """Counts from one Poisson distribution whose rate lies in a range.

    With S = Σy, C = Σ P(S = s; rate s) over the sums whose mean is in the range, and a tail at each end.

    Parameters
    ----------
    y
        (n,) whole numbers >= 0; the reader knows n.
    high, low
        The range of the rate, agreed on beforehand. By default ``high`` is the least power of two that holds the
        mean, and is told.

    Returns
    -------
    CodeLength
        ``complexity``, ``data``, and ``range`` where it is told.

    Raises
    ------
    DataError
        If y holds anything else, or the range is empty.

    Examples
    --------
    >>> y = [2, 0, 3, 1, 1]
    >>> poisson(y, high=4.0).part("complexity") < poisson(y, high=16.0).part("complexity")
    True

    References
    ----------
    P. Grünwald, The Minimum Description Length Principle (2007), chapters 7 and 11.
    """
    values, low, high, told = _counts(y, low, high)
    n, s = float(values.size), float(values.sum())
    first, last = math.ceil(n * low), math.floor(n * high)
    tails = _below(special.gammaincc, first, n * low) + float(special.gammainc(last + 1.0, n * high))
    rate = min(max(s / n, low), high)
    data = n * rate - float(special.xlogy(s, rate)) + float(special.gammaln(values + 1.0).sum())
    return of_parts(math.log(_sum(_log_peak, first, last) + tails), data, told)


def geometric(y: ArrayLike, high: float | None = None, low: float = 0.0) -> CodeLength:
    """Counts from one geometric distribution, P(y) = μʸ/(1 + μ)ʸ⁺¹, whose mean μ lies in a range.

    Parameters, returns and errors as of :func:`poisson`.

    Examples
    --------
    >>> geometric([0, 5, 1, 9, 2]).part_bits()["range"]  # mean 3.4: the range ends at 2²
    5.0
    """
    values, low, high, told = _counts(y, low, high)
    n, s = float(values.size), float(values.sum())
    first, last = math.ceil(n * low), math.floor(n * high)

    def log_term(t: Array) -> Array:  # the negative binomial of Σy at its own mean
        return _log_peak(t) + _log_peak(n) - _log_peak(n + t) - np.log1p(t / n)

    below = _below(lambda k, mean: special.betainc(n, k, 1.0 / (1.0 + mean)), first, low)
    above = float(special.betainc(last + 1.0, n, high / (1.0 + high)))
    mean = min(max(s / n, low), high)
    data = (s + n) * math.log1p(mean) - float(special.xlogy(s, mean))
    return of_parts(math.log(_sum(log_term, first, last) + below + above), data, told)


def _counts(y: ArrayLike, low: float, high: float | None) -> tuple[Array, float, float, float | None]:
    """The counts, the range, and the nats that tell it if they do."""
    values = np.asarray(y, np.float64)
    if values.ndim != 1 or not values.size or not ((values >= 0.0) & (values == np.rint(values))).all():
        raise DataError(f"y: expected (n,) whole numbers >= 0, n >= 1, got shape {values.shape}")
    told = None
    if high is None:
        high, told = power_of_two(max(float(values.mean()), 1.0 / values.size))
    if not 0.0 <= low <= high < 2.0**52 / values.size or high == 0.0:
        raise DataError(f"low, high: expected 0 <= low <= high < 2^52/n and high > 0, got {low} and {high}")
    return values, low, high, told


def _below(tail: Callable[[float, float], float], first: int, at: float) -> float:
    return float(tail(float(first), at)) if first > 0 else 0.0


def _sum(log_term: Callable[[Array], Array], first: int, last: int) -> float:
    """Σ exp(log_term(s)) for s = first..last: 65,536 terms one by one, the rest by the integral over their cells."""
    head = np.arange(float(first), min(last, first + _HEAD) + 1.0)
    total = float(np.exp(log_term(head)).sum())
    if last <= first + _HEAD:
        return total
    a, b = first + _HEAD + 0.5, last + 0.5
    nodes, weights = np.polynomial.legendre.leggauss(200)
    half = 0.5 * math.log(b / a)
    s = a * np.exp(half * (nodes + 1.0))  # even in ln s, where power laws are smooth
    integral = half * float(weights @ (s * np.exp(log_term(s))))
    return total + integral
