"""The derived lengths agree with quadrature, enumeration, scipy's densities and constants from elsewhere."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy import integrate, optimize, special, stats

from mdl import symbolic
from mdl.errors import DataError
from mdl.symbolic import FISHER, NOISE, SCALE, STEP, as_function, latex

RNG = np.random.default_rng(0)
DERIVED = {
    "step_cost": symbolic.step_cost(),
    "best_step": symbolic.best_step(),
    "peak_evidence": symbolic.peak_evidence(),
    "lattice_overhead": symbolic.lattice_overhead(),
    "diagonal_ridge_evidence": symbolic.diagonal_ridge_evidence(2),
    "gaussian_kl": symbolic.gaussian_kl(),
    "bernoulli_complexity": symbolic.bernoulli_complexity(),
    "bernoulli_complexity_limit": symbolic.bernoulli_complexity_limit(),
    "ball_volume": symbolic.ball_volume(),
    "codebook_cost": symbolic.codebook_cost(),
    "codebook_overhead": symbolic.codebook_overhead(),
    "codebook_overhead_limit": symbolic.codebook_overhead_limit(),
}


@pytest.mark.parametrize(("fisher", "step"), [(1.0, 1.0), (37.0, 0.2), (1e-3, 80.0)])
def test_step_cost_is_the_mean_loss_in_a_cell(fisher: float, step: float) -> None:
    loss, _ = integrate.quad(lambda t: fisher * t**2 / 2 / step, -step / 2, step / 2)
    actual = as_function(symbolic.step_cost())(fisher=fisher, step=step)
    assert actual == pytest.approx(loss - math.log(step), rel=1e-12)


@pytest.mark.parametrize("fisher", [1e-4, 1.0, 250.0])
def test_no_step_costs_less_than_the_best(fisher: float) -> None:
    cost = as_function(symbolic.step_cost())
    found = optimize.minimize_scalar(lambda log_step: cost(fisher=fisher, step=math.exp(log_step)))
    best = as_function(symbolic.best_step())(fisher=fisher)
    assert best == pytest.approx(math.exp(found.x), rel=1e-6)
    assert best == pytest.approx(math.sqrt(12 / fisher), rel=1e-14)  # Wallace & Freeman


@pytest.mark.parametrize("fisher", [1e-2, 7.0])
def test_peak_evidence_is_the_integral(fisher: float) -> None:
    mass, _ = integrate.quad(lambda t: math.exp(-fisher * t**2 / 2), -math.inf, math.inf)
    assert as_function(symbolic.peak_evidence())(fisher=fisher) == pytest.approx(-math.log(mass), rel=1e-10)


def test_lattice_overhead_is_the_quarter_bit() -> None:
    bits = as_function(symbolic.lattice_overhead() / sp.log(2))()
    assert bits == pytest.approx(0.25461433, abs=5e-9)  # 1/2 log2(2 pi e / 12) in mpmath, 1.53 dB over 6.02 dB a bit
    fine = stats.norm.cdf(np.arange(-400, 401) / 40 + 1 / 80) - stats.norm.cdf(np.arange(-400, 401) / 40 - 1 / 80)
    entropy = float(special.entr(fine[fine > 0]).sum()) / math.log(2)  # of a normal on steps of 1/40
    rate = math.log2(1 / math.sqrt(1 / 40**2 / 12))  # R(D) at the same distortion
    assert bits == pytest.approx(entropy - rate, abs=1e-4)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 1), (1, 2), (4, 2), (3, 3)])
def test_ridge_evidence_is_the_density_of_the_targets(n: int, d: int) -> None:
    X, y = RNG.normal(size=(n, d)).round(2), RNG.normal(size=n).round(2)
    exact = [sp.Matrix(n, k, [sp.Rational(str(v)) for v in values.ravel()]) for k, values in ((d, X), (1, y))]
    actual = as_function(symbolic.ridge_evidence(*exact))(noise=0.7, scale=1.9)
    covariance = 0.7**2 * np.eye(n) + 1.9**2 * X @ X.T
    assert actual == pytest.approx(-stats.multivariate_normal(np.zeros(n), covariance).logpdf(y), rel=1e-11)


def test_ridge_evidence_is_the_integral_over_the_weights() -> None:
    X, y, noise, scale = np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([0.4, -1.1]), 0.5, 1.3

    axis = np.linspace(-12.0, 12.0, 601)
    w = np.stack(np.meshgrid(axis, axis), axis=-1)  # a smooth function on a fine grid: the sum is the integral
    joint = stats.norm.pdf(y, w @ X.T, noise).prod(axis=-1) * stats.norm.pdf(w, 0.0, scale).prod(axis=-1)
    mass = joint.sum() * (axis[1] - axis[0]) ** 2
    symbols = sp.Matrix(2, 2, sp.symbols("x_1:5", real=True)), sp.Matrix(sp.symbols("y_1:3", real=True))
    values = {f"x_{k + 1}": x for k, x in enumerate(X.ravel())} | {f"y_{k + 1}": t for k, t in enumerate(y)}
    actual = as_function(symbolic.ridge_evidence(*symbols))(noise=noise, scale=scale, **values)
    assert actual == pytest.approx(-math.log(mass), rel=1e-10)


def test_diagonal_ridge_evidence_is_that_of_the_whole_design() -> None:
    n, d, noise, scale = 6, 3, 0.6, 0.8
    X, y = RNG.normal(size=(n, d)), RNG.normal(size=n)
    left, singular, _ = np.linalg.svd(X)
    coordinates, eigenvalues = left.T @ y, singular**2
    values = {f"e_{j + 1}": e for j, e in enumerate(eigenvalues)} | {f"t_{j + 1}": t for j, t in enumerate(coordinates)}
    inside = as_function(symbolic.diagonal_ridge_evidence(d))(noise=noise, scale=scale, **values)
    outside = -stats.norm.logpdf(coordinates[d:], 0.0, noise).sum()
    whole = -stats.multivariate_normal(np.zeros(n), noise**2 * np.eye(n) + scale**2 * X @ X.T).logpdf(y)
    assert inside + outside == pytest.approx(whole, rel=1e-12)
    one = symbolic.diagonal_ridge_evidence(1)
    at_zero = as_function(one)(noise=noise, scale=scale, e_1=0.0, t_1=coordinates[d])
    assert at_zero == pytest.approx(-stats.norm.logpdf(coordinates[d], 0.0, noise), rel=1e-12)


def test_ridge_evidence_refuses_shapes_that_disagree() -> None:
    with pytest.raises(DataError, match=r"expected X \(n, d\) and y \(n, 1\), got \(2, 2\) and \(3, 1\)"):
        symbolic.ridge_evidence(sp.eye(2), sp.Matrix([1, 2, 3]))
    with pytest.raises(DataError, match="at least one direction, got 0"):
        symbolic.diagonal_ridge_evidence(0)


@pytest.mark.parametrize(
    ("mean", "deviation", "loc", "scale"), [(0.3, 0.2, -0.1, 1.5), (0.0, 1.0, 0.0, 1.0), (-2.0, 3.0, 0.5, 0.7)]
)
def test_gaussian_kl_is_the_integral(mean: float, deviation: float, loc: float, scale: float) -> None:
    q, p = stats.norm(mean, deviation), stats.norm(loc, scale)
    ends = mean - 12 * deviation, mean + 12 * deviation
    kl, _ = integrate.quad(lambda w: q.pdf(w) * (q.logpdf(w) - p.logpdf(w)), *ends, epsabs=1e-12, limit=200)
    actual = as_function(symbolic.gaussian_kl())(mean=mean, deviation=deviation, loc=loc, scale=scale)
    assert actual == pytest.approx(kl, abs=1e-10)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 9])
def test_bernoulli_nml_sums_to_one_over_all_sequences(n: int) -> None:
    lengths = {k: float(symbolic.bernoulli_nml(n, k)) for k in range(n + 1)}
    sequences = itertools.product((0, 1), repeat=n)
    assert sum(math.exp(-lengths[sum(tosses)]) for tosses in sequences) == pytest.approx(1.0, rel=1e-12)
    with np.errstate(all="ignore"):
        best = [float(stats.binom.pmf(k, n, k / n)) if n else 1.0 for k in range(n + 1)]
    assert float(symbolic.bernoulli_complexity(n)) == pytest.approx(math.log(sum(best)), rel=1e-12)
    regret = [
        lengths[k] + float(special.xlogy(k, k / max(n, 1)) + special.xlogy(n - k, 1 - k / max(n, 1))) for k in lengths
    ]
    np.testing.assert_allclose(regret, regret[0], atol=1e-12)  # the same for every sequence: minimax


def test_bernoulli_complexity_tends_to_its_limit() -> None:
    """By the Szpankowski expansion sqrt(n pi / 2) + 2/3 + O(n^-1/2), the difference is about (2/3) sqrt(2 / (n pi))."""
    limit = as_function(symbolic.bernoulli_complexity_limit())
    for n in (100, 400):
        difference = float(symbolic.bernoulli_complexity(n)) - float(limit(n=n))
        assert difference == pytest.approx(2 / 3 * math.sqrt(2 / (n * math.pi)), rel=0.1)
    with mpmath.workdps(20):
        volume = mpmath.quad(lambda p: 1 / mpmath.sqrt(p * (1 - p)), [0, 0.5, 1])
    assert limit(n=50) == pytest.approx(0.5 * math.log(50 / (2 * math.pi)) + math.log(volume), rel=1e-9)


def test_the_complexity_of_a_symbol_is_the_formula_of_the_number() -> None:
    formula = symbolic.bernoulli_complexity()
    assert float(formula.subs(symbolic.N, 6).doit()) == pytest.approx(
        float(symbolic.bernoulli_complexity(6)), rel=1e-12
    )


def test_bernoulli_lengths_refuse_what_cannot_be() -> None:
    with pytest.raises(DataError, match="expected n >= 0 tosses, got -1"):
        symbolic.bernoulli_complexity(-1)
    with pytest.raises(DataError, match="expected from 0 to n = 3 ones, got 4"):
        symbolic.bernoulli_nml(3, 4)


@pytest.mark.parametrize(("dimension", "volume"), [(1, 2.0), (2, math.pi), (3, 4 * math.pi / 3), (4, math.pi**2 / 2)])
def test_ball_volume(dimension: int, volume: float) -> None:
    assert as_function(symbolic.ball_volume())(dimension=dimension) == pytest.approx(volume, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 7, 40, 1000])
def test_codebook_overhead_is_the_least_cost(d: int) -> None:
    log_volume = d / 2 * math.log(math.pi) - special.gammaln(d / 2 + 1)

    def cost(log_radius: float) -> float:
        return -d * log_radius + math.exp(2 * log_radius) / 2 - log_volume + d / 2 * math.log(2 * math.pi)

    found = optimize.minimize_scalar(cost, bracket=(0.0, 5.0), tol=1e-10)
    overhead = as_function(symbolic.codebook_overhead())(dimension=d)
    assert overhead == pytest.approx(found.fun, rel=1e-9)
    limit = as_function(symbolic.codebook_overhead_limit())(dimension=d)
    assert limit == pytest.approx(0.5 * math.log(math.pi * d), rel=1e-14)
    assert overhead - limit == pytest.approx(1 / (6 * d), rel=0.2)  # Stirling's next term


def test_codebook_cost_at_any_radius() -> None:
    actual = as_function(symbolic.codebook_cost())(dimension=5, radius=1.7)
    volume, _ = integrate.quad(lambda r: 8 * math.pi**2 / 3 * r**4, 0, 1.7)  # shells of the 5-ball
    evidence = -5 * math.log(integrate.quad(lambda t: math.exp(-(t**2) / 2), -math.inf, math.inf)[0])
    assert actual == pytest.approx(-math.log(volume) + 1.7**2 / 2 - evidence, rel=1e-9)


def test_a_random_codebook_beats_the_lattice_from_ten_dimensions_on() -> None:
    d = np.arange(1, 40)
    lattice = d * as_function(symbolic.lattice_overhead())()
    wins = d[as_function(symbolic.codebook_overhead())(dimension=d) < lattice]
    assert wins[0] == 10
    assert wins.size == 30


@pytest.mark.parametrize("name", DERIVED)
def test_latex_uses_the_papers_letters(name: str) -> None:
    text = latex(DERIVED[name])
    long = [symbol.name for symbol in DERIVED[name].free_symbols if len(symbol.name.partition("_")[0]) > 1]
    assert text
    assert not any(word in text for word in long)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (FISHER * STEP**2, r"F \Delta^{2}"),
        (NOISE**2 + SCALE**2, r"\sigma^{2} + s^{2}"),
        (symbolic.MEAN + symbolic.DEVIATION, r"m + \tau"),
        (symbolic.RADIUS**symbolic.DIMENSION, "r^{d}"),
        (sp.loggamma(symbolic.DIMENSION), r"\ln{\left(\Gamma\left(d\right) \right)}"),
    ],
    ids=str,
)
def test_letters(expression: sp.Expr, text: str) -> None:
    assert sorted(latex(expression).split(" + ")) == sorted(text.split(" + "))


def test_every_derived_length_is_exported_and_tried() -> None:
    from mdl.symbolic import lengths

    public = {name for name, value in vars(lengths).items() if callable(value) and value.__module__ == lengths.__name__}
    public = {name for name in public if not name.startswith("_")}
    assert public <= set(symbolic.__all__)
    assert public - {"ridge_evidence", "bernoulli_nml"} == set(DERIVED)


def test_import_mdl_leaves_sympy_alone() -> None:
    code = "import sys, mdl; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
