"""The laws of priors: exact masses that tile the line, a density that is their limit, a fit that cannot be bettered."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate

from mdl import priors
from mdl.errors import PriorError
from mdl.masses import Array
from tests import oracle

T = TypeVar("T")
NDArrayInt = NDArray[np.int64]
ULP = float(np.finfo(float).eps)

CENTRES = (0.0, 3e-8, 1e-3, 0.3, 1.0, 2.5, 8.5, 20.0, 37.6, 60.0)
WIDTHS = (1e-7, 1e-4, 1.9e-3, 2.1e-3, 0.05, 0.6, 4.0, 30.0)


def frame(prior: Any) -> tuple[float, float]:
    """Centre and scale that the tests measure a prior in."""
    match prior:
        case priors.Hashed():
            return frame(prior.base)
        case priors.SpikeAndSlab():
            return frame(prior.slab)
        case priors.Mixture():
            return float(np.mean(prior.locs)), max(prior.scales)
    return prior.loc, prior.scale


def cells(prior: Any) -> tuple[Array, Array]:
    """Narrow, wide, straddling and half-infinite cells out to 60 scales on both sides, and the whole line."""
    centres = np.array(sorted({sign * c for c in CENTRES for sign in (-1.0, 1.0)}))
    c, w = (grid.ravel() for grid in np.meshgrid(centres, WIDTHS))
    far = np.full(centres.size, np.inf)
    lower = np.concatenate([c - w / 2, -far, centres, np.zeros(len(WIDTHS)), [-np.inf]])
    upper = np.concatenate([c + w / 2, centres, far, WIDTHS, [np.inf]])
    loc, scale = frame(prior)
    return loc + scale * lower, loc + scale * upper


def _nudged(lower: Array, upper: Array, loc: float, ulps: float) -> Iterator[tuple[float, float]]:
    with np.errstate(invalid="ignore"):
        moved = [ulps * ULP * np.where(np.isinf(x), 0.0, np.abs(x) + abs(loc)) for x in (lower, upper)]
    return zip((lower - moved[0]).tolist(), (upper + moved[1]).tolist(), strict=True)


def masses_are_exact(prior: Any) -> None:
    """Within 1e-12 of mpmath, relative to ln mass; and, where (edge - loc) / scale rounds, what 2 ulp there change."""
    lower, upper = cells(prior)
    mass = oracle.mass(prior)
    loc, scale = frame(prior)
    expected = oracle.log_masses(mass, _nudged(lower, upper, loc, 0.0))
    allowed = 1e-12 * np.maximum(1.0, np.abs(expected))
    dyadic = not isinstance(prior, priors.Mixture) and loc == 0.0 and math.frexp(scale)[0] == 0.5
    if not dyadic:
        wider = oracle.log_masses(mass, _nudged(lower, upper, loc, 2.0))
        with np.errstate(invalid="ignore"):
            allowed = allowed + np.where(np.isneginf(expected), 0.0, 2.0 * (wider - expected))
    found = prior.log_mass(lower, upper)
    with np.errstate(invalid="ignore"):
        wrong = ~((found == expected) | (np.abs(found - expected) <= allowed))
    report = [(lower[i], upper[i], found[i], expected[i]) for i in np.flatnonzero(wrong)[:3]]
    assert not wrong.any(), f"{prior}: {wrong.sum()} cells are off, as (lower, upper, found, expected): {report}"


def _tiling(prior: Any) -> tuple[Array, Array]:
    loc, scale = frame(prior)
    inner = np.concatenate([np.linspace(-60.0, 60.0, 700), np.random.default_rng(0).standard_t(1.0, 300)])
    edges = loc + scale * np.concatenate([[-np.inf], np.unique(inner), [np.inf]])
    return edges[:-1], edges[1:]


def masses_tile_the_line(prior: Any) -> None:
    """The masses of cells that tile the line sum to 1: Kraft's inequality, with equality."""
    total = math.fsum(np.exp(prior.log_mass(*_tiling(prior))))
    assert abs(total - 1.0) <= 1e-12, f"{prior}: masses sum to 1 + {total - 1.0:.3g}"


def shapes_are_kept(prior: Any) -> None:
    """A density of the shape of the points, masses of the shape that both edges broadcast to."""
    loc, scale = frame(prior)
    w = loc + scale * np.linspace(0.1, 0.9, 6).reshape(2, 3)
    for points in (w, w[0], w[0, 0], w[:0]):
        assert np.shape(prior.logpdf(points)) == np.shape(points)
        assert np.shape(prior.log_mass(points - scale, points)) == np.shape(points)
    assert np.shape(prior.log_mass(loc, w)) == (2, 3)


def density_integrates_to_one(prior: Any) -> None:
    """Integral of e^logpdf over the line; for a spike and slab, the slab's share."""
    loc, scale = frame(prior)
    knots = (-60.0, -8.0, -2.0, 0.0, 2.0, 8.0, 300.0)
    area = 0.0
    for side in (-1.0, 1.0):  # w = loc +- scale e^t makes power laws and kinks at the centre smooth

        def integrand(t: float, side: float = side) -> float:
            with np.errstate(over="ignore"):
                return math.exp(float(prior.logpdf(loc + side * scale * math.exp(t))) + t) * scale

        pieces = [
            integrate.quad(integrand, a, b, epsabs=1e-12, epsrel=1e-10, limit=200)[0]
            for a, b in itertools.pairwise(knots)
        ]
        area += math.fsum(pieces)
    share = getattr(prior, "density", 1.0)
    assert area == pytest.approx(share, abs=1e-7), f"{prior}: density integrates to {area}"


def density_is_the_limit_of_masses(prior: Any) -> None:
    """Ln mass - ln width tends to logpdf as the width falls, with an error of second order."""
    loc, scale = frame(prior)
    w = loc + scale * np.array([-8.0, -4.0, -0.9, -0.3, 0.2, 0.6, 3.0, 7.0])
    expected, half = prior.logpdf(w), np.full(w.size, 1e-3 * scale)
    for _ in range(40):  # until the density is nearly flat over the cell
        with np.errstate(invalid="ignore"):
            half = np.where(np.abs(prior.logpdf(w + half) - prior.logpdf(w - half)) > 1e-3, half / 2.0, half)
    lower, upper = w - half, w + half
    found = prior.log_mass(lower, upper) - np.log(upper - lower)
    with np.errstate(invalid="ignore"):
        off = np.where(found == expected, 0.0, np.abs(found - expected))
    assert (off <= 3e-6).all(), f"{prior}: off by {off} at {w}"


def loc_shifts(prior: Any) -> None:
    """Moving ``loc`` and the weights together changes nothing."""
    if not hasattr(prior, "loc"):
        return
    w = np.arange(-80.0, 81.0) / 8.0
    centred, moved = (dataclasses.replace(prior, loc=loc) for loc in (0.0, 16.0))
    np.testing.assert_array_equal(moved.logpdf(w + 16.0), centred.logpdf(w))
    np.testing.assert_array_equal(moved.log_mass(w + 15.5, w + 16.25), centred.log_mass(w - 0.5, w + 0.25))


def opened(prior: T) -> T:
    """The same prior with every parameter open that can be: the fields whose default is None, nested priors' too."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(prior):  # type: ignore[arg-type]
        value = getattr(prior, field.name)
        if field.default is None:
            changed[field.name] = None
        elif dataclasses.is_dataclass(value):
            changed[field.name] = opened(value)
    return dataclasses.replace(prior, **changed)  # type: ignore[type-var]


def neighbours(prior: Any, factor: float) -> Iterator[Any]:
    """``prior`` with one of the parameters that ``fit`` chooses multiplied by ``factor``, where that is allowed."""
    for field in dataclasses.fields(prior):
        value = getattr(prior, field.name)
        if dataclasses.is_dataclass(value):
            changes = list(neighbours(value, factor))
        elif field.default is not None:
            continue
        elif isinstance(value, tuple):
            changes = [(*value[:i], value[i] * factor, *value[i + 1 :]) for i in range(len(value))]
        else:
            changes = [value * factor]
        for change in changes:
            try:
                yield dataclasses.replace(prior, **{field.name: change})
            except PriorError:
                continue


def _sample(prior: Any) -> tuple[Array, NDArrayInt, float]:
    """Distinct weights on a grid about the prior's centre, how often each occurs, and the width of their cells."""
    loc, scale = frame(prior)
    step = 0.25 * scale
    symbols, counts = np.unique(np.rint(4.0 * np.random.default_rng(1).standard_t(4.0, 4000)), return_counts=True)
    return loc + step * symbols, counts, step


def length(prior: Any, w: Array, counts: NDArrayInt, width: float) -> float:
    """Nats of the weights' cells."""
    return -float(counts @ prior.log_mass(w - 0.5 * width, w + 0.5 * width))


def fit_is_a_minimum(prior: Any) -> None:
    """No fitted parameter can move by 5 or 20 % and shorten the code by more than a hair: 1e-4 of a nat a weight."""
    w, counts, width = _sample(prior)
    fitted = opened(prior).fit(w, counts, width)
    best = length(fitted, w, counts, width)
    for factor in (0.8, 0.95, 1.05, 1.2):
        for other in neighbours(fitted, factor):
            gain = best - length(other, w, counts, width)
            assert gain <= 1e-4 * counts.sum(), f"{other} is {gain:.3g} nats shorter than the fitted {fitted}"


def fit_keeps_what_is_given(prior: Any) -> None:
    """A prior without open parameters is its own fit."""
    assert prior.fit(*_sample(prior)) == prior


def fit_counts_are_repetitions(prior: Any) -> None:
    """Counts stand for repeated weights, and a count of 0 for none."""
    w, counts, width = _sample(prior)
    found = opened(prior).fit(np.append(w, 1e3), np.append(counts, 0), width)
    expected = opened(prior).fit(np.repeat(w, counts), None, width)
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=2e-3, atol=1e-9)


def fit_of_little_data(prior: Any) -> None:
    """Empty, single and constant data have a fit: finite parameters, and a code for the data."""
    for w in ([], [0.0], [0.3], [0.3] * 7, [-2.0, -2.0], [0.0] * 9, [1e-12, 1e6]):
        for width in (0.0, 0.125):
            points = np.array(w)
            fitted = opened(prior).fit(points, None, width)
            assert np.isfinite(fitted.parameters).all(), f"{w} within {width}: {fitted}"
            mass = fitted.log_mass(points - 0.0625, points + 0.0625)
            assert np.isfinite(mass).all(), f"{w} within {width}: {fitted} gives {mass}"


def open_parameters_are_refused(prior: Any) -> None:
    """Nothing can be computed before a fit."""
    unfit = opened(prior)
    for compute in (lambda: unfit.parameters, lambda: unfit.logpdf(0.5), lambda: unfit.log_mass(0.0, 1.0)):
        with pytest.raises(PriorError, match="open parameters"):
            compute()


def invalid_parameters_are_refused(prior: Any) -> None:
    """No parameter that ``fit`` would choose may be 0, negative, infinite or NaN; no centre infinite or NaN."""
    for field in dataclasses.fields(prior):
        value = getattr(prior, field.name)
        anywhere = field.name in ("loc", "locs")
        if field.default is not None and not anywhere:
            continue
        for wrong in (math.inf, -math.inf, math.nan) if anywhere else (0.0, -1.0, math.inf, math.nan):
            with pytest.raises(PriorError):
                dataclasses.replace(prior, **{field.name: (wrong, *value[1:]) if isinstance(value, tuple) else wrong})


def hashed_deals_out_the_masses_of_its_base(prior: Any) -> None:
    """The same masses and densities as the base's, in an order of their own that the salt changes."""
    lower, upper = cells(prior)
    found, base = prior.log_mass(lower, upper), prior.base.log_mass(lower, upper)
    np.testing.assert_array_equal(np.sort(found), np.sort(base))
    np.testing.assert_array_equal(np.sort(prior.logpdf(lower[:99])), np.sort(prior.base.logpdf(lower[:99])))
    other = dataclasses.replace(prior, salt=prior.salt + 1).log_mass(lower, upper)
    assert not np.array_equal(found, base)
    assert not np.array_equal(found, other)


def hashed_fit_is_no_longer_than_the_fit_of_its_base(prior: Any) -> None:
    """On distinct cells, which are its alphabet; those that never occur are no part of it."""
    w, counts, width = _sample(prior)
    fitted = opened(prior).fit(np.append(w, 1e3), np.append(counts, 0), width)
    other = dataclasses.replace(prior, base=opened(prior.base).fit(w, counts, width))
    gain = length(fitted, w, counts, width) - length(other, w, counts, width)
    assert gain <= 1e-9, f"{other} is {gain:.3g} nats shorter than the fitted {fitted}"


_COMMON_LAWS = (
    fit_keeps_what_is_given,
    fit_of_little_data,
    open_parameters_are_refused,
    invalid_parameters_are_refused,
    shapes_are_kept,
    masses_tile_the_line,
)
_DENSITY_LAWS = (
    masses_are_exact,
    density_integrates_to_one,
    density_is_the_limit_of_masses,
    loc_shifts,
    fit_is_a_minimum,
    fit_counts_are_repetitions,
)
_HASH_LAWS = (hashed_deals_out_the_masses_of_its_base, hashed_fit_is_no_longer_than_the_fit_of_its_base)


def prior_laws(prior: Any) -> tuple[Callable[[Any], None], ...]:
    """The laws for a prior. One that orders an alphabet by its hash has no density and no smooth fit."""
    return (*_COMMON_LAWS, *(_HASH_LAWS if isinstance(prior, priors.Hashed) else _DENSITY_LAWS))


def check_prior(prior: Any) -> None:
    """All laws of a prior without open parameters."""
    for law in prior_laws(prior):
        law(prior)
