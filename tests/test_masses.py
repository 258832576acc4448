"""Standard densities and masses against mpmath, on far more and harder cells than the laws visit."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from mdl import masses
from tests import oracle

SHAPES = {
    "student_t": (0.06, 0.3, 1.0, 2.5, 30.0, 61.0, 600.0),
    "generalized_gaussian": (0.11, 0.7, 1.0, 2.0, 3.7, 19.0),
}
FAMILIES = [
    name.removesuffix("_mass") for name, _ in inspect.getmembers(masses, inspect.isfunction) if name.endswith("_mass")
]
SCIPY: dict[str, Callable[..., Any]] = {
    "gaussian": stats.norm,
    "laplace": stats.laplace,
    "logistic": stats.logistic,
    "cauchy": stats.cauchy,
    "student_t": stats.t,
    "generalized_gaussian": stats.gennorm,
    "uniform": functools.partial(stats.uniform, loc=-1.0, scale=2.0),
}
CASES = [
    pytest.param(name, shape, id="-".join([name, *map(str, shape)]))
    for name in FAMILIES
    for shape in ([(s,) for s in SHAPES[name]] if name in SHAPES else [()])
]
every_family = pytest.mark.parametrize(("name", "shape"), CASES)


def mass(name: str, shape: tuple[float, ...], lower: Any, upper: Any) -> Any:
    return getattr(masses, f"{name}_mass")(lower, upper, *shape)


def expected(name: str, shape: tuple[float, ...], lower: Any, upper: Any) -> Any:
    family = getattr(oracle, f"{name}_tail")

    def exact(a: Any, b: Any) -> Any:
        return oracle.mass_of(lambda z: family(z, *shape), a, b)

    return oracle.log_masses(exact, zip(lower.tolist(), upper.tolist(), strict=True))


def assert_exact(name: str, shape: tuple[float, ...], lower: Any, upper: Any) -> None:
    found, right = mass(name, shape, lower, upper), expected(name, shape, lower, upper)
    with np.errstate(invalid="ignore"):
        wrong = ~((found == right) | (np.abs(found - right) <= 1e-12 * np.maximum(1.0, np.abs(right))))
    report = [(lower[i], upper[i], found[i], right[i]) for i in np.flatnonzero(wrong)[:3]]
    assert not wrong.any(), f"{wrong.sum()} cells are off, as (lower, upper, found, expected): {report}"


@every_family
def test_random_cells_out_to_60_scales(name: str, shape: tuple[float, ...]) -> None:
    rng = np.random.default_rng(7)
    n = 300
    centre = np.where(
        rng.random(n) < 0.5, rng.uniform(-60, 60, n), rng.choice([-1, 1], n) * 60.0 ** rng.uniform(-4, 1, n)
    )
    width = np.exp(rng.uniform(math.log(1e-7), math.log(30.0), n))
    assert_exact(name, shape, centre - width / 2, centre + width / 2)


@every_family
def test_cells_that_touch_or_straddle_zero_and_half_lines(name: str, shape: tuple[float, ...]) -> None:
    x = np.array([1e-7, 2e-4, 1e-3, 0.03, 0.5, 0.9999, 1.0, 1.0001, 1.5, 4.0, 8.4, 26.0, 38.6, 60.0])
    zero, inf = np.zeros(x.size), np.full(x.size, np.inf)
    lower = np.concatenate([zero, -x, -x, -0.3 * x, -2.0 * x, x, -inf, -x, -inf])
    upper = np.concatenate([x, zero, x, x, 0.1 * x, inf, -x, inf, x])
    assert_exact(name, shape, lower, upper)


@every_family
def test_density_is_scipys(name: str, shape: tuple[float, ...]) -> None:
    z = np.linspace(-20.0, 20.0, 81)
    found = getattr(masses, f"{name}_pdf")(z, *shape)
    np.testing.assert_allclose(found, SCIPY[name](*shape).logpdf(z), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("df", [0.06, 1.0, 59.9, 60.0, 500.0, 2100.0, 5000.0, 1e4])
def test_student_t_is_normalised_at_any_df(df: float) -> None:
    with mp.workdps(30):
        half = mp.mpf(df) / 2
        exact = float(mp.loggamma(half + mp.mpf(1) / 2) - mp.loggamma(half) - mp.log(mp.pi * df) / 2)
    assert masses.student_t_pdf(np.array(0.0), df) == pytest.approx(exact, abs=1e-13)


@every_family
def test_impossible_cells_have_no_mass(name: str, shape: tuple[float, ...]) -> None:
    assert mass(name, shape, -np.inf, np.inf) == 0.0
    assert np.isneginf(mass(name, shape, 0.25, 0.25))


@every_family
def test_scalars_and_broadcasting(name: str, shape: tuple[float, ...]) -> None:
    lower, upper = np.array([[-2.0], [0.1]]), np.array([0.2, 0.5, 3.0])
    table = mass(name, shape, lower, upper)
    assert table.shape == (2, 3)
    each = [[float(mass(name, shape, a, b)) for b in upper] for a in lower.ravel()]
    np.testing.assert_allclose(table, each, rtol=1e-14)


def test_log_sub_of_equal_and_absent_terms() -> None:
    high, low = np.array([0.0, 0.0, -800.0, 0.0]), np.array([-np.inf, 0.0, -801.0, -1e-9])
    with mp.workdps(40):
        exact = [0.0, -math.inf, *(float(h + mp.log(1 - mp.exp(mp.mpf(l) - h))) for h, l in ((-800, -801), (0, -1e-9)))]
    np.testing.assert_allclose(masses.log_sub(high, low), exact, rtol=1e-15)


# --- the oracle itself ------------------------------------------------------------------------------------------------


@every_family
def test_the_oracle_agrees_with_scipy(name: str, shape: tuple[float, ...]) -> None:
    rng = np.random.default_rng(1)
    edges = np.sort(rng.uniform(-4.0, 4.0, (30, 2)), axis=1)
    edges[0] = -np.inf, np.inf
    found = np.exp(expected(name, shape, edges[:, 0], edges[:, 1]))
    law = SCIPY[name](*shape)
    np.testing.assert_allclose(found, law.cdf(edges[:, 1]) - law.cdf(edges[:, 0]), atol=1e-12)


def test_the_oracle_refuses_a_family_that_it_does_not_know() -> None:
    with pytest.raises(LookupError, match="write an mpmath oracle for object"):
        oracle._family(object())
