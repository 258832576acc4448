"""Expectation propagation against exact posteriors, quadrature, and the bounds that it betters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from mdl import likelihoods
from mdl.curvature import Propagation, Sites, expected_nats, link, mode, propagation
from mdl.curvature.objective import Objective
from mdl.models import FeedForward

GRID = np.linspace(-12.0, 12.0, 481)


def problem(likelihood, inputs, y, *, precision: float = 1.0) -> Propagation:
    units = likelihood.count if isinstance(likelihood, likelihoods.Categorical) else 1
    contrasts = np.array([[1.0], [-1.0]]) / np.sqrt(2.0) if units == 2 else np.eye(1)
    offset = np.linspace(0.3, -0.2, units)
    return Propagation(np.asarray(inputs, float), contrasts, offset, np.asarray(y, float), link(likelihood), precision)


def by_quadrature(one: Propagation, *given: float) -> tuple[float, np.ndarray, np.ndarray]:
    """-ln of the integral over two coordinates, or the second, and their means and variances."""
    axes = [np.full(1, z) for z in given] + [GRID] * (2 - len(given))
    z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = np.zeros(len(z))
    for x, y in zip(one.inputs, one.targets, strict=True):
        f = (z @ x)[:, None] @ one.contrasts.T + one.offset
        log_p -= one.link.nats(f, np.full(len(z), y))
    log_p -= 0.5 * one.precision * (z[:, len(given) :] ** 2).sum(axis=1)
    log_p += 0.5 * (2 - len(given)) * np.log(one.precision / (2.0 * np.pi))
    total = special.logsumexp(log_p)
    weights = np.exp(log_p - total)
    mean = weights @ z
    nats = -total - (2 - len(given)) * np.log(GRID[1] - GRID[0])
    return float(nats), mean, weights @ (z - mean) ** 2


RNG = np.random.default_rng(5)
X = RNG.normal(size=(12, 2)) * [2.0, 1.0]
SEPARABLE = (X[:, 0] + 0.3 * X[:, 1] > 0.0).astype(float)
COUNTS = RNG.poisson(np.exp(0.3 * X[:, 0])).astype(float)
CASES = {
    "separable": (likelihoods.Bernoulli(), SEPARABLE),
    "noisy": (likelihoods.Bernoulli(), np.where(np.arange(12) % 4, SEPARABLE, 1.0 - SEPARABLE)),
    "counts": (likelihoods.Poisson(), COUNTS),
    "two classes": (likelihoods.Categorical(2), SEPARABLE),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("given", [(), (0.8,)])
def test_evidence_and_moments_are_those_of_quadrature(name: str, given: tuple[float, ...]) -> None:
    likelihood, y = CASES[name]
    one = problem(likelihood, X, y)
    z = np.array([*given, *(0.0 for _ in range(2 - len(given)))])
    found = one.settled(one.about(z), z, len(given), steps=100, gain=1e-9)
    nats, mean, variance = by_quadrature(one, *given)
    assert found.nats == pytest.approx(nats, abs=0.05)
    np.testing.assert_allclose(found.z, mean, atol=0.05)
    np.testing.assert_allclose(np.diag(found.covariance), variance[len(given) :], rtol=0.1)


def test_one_example_is_exact() -> None:
    """Its only marginal's moments are matched, so that the evidence is the integral itself."""
    one = problem(likelihoods.Bernoulli(), [[2.0, 0.0]], [1.0])
    found = one.settled(one.about(np.zeros(2)), np.zeros(2), steps=200, gain=1e-12)
    nats, mean, variance = by_quadrature(one)
    assert found.nats == pytest.approx(nats, abs=1e-9)
    np.testing.assert_allclose(found.z, mean, atol=0.02)
    np.testing.assert_allclose(np.diag(found.covariance), variance, atol=0.05)


def test_a_gaussian_likelihood_needs_no_step() -> None:
    y = np.round(X @ [0.5, -0.2], 2)
    one = problem(likelihoods.Gaussian(0.01, scale=0.7), X, y, precision=2.0)
    found = one.settled(one.about(np.zeros(2)), np.zeros(2), steps=3)
    cov = 0.49 * np.eye(12) + X @ X.T / 2.0
    off = y - one.offset[0]
    dense = 0.5 * (off @ np.linalg.solve(cov, off) + np.linalg.slogdet(2.0 * np.pi * cov)[1]) - 12 * np.log(0.01)
    assert found.nats == pytest.approx(dense, rel=1e-9)
    precision = X.T @ X / 0.49 + 2.0 * np.eye(2)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(precision), rtol=1e-9)
    np.testing.assert_allclose(found.z, np.linalg.solve(precision, X.T @ off / 0.49), rtol=1e-9)


def test_it_is_nearer_than_the_variational_bound_and_than_the_mode() -> None:
    """Where classes are separated and the prior is wide."""
    one = problem(likelihoods.Bernoulli(), X, SEPARABLE, precision=0.3)
    model = FeedForward({"layers.0.weight": np.zeros((2, 1)), "layers.0.bias": one.offset}, likelihoods.Bernoulli())
    objective = Objective(model, X, SEPARABLE)
    top = mode(objective, 0.3)
    found = one.settled(one.about(top), top, steps=200, gain=1e-12)
    root = np.linalg.cholesky(found.covariance)
    data = expected_nats(objective, found.z, np.zeros(2), root).nats
    spread = 0.3 * (np.trace(found.covariance) + found.z @ found.z)
    bound = data + 0.5 * (spread - 2.0 - np.linalg.slogdet(0.3 * found.covariance)[1])
    nats, mean, _ = by_quadrature(one)
    assert abs(found.nats - nats) < bound - nats
    assert np.abs(found.z - mean).max() < 0.2 * np.abs(top - mean).max()


def test_the_sites_derivatives_are_those_of_a_quadratic_function() -> None:
    likelihood, y = CASES["two classes"]
    one = problem(likelihood, X, y)
    found = one.settled(one.about(np.zeros(2)), np.zeros(2))
    u = one._along(found.z)
    expected = one.inputs.T @ ((found.sites.precision @ u[:, :, None])[:, :, 0] - found.sites.shift)
    np.testing.assert_allclose(found.slope, expected.ravel())
    np.testing.assert_allclose(found.covariance, np.linalg.inv(found.curvature + np.eye(2)), rtol=1e-9)


def test_what_cannot_be_computed_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    one = problem(likelihoods.Bernoulli(), X, SEPARABLE)
    here = one._given(one.about(np.zeros(2)), np.zeros(2), 0)
    with np.errstate(all="ignore"):
        assert one._stepped(here._replace(z=np.full(2, np.inf)), 0) is None
    monkeypatch.setattr(Propagation, "_stepped", lambda *_: None)
    found = one.settled(one.about(np.zeros(2)), np.zeros(2))
    assert found.nats == here.nats
    np.testing.assert_array_equal(found.z, here.z)


def test_memory_is_bounded_and_what_is_drawn_may_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    likelihood, y = CASES["two classes"]

    def nats() -> float:
        one = problem(likelihood, X, y)
        return one.settled(one.about(np.zeros(2)), np.zeros(2), steps=50, gain=1e-9).nats

    whole = nats()
    monkeypatch.setattr(propagation, "_AT_ONCE", 1)  # an example at a time
    assert nats() == pytest.approx(whole, rel=1e-9)
    monkeypatch.setattr(propagation, "CHUNK", 128 * 2 * 5)  # draws for five examples serve all
    repeated = nats()
    assert repeated != pytest.approx(whole, rel=1e-9)
    assert repeated == pytest.approx(whole, abs=0.2)


def test_no_draw_weighs_more_than_the_root_of_their_number_allows() -> None:
    """One draw in which the likelihood is 1, and 127 in which it is 1/100: truncated, not left with half of all."""
    one = problem(likelihoods.Categorical(2), np.ones((1, 1)), [0.0])
    at = (np.array([50.0, *([-math.log(99.0)] * 127)]) - 0.5) / math.sqrt(2.0)  # of the difference of the scores
    sites = Sites(np.zeros((1, 1, 1)), np.zeros((1, 1)))
    _, g, _ = one._moments(sites, at[:, None, None], one.targets)
    light = 0.01 / (1.0 + 1.27)
    share = 127 * light / (127 * light + 128**-0.5)
    assert g[0, 0] == pytest.approx(share * math.sqrt(2.0) * 0.99, rel=1e-6)
