"""Prior masses by mpmath, from the textbook definition of each family and nothing of mdl's arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import mpmath as mp
import numpy as np

from mdl import priors
from mdl.masses import Array

DIGITS = 60
Real = Any  # mpmath ships no types
Tail = Callable[[Real], Real]
Mass = Callable[[Real, Real], Real]


def gaussian_tail(z: Real) -> Real:
    return mp.erfc(z / mp.sqrt(2)) / 2


def laplace_tail(z: Real) -> Real:
    return mp.exp(-z) / 2


def logistic_tail(z: Real) -> Real:
    return 1 / (1 + mp.exp(z))


def cauchy_tail(z: Real) -> Real:
    return mp.mpf(0) if mp.isinf(z) else mp.atan2(1, z) / mp.pi


def student_t_tail(z: Real, df: float) -> Real:
    df = mp.mpf(df)
    if mp.isinf(z) or z == 0:
        return mp.mpf(0) if z else mp.mpf(1) / 2
    return mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + z * z), regularized=True) / 2


def generalized_gaussian_tail(z: Real, shape: float) -> Real:
    if mp.isinf(z):
        return mp.mpf(0)
    return mp.gammainc(1 / mp.mpf(shape), z ** mp.mpf(shape), regularized=True) / 2


def uniform_tail(z: Real) -> Real:
    return max(mp.mpf(0), (1 - z) / 2)


def mass_of(tail: Tail, a: Real, b: Real) -> Real:
    """Mass of [a, b] under an even density whose mass right of z >= 0 is ``tail(z)``."""
    if a >= 0:
        return tail(a) - tail(b)
    if b <= 0:
        return tail(-b) - tail(-a)
    return 1 - tail(-a) - tail(b)


def _family(prior: Any) -> Tail:
    match prior:
        case priors.Gaussian():
            return gaussian_tail
        case priors.Laplace():
            return laplace_tail
        case priors.Logistic():
            return logistic_tail
        case priors.Cauchy():
            return cauchy_tail
        case priors.StudentT():
            return lambda z: student_t_tail(z, prior.df)
        case priors.GeneralizedGaussian():
            return lambda z: generalized_gaussian_tail(z, prior.shape)
        case priors.Uniform():
            return uniform_tail
    raise LookupError(f"write an mpmath oracle for {type(prior).__name__}")


def _shifted(tail: Tail, scale: float, loc: float) -> Mass:
    s, m = mp.mpf(scale), mp.mpf(loc)
    return lambda a, b: mass_of(tail, (a - m) / s, (b - m) / s)


def mass(prior: Any) -> Mass:
    """The function (lower, upper) -> mass of a prior, in mpmath's numbers."""
    match prior:
        case priors.SpikeAndSlab():
            slab, density = mass(prior.slab), mp.mpf(prior.density)
            return lambda a, b: density * slab(a, b) + (1 - density if a <= 0 < b else 0)
        case priors.Mixture():
            total = mp.fsum(prior.weights)
            parts = [_shifted(gaussian_tail, s, m) for s, m in zip(prior.scales, prior.locs, strict=True)]
            shares = [mp.mpf(v) / total for v in prior.weights]
            return lambda a, b: mp.fsum(v * part(a, b) for v, part in zip(shares, parts, strict=True))
    return _shifted(_family(prior), prior.scale, prior.loc)


def log_masses(mass: Mass, cells: Iterable[tuple[float, float]]) -> Array:
    """Ln of the mass of each cell, rounded once at the end."""
    with mp.workdps(DIGITS):
        found = (mass(mp.mpf(a), mp.mpf(b)) for a, b in cells)
        return np.array([float(mp.log(m)) if m > 0 else -math.inf for m in found])
