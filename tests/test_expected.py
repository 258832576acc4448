"""The data's expected length under Gaussian weights: against mpmath, differences, and weights drawn by brute force."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from mdl import likelihoods
from mdl.curvature import Objective, expected_curvature, expected_nats, link, propagation
from tests.test_curvature import CASES, HIDDEN, LIKELIHOODS, objective

RNG = np.random.default_rng(7)


def gaussian(one: Objective, r: int):
    rng = np.random.default_rng(3)
    return one.vector, rng.uniform(0.05, 0.4, one.size), 0.2 * rng.normal(size=(one.size, r))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "poisson"])
@pytest.mark.parametrize(("m", "v"), [(0.3, 0.0), (-2.0, 0.5), (1.0, 9.0), (5.0, 100.0)])
def test_expectations_over_one_prediction_are_those_of_mpmath(likelihood, m, v) -> None:
    family = LIKELIHOODS[likelihood][0]
    one, y, s = link(family), 1.0, np.sqrt(v)
    losses = {
        "bernoulli": lambda f: mp.log(1 + mp.exp(-f)),
        "gaussian": lambda f: (
            (y - f) ** 2 / (2 * mp.mpf("0.7") ** 2) + mp.log(mp.mpf("0.7") * mp.sqrt(2 * mp.pi) / mp.mpf("0.25"))
        ),
        "poisson": lambda f: mp.exp(f) - f,
    }
    loss = losses[likelihood]
    edges = [-30, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 30]

    def expectation(g) -> float:
        return float(mp.quad(lambda z: g(m + s * z) * mp.npdf(z), edges))

    nats, of_m, of_v = (float(a[0]) for a in one.expected(np.array([m]), np.array([v]), np.array([y])))
    slope, bend = (expectation(lambda f, k=k: mp.diff(loss, f, k)) for k in (1, 2))
    assert (nats, of_m, 2.0 * of_v) == pytest.approx((expectation(loss), slope, bend), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("r", [0, 2])
@pytest.mark.parametrize(("hidden", "likelihood"), [case for case in CASES if case[0] != "logistic"])
def test_slopes_are_differences(hidden, likelihood, r) -> None:
    one = objective(hidden, likelihood)
    at = gaussian(one, r)
    got = expected_nats(one, *at, samples=4)
    step = 1e-5 if hidden != "relu" else 1e-7  # short of the next kink
    for which, slopes in enumerate((got.mean, got.scale, got.factor)):
        assert slopes.shape == at[which].shape
        for index in list(np.ndindex(slopes.shape))[:: 1 if slopes.size < 20 else 5]:
            ends = []
            for sign in (1, -1):
                moved = [a.copy() for a in at]
                moved[which][index] += sign * step
                ends.append(expected_nats(one, *moved, samples=4).nats)
            assert slopes[index] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-6)


def by_brute_force(one: Objective, mean, covariance, count: int = 2000):
    """Means over weights drawn from the Gaussian, and their standard errors."""
    draws = np.random.default_rng(11).multivariate_normal(mean, covariance, count)
    nats, slopes, bends = zip(*((one.nats(w), one.gradient(w), one.ggn(w)) for w in draws), strict=True)
    return [(np.mean(a, axis=0), np.std(a, axis=0) / count**0.5) for a in (nats, slopes, bends)]


@pytest.mark.parametrize(
    ("hidden", "likelihood"), [("linear", "categorical"), ("linear", "bernoulli"), ("tanh", "categorical")]
)
def test_expectations_are_those_of_drawn_weights(hidden, likelihood) -> None:
    one = objective(hidden, likelihood)
    mean, scale, factor = gaussian(one, 2)
    covariance = np.diag(scale**2) + factor @ factor.T
    (nats, error), (slope, slope_error), (bend, bend_error) = by_brute_force(one, mean, covariance)
    many = 1000 if hidden == "linear" else 400
    factored = expected_nats(one, mean, scale, factor, samples=2 * many)
    full = expected_curvature(one, mean, covariance, samples=many)
    assert factored.nats == pytest.approx(nats, abs=4 * error + 1e-6)
    assert full.nats == pytest.approx(nats, abs=6 * error)
    assert np.abs(factored.mean - slope).max() < 5 * slope_error.max()
    assert np.abs(full.mean - slope).max() < 6 * slope_error.max()
    assert np.abs(full.curvature - bend).max() < 6 * bend_error.max()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "poisson"])
def test_both_forms_agree_where_they_are_exact(likelihood) -> None:
    one = objective("linear", likelihood)
    mean, scale, factor = gaussian(one, 2)
    full = expected_curvature(one, mean, np.diag(scale**2) + factor @ factor.T)
    factored = expected_nats(one, mean, scale, factor)
    assert factored.nats == pytest.approx(full.nats, rel=1e-12)
    np.testing.assert_allclose(factored.mean, full.mean, rtol=1e-10)
    np.testing.assert_allclose(factored.scale, scale * np.diag(full.curvature), rtol=1e-10)
    np.testing.assert_allclose(factored.factor, full.curvature @ factor, rtol=1e-10)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_noise_is_the_point_itself(hidden) -> None:
    one = objective(hidden, "categorical")
    got = expected_nats(one, one.vector, np.zeros(one.size), np.zeros((one.size, 0)), samples=2)
    assert got.nats == pytest.approx(one.nats(one.vector), rel=1e-12)
    np.testing.assert_allclose(got.mean, one.gradient(one.vector), rtol=1e-10, atol=1e-12)


def test_draws_come_in_pairs_and_repeat(monkeypatch) -> None:
    one = objective("tanh", "categorical")
    at = gaussian(one, 1)
    assert expected_nats(one, *at, seed=4).nats == expected_nats(one, *at, seed=4).nats
    assert expected_nats(one, *at, seed=4).nats != expected_nats(one, *at, seed=5).nats
    whole = expected_nats(one, *at, samples=600)
    monkeypatch.setattr("mdl.curvature.expected.CHUNK", 60)  # a row or two at a time
    assert expected_nats(one, *at, samples=600).nats == pytest.approx(whole.nats, rel=0.01)


def test_a_line_is_exact_by_quadrature() -> None:
    x, y = np.linspace(-1, 1, 9)[:, None], np.array([0, 0, 1, 0, 1, 0, 1, 1, 1])
    from mdl.models import FeedForward

    model = FeedForward({"layers.0.weight": [[0.4]], "layers.0.bias": [0.1]}, likelihoods.Bernoulli())
    one = Objective(model, x, y)
    grid = np.linspace(-8, 8, 4001)
    shares = stats.norm.pdf(grid) / stats.norm.pdf(grid).sum()
    expected = shares @ [one.nats(np.array([0.4 + 0.7 * z])) for z in grid]
    got = expected_nats(one, np.array([0.4]), np.array([0.7]), np.zeros((1, 0)))
    assert got.nats == pytest.approx(expected, rel=1e-9)


def test_a_covariance_that_rounding_made_indefinite_has_a_root() -> None:
    bent = np.array([[[1.0, 1.0], [1.0, 1.0 - 1e-9]], [[2.0, 0.0], [0.0, 3.0]]])
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(bent)
    root = propagation.roots(bent)
    np.testing.assert_allclose(root @ root.swapaxes(1, 2), bent, atol=1e-8)
