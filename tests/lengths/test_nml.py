"""Normalised maximum likelihood against enumeration, exact fractions, quadrature and sums over every outcome."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from mdl.errors import DataError, MdlError
from mdl.length import LN2
from mdl.lengths import nml

RNG = np.random.default_rng(0)


def complexity(length) -> float:
    return length.part("complexity")


# --- Bernoulli, multinomial -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "K"), [(1, 2), (6, 2), (5, 3), (4, 4)])
def test_the_code_of_all_sequences_sums_to_one(n, K):
    sequences = itertools.product(range(K), repeat=n)
    lengths = [nml.multinomial(np.bincount(s, minlength=K)).nats for s in sequences]
    assert math.fsum(map(math.exp, np.negative(lengths))) == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize(("n", "K"), [(1, 5), (2, 2), (15, 2), (16, 2), (40, 2), (9, 3), (12, 4), (6, 6)])
def test_multinomial_normaliser_is_the_sum_over_counts(n, K):
    total = Fraction(0)
    for bars in itertools.combinations(range(n + K - 1), K - 1):
        edges = (-1, *bars, n + K - 1)
        counts = [b - a - 1 for a, b in itertools.pairwise(edges)]
        ways = math.factorial(n) // math.prod(map(math.factorial, counts))
        total += ways * math.prod(Fraction(c, n) ** c for c in counts)
    got = complexity(nml.multinomial([n, *[0] * (K - 1)]))
    assert math.exp(got) == pytest.approx(float(total), rel=1e-13)


@pytest.mark.parametrize("n", [100, 3000, 10**7, 10**12])
def test_bernoulli_normaliser_of_long_sequences(n):
    with mpmath.workdps(40):
        if n <= 3000:
            x = mpmath.mpf(n)
            expected = mpmath.fsum(mpmath.binomial(n, k) * (k / x) ** k * (1 - k / x) ** (n - k) for k in range(n + 1))
        else:  # 1 + Ramanujan's Q, by Knuth's expansion
            x = mpmath.mpf(n)
            q = (
                mpmath.sqrt(mpmath.pi * x / 2) * (1 + 1 / (12 * x) + 1 / (288 * x**2))
                - mpmath.mpf(1) / 3
                + 4 / (135 * x)
            )
            expected = 1 + q
    assert complexity(nml.bernoulli(1, n)) == pytest.approx(float(mpmath.log(expected)), rel=1e-12)


def test_data_are_worth_their_empirical_entropy():
    counts = np.array([5, 0, 17, 1])
    length = nml.multinomial(counts)
    assert length.part("data") == pytest.approx(counts.sum() * stats.entropy(counts), rel=1e-13)
    assert nml.bernoulli(3, 10) == nml.multinomial([3, 7])


def test_many_classes_stay_finite():
    few, many = complexity(nml.multinomial([10**6] * 10)), complexity(nml.multinomial([10**7, *[0] * 9999]))
    assert few == pytest.approx(4.5 * math.log(10**7 / 2) + 0.5 * math.log(math.pi) - special.gammaln(5), rel=1e-3)
    assert many > 1000 * few / 2
    assert complexity(nml.multinomial([7])) == 0.0
    assert nml.multinomial([0, 0, 0]).nats == 0.0


@pytest.mark.parametrize("counts", [[], [[1, 2]], [-1, 2], [0.5, 1], [math.nan, 1], [math.inf, 1]])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(DataError, match="counts"):
        nml.multinomial(counts)


@pytest.mark.parametrize(("ones", "n"), [(3, 2), (-1, 2)])
def test_more_ones_than_symbols_are_refused(ones, n):
    with pytest.raises(DataError, match="ones: expected 0 to n"):
        nml.bernoulli(ones, n)


# --- counts -----------------------------------------------------------------------------------------------------------


def poisson_sum(n, low, high):
    s = np.arange(0, int(n * high + 40 * math.sqrt(n * high) + 200))
    return stats.poisson.pmf(s, np.clip(s, n * low, n * high)).sum()


def geometric_sum(n, low, high):
    s = np.arange(0, int(n * high + 40 * (1 + high) * math.sqrt(n) + 60 * (1 + high)))
    mean = np.clip(s / n, low, high)
    return stats.nbinom.pmf(s, n, 1.0 / (1.0 + mean)).sum()


RANGES = [(0.0, 4.0), (0.5, 3.3), (2.1, 2.2), (1.0, 1.0)]


@pytest.mark.parametrize("n", [1, 5, 300])
@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize(
    ("length", "total"), [(nml.poisson, poisson_sum), (nml.geometric, geometric_sum)], ids=["poisson", "geometric"]
)
def test_normaliser_of_counts_is_the_sum_over_their_totals(length, total, n, low, high):
    got = complexity(length(np.ones(n), high, low))
    assert math.exp(got) == pytest.approx(total(n, low, high), rel=1e-9)


@pytest.mark.parametrize(
    ("length", "total"), [(nml.poisson, poisson_sum), (nml.geometric, geometric_sum)], ids=["poisson", "geometric"]
)
def test_long_sums_are_the_sums_of_their_terms(length, total):
    assert math.exp(complexity(length(np.ones(1000), 1000.0))) == pytest.approx(total(1000, 0.0, 1000.0), rel=1e-9)


@pytest.mark.parametrize("length", [nml.poisson, nml.geometric], ids=["poisson", "geometric"])
def test_counts_have_fisher_asymptotics(length):
    n, high = 10**7, 50.0
    volume = 2 * math.sqrt(high) if length is nml.poisson else 2 * math.asinh(math.sqrt(high))  # ∫ √I over the range
    expected = nml.asymptotic(0.0, n, 1, math.log(volume))
    assert complexity(length(np.ones(n), high)) == pytest.approx(complexity(expected), abs=2e-4)


@pytest.mark.parametrize(("length", "far"), [(nml.poisson, 40), (nml.geometric, 80)], ids=["poisson", "geometric"])
def test_the_code_of_all_pairs_of_counts_sums_to_one(length, far):
    pairs = itertools.combinations_with_replacement(range(far), 2)
    total = sum((2 - (a == b)) * math.exp(-length([a, b], 1.5, 0.25).nats) for a, b in pairs)
    assert total == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize(
    ("length", "log_pmf"),
    [(nml.poisson, stats.poisson.logpmf), (nml.geometric, lambda y, m: stats.geom.logpmf(y + 1, 1 / (1 + m)))],
    ids=["poisson", "geometric"],
)
@pytest.mark.parametrize("rate", [0.6, 3.0, 9.0])
def test_data_are_coded_at_the_likeliest_rate_of_the_range(length, log_pmf, rate):
    y = np.array([2, 5, 0, 1, 7])  # mean 3
    low, high = (rate, rate) if rate != 3.0 else (0.0, 4.0)
    assert length(y, high, low).part("data") == pytest.approx(-log_pmf(y, rate).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("y", "end", "bits"), [([3, 4], 4.0, 5), ([4, 4], 4.0, 5), ([9, 8], 16.0, 8), ([1, 1], 1.0, 1), ([0, 0], 0.5, 4)]
)
@pytest.mark.parametrize("length", [nml.poisson, nml.geometric], ids=["poisson", "geometric"])
def test_a_range_that_was_not_given_is_told(length, y, end, bits):
    got = length(y)
    assert got.part_bits()["range"] == pytest.approx(bits)
    assert complexity(got) == complexity(length(y, end))
    assert length(y, end).part("range") == 0.0


@pytest.mark.parametrize("length", [nml.poisson, nml.geometric], ids=["poisson", "geometric"])
@pytest.mark.parametrize("y", [[], [-1], [0.5], [math.nan], [[1]]])
def test_counts_must_be_whole(length, y):
    with pytest.raises(DataError, match="whole numbers"):
        length(y, 2.0)


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (0.0, math.inf), (0.0, math.nan)])
def test_an_empty_range_is_refused(low, high):
    with pytest.raises(DataError, match="low, high"):
        nml.poisson([1, 2], high, low)


# --- Gaussian noise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "within"), [(0.0, 1e-12), (0.3, 1e-3), (5.0, 1e-8)])
def test_the_code_of_all_rounded_pairs_sums_to_one(radius, within):
    grid = np.arange(-18, 19) * 0.5
    total = sum(math.exp(-nml.gaussian_location([a, b], 0.7, radius, 0.25, 0.5).nats) for a in grid for b in grid)
    assert total == pytest.approx(1.0, abs=within)  # means are 0.25 apart, with ends of the range between them


@pytest.mark.parametrize("r", [0.0, 0.05, 1.0, 30.0])
@pytest.mark.parametrize("d", [1, 2, 3, 10, 60])
def test_a_ball_of_means_by_radial_quadrature(d, r):
    surface = 2 * math.pi ** (d / 2) / special.gamma(d / 2)

    def outside(t):
        return surface * t ** (d - 1) * math.exp(-((t - r) ** 2) / 2 - d / 2 * math.log(2 * math.pi))

    inside = math.exp(d * math.log(max(r, 1e-300)) + math.log(surface / d) - d / 2 * math.log(2 * math.pi))
    beyond = integrate.quad(outside, r, r + 12 + math.sqrt(2 * d), epsabs=0.0, epsrel=1e-12)[0]
    X = RNG.normal(size=(70, d))
    got = nml.linear_regression(X, np.zeros(70), 2.0, radius=2.0 * r)
    assert complexity(got) == pytest.approx(math.log(inside + beyond), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("radius", [0.5, 3.0, 50.0])
def test_regression_is_coded_at_the_best_fit_of_the_ellipsoid(radius):
    X, scale = RNG.normal(size=(12, 3)), 0.8
    y = np.rint(8 * (X @ [1.0, -2.0, 0.5] + RNG.normal(size=12))) / 8
    inside = {"type": "ineq", "fun": lambda w: radius**2 - np.sum((X @ w) ** 2)}
    best = optimize.minimize(lambda w: np.sum((y - X @ w) ** 2), np.zeros(3), constraints=inside, tol=1e-12)
    expected = -stats.norm(X @ best.x, scale).logpdf(y).sum() - 12 * math.log(1 / 8)
    got = nml.linear_regression(X, y, scale, radius, 1 / 8)
    assert got.part("data") == pytest.approx(expected, rel=1e-6)


def test_dependent_columns_count_once():
    X = RNG.normal(size=(9, 2))
    twice = np.column_stack([X, X @ [[1.0], [2.0]], X[:, :1]])
    y = np.rint(X @ [3.0, 1.0])
    assert nml.linear_regression(twice, y, 1.0).nats == pytest.approx(nml.linear_regression(X, y, 1.0).nats, rel=1e-12)
    assert complexity(nml.linear_regression(np.zeros((9, 2)), y, 1.0)) == 0.0
    assert complexity(nml.linear_regression(np.empty((9, 0)), y, 1.0)) == 0.0


def test_the_least_power_of_two_that_holds_the_fit_is_told():
    y = np.full(4, 3.0)  # norm of the fit 6
    got = nml.gaussian_location(y, 1.0)
    assert complexity(got) == pytest.approx(math.log(1 + 2 * 8.0 / math.sqrt(2 * math.pi)))
    assert got.part_bits()["range"] == pytest.approx(5)  # 2^3
    assert complexity(nml.gaussian_location(y, 1.0, radius=4.0)) == pytest.approx(complexity(got))


def test_means_may_lie_about_anything():
    y = np.array([5.0, 7.0, 4.0])
    assert nml.gaussian_location(y, 1.0, 2.0, loc=5.0) == nml.gaussian_location(y - 5.0, 1.0, 2.0)
    assert nml.gaussian_location(y, 1.0, 2.0).part("data") > nml.gaussian_location(y, 1.0, 2.0, loc=5.0).part("data")


def test_large_and_many():
    n = 10**6
    got = nml.gaussian_location(np.tile([0.0, 1.0], n // 2), 0.5, radius=1.0)
    assert complexity(got) == pytest.approx(math.log(1 + 4 * math.sqrt(n / (2 * math.pi))), rel=1e-12)
    assert got.part("data") == pytest.approx(n * (0.5 + 0.5 * math.log(2 * math.pi * 0.25)), rel=1e-12)


@pytest.mark.parametrize(
    ("y", "scale", "radius", "match"),
    [
        ([1.0, 2.0], 1.0, 1.0, "y: expected"),
        ([math.nan] * 3, 1.0, 1.0, "y: expected"),
        ([1.0] * 3, 0.4, 1.0, "half the precision"),
        ([1.0] * 3, math.nan, 1.0, "half the precision"),
        ([1.0] * 3, 1.0, -1.0, "radius"),
        ([1.0] * 3, 1.0, math.inf, "radius"),
    ],
)
def test_impossible_regressions_are_refused(y, scale, radius, match):
    with pytest.raises(DataError, match=match):
        nml.linear_regression(np.ones((3, 1)), y, scale, radius)


# --- by Fisher information --------------------------------------------------------------------------------------------


def test_asymptotics_never_make_a_model_free():
    assert complexity(nml.asymptotic(3.0, 1, 4, 0.0)) == 0.0
    assert nml.asymptotic(3.0, 1, 4, 0.0).nats == 3.0
    assert complexity(nml.asymptotic(0.0, 100, 2, 1.5)) == pytest.approx(math.log(100 / (2 * math.pi)) + 1.5)
    assert complexity(nml.bernoulli(5, 10)) > LN2
    with pytest.raises(MdlError, match="n >= 1"):
        nml.asymptotic(1.0, 0, 1, 0.0)
