"""The derived formulas agree with the numeric priors, with quadrature in mpmath, and with textbook penalties."""

from __future__ import annotations

import inspect
import math
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from mdl import priors, symbolic
from mdl.errors import PriorError
from mdl.penalties import CONVENTIONS
from mdl.priors import (
    Cauchy,
    Gaussian,
    GeneralizedGaussian,
    Hashed,
    Laplace,
    Logistic,
    Mixture,
    SpikeAndSlab,
    StudentT,
    Uniform,
)
from mdl.symbolic import LOC, SCALE, SHAPE, STEP, N, W, as_function, parameters

SMOOTH: list[Any] = [
    Gaussian(scale=0.7, loc=0.3),
    Laplace(scale=0.4),
    Logistic(scale=1.3, loc=-2.0),
    Cauchy(scale=0.01, loc=0.02),
    StudentT(scale=2.0, df=3.5, loc=1.0),
    StudentT(scale=1.0, df=80.0),
    GeneralizedGaussian(scale=0.5, shape=0.6, loc=0.1),
    GeneralizedGaussian(scale=0.5, shape=3.0),
    Uniform(scale=2.0, loc=0.25),
    Mixture(2, weights=(2.0, 1.0), locs=(0.0, 0.5), scales=(0.1, 1.0)),
    Mixture(3, weights=(2.0, 1.0, 4.0), locs=(0.0, -0.5, 1.0), scales=(0.3, 1.0, 0.4)),
]
SPIKED: list[Any] = [
    SpikeAndSlab(0.8, Gaussian(scale=0.5)),
    SpikeAndSlab(0.2, Laplace(scale=0.5, loc=0.1)),
    SpikeAndSlab(0.6, Mixture(2, weights=(2.0, 1.0), locs=(0.0, 0.5), scales=(0.1, 1.0))),
]
EVERY = SMOOTH + SPIKED


def points(prior: Any) -> np.ndarray:
    """Both sides of the centre, out to where a plain formula still has its digits."""
    scale = max(value for name, value in parameters(prior).items() if name.startswith("scale"))
    steps = np.concatenate([np.linspace(0.01, 1.0, 12), np.geomspace(1.1, 25.0, 12)]) * scale
    return symbolic_centre(prior) + np.concatenate([-steps, steps])


def symbolic_centre(prior: Any) -> float:
    return getattr(prior, "loc", 0.0)


def test_every_prior_with_a_density_is_there() -> None:
    defined = {
        kind
        for _, kind in inspect.getmembers(priors, inspect.isclass)
        if kind.__module__ == priors.__name__ and hasattr(kind, "log_mass") and not kind.__name__.startswith("_")
    }
    assert defined - {priors.Prior, Hashed} == {type(prior) for prior in symbolic.FAMILIES}


@pytest.mark.parametrize("prior", SMOOTH, ids=str)
def test_density_is_the_numeric_one(prior: Any) -> None:
    w = points(prior)
    expected = np.exp(prior.logpdf(w))
    np.testing.assert_allclose(
        as_function(symbolic.density(prior))(w=w, **parameters(prior)), expected, rtol=5e-12, atol=1e-300
    )


@pytest.mark.parametrize("prior", SMOOTH, ids=str)
def test_penalty_is_a_difference_of_code_lengths(prior: Any) -> None:
    w = points(prior)
    expected = prior.logpdf(symbolic_centre(prior)) - prior.logpdf(w)
    actual = as_function(symbolic.penalty(prior))(w=w, **parameters(prior))
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prior", SPIKED, ids=str)
def test_penalty_with_a_spike_is_a_difference_of_code_lengths(prior: Any) -> None:
    step = 1e-5
    w = points(prior)
    lengths = -prior.log_mass(w - step / 2, w + step / 2)
    at_zero = -prior.log_mass(-step / 2, step / 2)
    values = {"step": step, **parameters(prior)}
    actual = as_function(symbolic.penalty(prior))(w=np.append(w, 0.0), **values)
    np.testing.assert_allclose(actual[:-1], lengths - at_zero, atol=1e-6)
    assert actual[-1] == 0.0
    np.testing.assert_allclose(as_function(symbolic.origin_length(prior))(**values), at_zero, atol=1e-9)


def test_price_of_a_nonzero_weight_grows_like_the_digits_to_state_it() -> None:
    prior = SpikeAndSlab(0.8, Gaussian(scale=0.5))
    price = as_function(symbolic.l0_price(prior))
    fine, coarse = (price(step=step, **parameters(prior)) for step in (2.0**-30, 2.0**-29))
    assert fine - coarse == pytest.approx(math.log(2.0), abs=1e-7)
    assert price(step=0.1, density=1.0, scale=0.5, loc=0.0) == 0.0  # no spike, no price


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (Gaussian(), (W - LOC) ** 2 / (2 * SCALE**2)),
        (Laplace(), sp.Abs(W - LOC) / SCALE),
        (Logistic(), 2 * sp.log(sp.cosh((W - LOC) / (2 * SCALE)))),
        (Cauchy(), sp.log(1 + ((W - LOC) / SCALE) ** 2)),
        (StudentT(), (symbolic.DF + 1) / 2 * sp.log(1 + ((W - LOC) / SCALE) ** 2 / symbolic.DF)),
        (GeneralizedGaussian(), (sp.Abs(W - LOC) / SCALE) ** SHAPE),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "logpdf") else "",
)
def test_penalty_is_the_textbook_one(prior: Any, expected: sp.Expr) -> None:
    assert sp.simplify(symbolic.penalty(prior) - expected) == 0


@pytest.mark.parametrize("prior", SMOOTH[:-3] + SMOOTH[-2:], ids=str)  # a uniform has none
def test_force_is_the_slope_of_the_code_length(prior: Any) -> None:
    w = points(prior)
    with mpmath.workdps(30):
        costs = as_mpmath(symbolic.penalty(prior), prior)
        expected = [float(mpmath.diff(costs, mpmath.mpf(float(x)), h=mpmath.mpf(10) ** -10)) for x in w]
    actual = as_function(symbolic.force(prior))(w=w, **parameters(prior))
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "prior",
    [p for p in SMOOTH if isinstance(p, Gaussian | Logistic | Cauchy | StudentT | Mixture)]
    + [GeneralizedGaussian(scale=0.5, shape=2.0), GeneralizedGaussian(scale=0.5, shape=3.0)],
    ids=str,
)
def test_curvature_is_that_of_the_code_length(prior: Any) -> None:
    h = mpmath.mpf(10) ** -8
    with mpmath.workdps(40):
        costs = as_mpmath(symbolic.penalty(prior), prior)
        at = mpmath.mpf(symbolic_centre(prior))
        expected = float((costs(at + h) - 2 * costs(at) + costs(at - h)) / h**2)
    actual = as_function(symbolic.curvature(prior))(w=0.0, **parameters(prior))
    assert actual == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "prior",
    [Laplace(scale=0.4), GeneralizedGaussian(0.5, shape=0.6), GeneralizedGaussian(0.5, shape=1.7), SPIKED[0]],
    ids=str,
)
def test_curvature_at_a_kink_is_infinite(prior: Any) -> None:
    assert as_function(symbolic.curvature(prior))(**parameters(prior)) == math.inf


def as_mpmath(expression: sp.Expr, prior: Any) -> Any:
    """The expression as a function of ``w`` alone in mpmath."""
    numbers = {symbol: sp.Float(parameters(prior)[symbol.name], 50) for symbol in expression.free_symbols - {W}}
    return sp.lambdify(W, expression.subs(numbers), "mpmath")


@pytest.mark.parametrize("prior", EVERY, ids=str)
def test_rounding_cost_is_the_second_term(prior: Any) -> None:
    """The rest of the expansion falls like step^4: halving the step divides it by 16."""
    values = parameters(prior)
    scale = min(value for name, value in values.items() if name.startswith("scale"))
    w = symbolic_centre(prior) + scale * np.array([-0.9, -0.7, 0.6, 0.8])
    density = as_function(sum(symbolic.density(prior).as_ordered_terms()).replace(sp.DiracDelta, lambda _: 0))
    rest = []
    for step in (scale / 8, scale / 16):
        length = -prior.log_mass(w - step / 2, w + step / 2)
        leading = -np.log(density(w=w, **values)) - math.log(step)
        rest.append(length - leading - as_function(symbolic.rounding_cost(prior))(w=w, step=step, **values))
    if isinstance(prior, Uniform):
        np.testing.assert_allclose(rest[0], 0.0, atol=1e-14)
    else:
        np.testing.assert_allclose(rest[0] / rest[1], 16.0, rtol=0.05)


@pytest.mark.parametrize("prior", EVERY, ids=str)
def test_centre_cost_is_that_of_the_centre_cell(prior: Any) -> None:
    values = {"step": 1e-4 * min(v for name, v in parameters(prior).items() if name.startswith("scale"))}
    values |= parameters(prior)
    at, half = symbolic_centre(prior), values["step"] / 2
    excess = -prior.log_mass(at - half, at + half) - as_function(symbolic.origin_length(prior))(**values)
    expected = as_function(symbolic.centre_cost(prior))(**values)
    assert excess == pytest.approx(float(expected), rel=2e-2, abs=1e-12)


def test_cell_expansion_is_that_of_an_integral() -> None:
    p, step, w = sp.Function("p", positive=True), 1e-3, 0.4
    of_sine = symbolic.cell_expansion().subs(p(W), 2 + sp.sin(W)).doit().subs({W: w, STEP: step})
    with mpmath.workdps(40):
        mass = mpmath.quad(lambda x: 2 + mpmath.sin(x), [mpmath.mpf(w) - step / 2, mpmath.mpf(w) + step / 2])
        exact = float(-mpmath.log(mass))
    assert float(of_sine) == pytest.approx(exact, abs=1e-13)
    assert step**2 / 24 * math.sin(w) / (2 + math.sin(w)) > 1e-9  # what the second term is worth


@pytest.mark.parametrize(
    ("prior", "regulariser", "expected"),
    [
        (Gaussian(), W**2 / 2, 1 / (N * SCALE**2)),
        (Gaussian(), W**2, 1 / (2 * N * SCALE**2)),
        (Laplace(), sp.Abs(W), 1 / (N * SCALE)),
        (GeneralizedGaussian(), sp.Abs(W) ** SHAPE, 1 / (N * SCALE**SHAPE)),
    ],
    ids=["L2", "L2 without its half", "L1", "Lp"],
)
def test_strength(prior: Any, regulariser: sp.Expr, expected: sp.Expr) -> None:
    assert sp.simplify(symbolic.strength(prior, regulariser) - expected) == 0


def test_strength_is_that_of_the_conventions() -> None:
    found = as_function(symbolic.strength(Gaussian(), W**2 / 2))
    assert found(n=50, scale=Gaussian.from_l2(1e-3, n=50).scale) == pytest.approx(1e-3)
    assert found(n=50, scale=math.sqrt(7.0)) == pytest.approx(
        CONVENTIONS["sklearn.LogisticRegression.C"].strength(7.0, n=50)
    )


def test_strength_refuses_another_penalty() -> None:
    with pytest.raises(PriorError, match="expected a regulariser that Laplace equals"):
        symbolic.strength(Laplace(), W**2 / 2)


@pytest.mark.parametrize(
    "derive",
    [symbolic.density, symbolic.penalty, symbolic.force, symbolic.curvature, symbolic.parameters],
    ids=lambda derive: derive.__name__,
)
def test_hashed_has_no_density(derive: Any) -> None:
    with pytest.raises(PriorError, match="expected a prior with a density over the reals, got Hashed"):
        derive(Hashed(Gaussian(scale=1.0)))


def test_as_function_names_what_is_missing() -> None:
    with pytest.raises(PriorError, match="expected a value for loc, scale, got w"):
        as_function(symbolic.penalty(Gaussian()))(w=1.0)


def test_latex_table_has_a_row_for_every_family() -> None:
    lines = symbolic.latex_table().splitlines()
    assert [line.partition(" &")[0] for line in lines[3:-1]] == [type(p).__name__ for p in symbolic.FAMILIES]
    assert all(line.count(" & $") == 3 and line.count("$") == 6 for line in lines[3:-1])
    assert not any(name in line for line in lines[3:] for name in ("scale", "loc", "weight", "density", "step"))
