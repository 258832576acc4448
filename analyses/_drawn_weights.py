"""Weights drawn from priors that are known, and which prior the code length takes them for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from analyses import _rows
from analyses._prior_lengths import DIGITS, bits_under, lengths, shortest
from mdl.masses import Array
from mdl.priors import (
    Cauchy,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    Prior,
    SpikeAndSlab,
    StudentT,
    Uniform,
)

DF, SHAPE, DENSITY = 4.0, 0.5, 0.3
_PARTS = 16  # scales are 1, 1 + 1/16, ..., by the seed: those that are all round would favour the truth

_Draw = Callable[[np.random.Generator, int], Array]


def _generalised(rng: np.random.Generator, n: int) -> Array:
    """|w|^shape is Gamma(1/shape)."""
    return rng.choice([-1.0, 1.0], n) * rng.gamma(1.0 / SHAPE, size=n) ** (1.0 / SHAPE)


def _two_scales(rng: np.random.Generator, n: int) -> Array:
    """Half of the weights ten times as far out as the other half."""
    return np.where(rng.random(n) < 0.5, 1.0, 0.1) * rng.standard_normal(n)


def _clusters(rng: np.random.Generator, n: int) -> Array:
    """Weights that are shared: about three values, half of them about zero."""
    return rng.choice([-2.0, 0.0, 0.0, 2.0], n) + 0.5 * rng.standard_normal(n)


#: How to draw from a prior, and the prior, by its name in ``_prior_lengths.PRIORS``; one more of a mixture.
TRUTHS: dict[str, tuple[_Draw, Prior]] = {
    "gaussian": (lambda rng, n: rng.standard_normal(n), Gaussian(1.0)),
    "laplace": (lambda rng, n: rng.laplace(size=n), Laplace(1.0)),
    "logistic": (lambda rng, n: rng.logistic(size=n), Logistic(1.0)),
    "cauchy": (lambda rng, n: rng.standard_cauchy(n), Cauchy(1.0)),
    "student": (lambda rng, n: rng.standard_t(DF, n), StudentT(1.0, df=DF)),
    "generalised": (_generalised, GeneralizedGaussian(1.0, shape=SHAPE)),
    "uniform": (lambda rng, n: rng.uniform(-1.0, 1.0, n), Uniform(1.0)),
    "spike": (lambda rng, n: np.where(rng.random(n) < DENSITY, rng.standard_normal(n), 0.0),
              SpikeAndSlab(DENSITY, Gaussian(1.0))),
    "mixture": (_two_scales, Mixture(2, (0.5, 0.5), (0.0, 0.0), (1.0, 0.1))),
    "clusters": (_clusters, Mixture(3, (0.25, 0.5, 0.25), (-2.0, 0.0, 2.0), (0.5, 0.5, 0.5))),
}  # fmt: skip
#: The prior of a truth that has another name.
RIGHT = {"clusters": "mixture"}


def rows(task: tuple[str, int, int]) -> list[dict[str, Any]]:
    """The lengths of weights of one truth; ``given_bits`` under the very prior that they were drawn from."""
    truth, n, seed = task
    draw, prior = TRUTHS[truth]
    scale = 1.0 + (7 * seed % _PARTS) / _PARTS
    w = scale * draw(np.random.default_rng([seed, n, list(TRUTHS).index(truth)]), n)
    given = bits_under(w, times(prior, scale))
    row = {"part": "drawn", "truth": truth, "n": n, "seed": seed, "given_bits": given, **lengths(w)}
    return [_rows.kept({**row, "shortest": shortest(row)}, DIGITS)]


def times(prior: Any, factor: float) -> Any:
    """The prior of weights that are so many times as large."""
    if isinstance(prior, SpikeAndSlab):
        return dataclasses.replace(prior, slab=times(prior.slab, factor))
    if isinstance(prior, Mixture):
        locs, scales = (tuple(factor * v for v in values) for values in (prior.locs or (), prior.scales or ()))
        return dataclasses.replace(prior, locs=locs, scales=scales)
    return dataclasses.replace(prior, scale=factor * prior.scale)
