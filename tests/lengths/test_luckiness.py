"""Luckiness NML against the papers' dense formulas, quadrature of its normaliser, and enumeration of all labels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import mdl
from mdl import likelihoods
from mdl.errors import DataError, MdlError, PriorError
from mdl.length import LN2
from mdl.lengths.luckiness import lnml, lnml_terms, mdl_comp, prac_mdl_comp
from mdl.models import FeedForward, wrap
from mdl.trials import Trials

RNG = np.random.default_rng(0)
PRECISION = 2.0**-6


def linear(weight, bias, likelihood) -> FeedForward:
    weight = np.asarray(weight, float)
    tensors = {"layers.0.weight": weight.reshape(len(weight), -1), "layers.0.bias": np.atleast_1d(bias)}
    return FeedForward(tensors, likelihood)


def told_bias(model, X, y) -> float:
    """The intercept as a reader gets it."""
    (grid,) = Trials(model, X, y).free.values()
    return float(grid.dequantize(grid.quantize(model.weights["layers.0.bias"]))[0])


def of(length) -> float:
    """The luckiness NML itself, without what tells the prior, the noise and the intercepts."""
    return length.part("penalty") + length.part("complexity") + length.part("data")


def regression(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = X @ rng.normal(size=d) + 0.5 + rng.normal(size=n)
    return X, np.rint(y / PRECISION) * PRECISION


# --- ridge ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(30, 4), (10, 25), (1, 1)])
@pytest.mark.parametrize(("scale", "noise", "loc"), [(0.7, 1.3, 0.0), (30.0, 0.25, 0.0), (0.01, 1.0, 0.5)])
def test_ridge_is_the_dense_formula_and_a_dense_normal(n, d, scale, noise, loc):
    X, y = regression(n, d)
    model = linear(np.full(d, 0.3), 0.5, likelihoods.Gaussian(PRECISION, scale=noise))
    bias = told_bias(model, X, y)
    length = lnml(model, X, y, mdl.Gaussian(scale, loc))
    H = X.T @ X / noise**2
    w = loc + np.linalg.solve(H + np.eye(d) / scale**2, X.T @ (y - bias - X.sum(axis=1) * loc)) / noise**2
    assert length.part("penalty") == pytest.approx(np.sum((w - loc) ** 2) / (2 * scale**2), rel=1e-8)
    assert length.part("complexity") == pytest.approx(0.5 * np.linalg.slogdet(np.eye(d) + scale**2 * H)[1], rel=1e-8)
    density = stats.norm(X @ w + bias, noise).logpdf(y).sum()
    assert length.part("data") == pytest.approx(-density - n * math.log(PRECISION), rel=1e-8)
    covariance = noise**2 * np.eye(n) + scale**2 * X @ X.T
    marginal = stats.multivariate_normal(X.sum(axis=1) * loc + bias, covariance).logpdf(y)
    assert of(length) == pytest.approx(-marginal - n * math.log(PRECISION), rel=1e-9)


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_the_normaliser_of_ridge_by_quadrature(scale):
    """∫∫ max_w p(y | w) π(w) dy over two targets, the maximum by trying every w."""
    X, noise = np.array([[1.0], [-0.6]]), 0.8
    w = np.linspace(-6 * scale, 6 * scale, 20001)
    grid = np.linspace(-12 * scale - 6, 12 * scale + 6, 161)
    peak = np.empty((161, 161))
    for i, a in enumerate(grid):
        first = -0.5 * ((a - w) / noise) ** 2 - 0.5 * (w / scale) ** 2
        for j, b in enumerate(grid):
            peak[i, j] = (first - 0.5 * ((b + 0.6 * w) / noise) ** 2).max() if abs(a) + abs(b) < 60 else -np.inf
    Z = integrate.trapezoid(integrate.trapezoid(np.exp(peak), grid), grid) / (2 * math.pi * noise**2)
    model = linear([0.0], 0.0, likelihoods.Gaussian(PRECISION, scale=noise))
    got = lnml_terms(model, X, np.array([1.0, 0.5]), [scale]).complexity[0]
    assert got == pytest.approx(math.log(Z), abs=1e-4)


def test_many_scales_at_once_are_each_of_them():
    X, y = regression(30, 6)
    model = linear(np.full(6, 0.3), 0.0, likelihoods.Gaussian(PRECISION, scale=1.1))
    scales = [3.0, 0.1, 1.0]
    terms = lnml_terms(model, X, y, scales)
    each = [of(lnml(model, X, y, mdl.Gaussian(scale))) for scale in scales]
    np.testing.assert_allclose(terms.nats, each, rtol=1e-12)


def test_an_open_scale_is_where_the_length_is_least():
    X, y = regression(40, 5)
    model = linear(np.full(5, 0.3), 0.0, likelihoods.Gaussian(PRECISION, scale=1.0))
    length = lnml(model, X, y)
    best = lnml_terms(model, X, y, np.geomspace(0.01, 100.0, 400)).nats.min()
    assert best - 1e-3 <= of(length) <= best + 6 * LN2
    assert length.nats <= min(lnml(model, X, y, mdl.Gaussian(s)).nats for s in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)) + 1e-9
    assert 5 <= length.part_bits()["prior"] <= 25


def test_the_scale_for_diabetes_is_near_the_best_of_cross_validation():
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = wrap(Ridge(alpha=1.0).fit(X, y))
    length = lnml(model, X, y)
    assert {"penalty", "complexity", "data", "prior", "likelihood", "intercepts"} <= {name for name, _ in length.parts}
    assert length.part("complexity") < 0.5 * 10 * math.log(442)  # less than BIC charges


# --- labels -----------------------------------------------------------------------------------------------------------


def exact_log_normaliser(X, scale, K):
    """ln Σ_y max_w p(y | w) exp(-‖w‖²/2s²), by optimisation for every labelling."""
    n, d = X.shape
    outputs = 1 if K == 2 else K

    def nats(w, y):
        f = X @ w.reshape(d, outputs)
        penalty = 0.5 * np.sum(w**2) / scale**2
        if K == 2:
            return penalty - special.log_expit(np.where(y == 1, 1, -1) * f[:, 0]).sum()
        return penalty - special.log_softmax(f, axis=1)[np.arange(n), y].sum()

    labellings = (np.array(y) for y in itertools.product(range(K), repeat=n))
    best = [-optimize.minimize(nats, np.zeros(d * outputs), (y,), method="BFGS").fun for y in labellings]
    return float(special.logsumexp(best))


@pytest.mark.parametrize(("n", "d", "K", "scale"), [(6, 1, 2, 0.3), (6, 1, 2, 2.0), (6, 2, 2, 1.0), (4, 1, 3, 1.0)])
def test_the_bound_is_above_the_sum_over_all_labels_and_not_far(n, d, K, scale):
    X = np.random.default_rng(1).normal(size=(n, d))
    likelihood = likelihoods.Bernoulli() if K == 2 else likelihoods.Categorical(K)
    outputs = 1 if K == 2 else K
    model = linear(np.zeros((d, outputs)), np.zeros(outputs), likelihood)
    got = lnml_terms(model, X, np.arange(n) % K, [scale]).complexity[0]
    exact = exact_log_normaliser(X, scale, K)
    assert exact <= got <= 1.8 * exact + 0.02
    dense = np.kron(X.T @ X, np.full((1, 1), 0.25) if K == 2 else 0.5 * (np.eye(K) - 1 / K))
    assert got == pytest.approx(0.5 * np.linalg.slogdet(np.eye(d * outputs) + scale**2 * dense)[1], rel=1e-10)


def test_the_lengths_of_all_labels_satisfy_kraft():
    X = np.random.default_rng(2).normal(size=(7, 2))
    model = linear([0.0, 0.0], 0.25, likelihoods.Bernoulli())
    total = np.zeros(3)
    for y in itertools.product([0, 1], repeat=7):
        total += np.exp(-lnml_terms(model, X, np.array(y), [0.1, 1.0, 8.0]).nats)
    assert (total <= 1.0).all()
    assert total[0] > 0.98


def test_data_and_penalty_are_those_of_the_mode():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    C = 0.05
    model = wrap(LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(X, y))
    bias = told_bias(model, X, y)
    length = lnml(model, X, y, mdl.Gaussian(math.sqrt(C)))

    def nats(w):
        signed = np.where(y == 1, 1, -1)
        f = signed * (X @ w + bias)
        slope = w / C - X.T @ (signed * special.expit(-f))
        return 0.5 * w @ w / C - special.log_expit(f).sum(), slope

    best = optimize.minimize(nats, np.zeros(30), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-8})
    assert length.part("penalty") == pytest.approx(0.5 * best.x @ best.x / C, rel=1e-5)
    assert length.part("penalty") + length.part("data") == pytest.approx(best.fun, rel=1e-9)
    assert length.bits < 569 / 2


def test_three_classes_have_an_open_scale():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = wrap(LogisticRegression(C=0.1).fit(X, y))
    length = lnml(model, X, y)
    around = lnml_terms(model, X, y, np.geomspace(0.05, 5.0, 12)).nats.min()
    assert of(length) < around + 1.5
    assert length.bits < 178 * math.log2(3)


def test_labels_by_name():
    x = np.linspace(-2, 2, 30)[:, None]
    y = np.where(x[:, 0] > 0.4, "yes", "no")
    named, numbered = (lnml(wrap(LogisticRegression().fit(x, target)), x, target) for target in (y, x[:, 0] > 0.4))
    assert named.parts == numbered.parts
    assert of(named) < 20 * LN2


# --- MDL-COMP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(12, 3), (4, 9)])
def test_mdl_comp_is_the_least_expected_redundancy(n, d):
    """E ‖y - Xŵ‖² and E ŵᵀΛŵ by dense algebra, minimised over a penalty for each eigenvector of XᵀX."""
    X, w, noise = RNG.normal(size=(n, d)), RNG.normal(size=d), 0.7
    rho, U = np.linalg.eigh(X.T @ X)
    kept = rho > 1e-9
    rho, U = rho[kept], U[:, kept]
    mean = X @ w

    def redundancy(logs):
        penalty = (U * np.exp(logs)) @ U.T
        P = np.linalg.pinv(X.T @ X + penalty) @ X.T  # ŵ = P y
        Q = (np.eye(n) - X @ P).T @ (np.eye(n) - X @ P) + P.T @ penalty @ P
        expected = (mean @ Q @ mean) / noise**2 + np.trace(Q)
        return 0.5 * (expected + np.sum(np.log1p(rho / np.exp(logs))) - n)

    options = {"maxiter": 20000, "maxfev": 20000, "xatol": 1e-7, "fatol": 1e-11}
    start = np.log(noise**2 / (U.T @ w) ** 2) + 0.3
    best = optimize.minimize(redundancy, start, method="Nelder-Mead", options=options).fun
    assert mdl_comp(X, w, noise).nats == pytest.approx(best, rel=1e-6)
    assert redundancy(start) > best + 1e-3


@pytest.mark.parametrize(("n", "d"), [(20, 5), (6, 15)])
def test_prac_mdl_comp_is_the_papers_formula(n, d):
    X, y, noise = RNG.normal(size=(n, d)), RNG.normal(size=n), 1.3
    alphas = np.array([0.01, 1.0, 300.0])
    got = prac_mdl_comp(X, y, alphas, noise)
    for k, alpha in enumerate(alphas):
        w = np.linalg.solve(X.T @ X + alpha * np.eye(d), X.T @ y)
        fit, size = np.sum((y - X @ w) ** 2), alpha * w @ w
        complexity = 0.5 * np.sum(np.log1p(np.maximum(np.linalg.eigvalsh(X.T @ X), 0.0) / alpha))
        assert got.nats[k] == pytest.approx((fit + size) / (2 * noise**2) + complexity, rel=1e-9)
    model = linear(np.zeros(d), 0.0, likelihoods.Gaussian(PRECISION, scale=noise))
    rounded = np.rint(y / PRECISION) * PRECISION
    shared = n * math.log(noise * math.sqrt(2 * math.pi) / PRECISION)
    terms = lnml_terms(model, X, rounded, noise / np.sqrt(alphas))
    np.testing.assert_allclose(terms.nats, prac_mdl_comp(X, rounded, alphas, noise).nats + shared, rtol=1e-12)


def test_strength_chosen_without_validation_predicts():
    rng = np.random.default_rng(3)
    X, w = rng.normal(size=(60, 40)), rng.normal(size=40) * 0.2
    y = X @ w + rng.normal(size=60)
    alphas = np.geomspace(1e-3, 1e4, 60)
    chosen = alphas[np.argmin(prac_mdl_comp(X, y, alphas, 1.0).nats)]

    def excess(alpha):
        return np.sum((Ridge(alpha=alpha, fit_intercept=False).fit(X, y).coef_ - w) ** 2)

    assert excess(chosen) < 1.2 * min(map(excess, alphas))
    assert 5 < chosen < 100  # the prior's variance is 1/25


# --- what is refused --------------------------------------------------------------------------------------------------


def test_models_and_priors_without_such_a_length_are_refused():
    X = RNG.normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int)
    logistic = wrap(LogisticRegression().fit(X, y))
    with pytest.raises(PriorError, match="Gaussian prior, got Laplace"):
        lnml(logistic, X, y, mdl.Laplace())
    with pytest.raises(MdlError, match="hidden layers"):
        lnml(wrap(MLPClassifier((2,), max_iter=500, tol=1.0).fit(X, y)), X, y)
    with pytest.raises(MdlError, match="no upper bound"):
        lnml(wrap(PoissonRegressor().fit(X, y)), X, y)
    with pytest.raises(MdlError, match="FeedForward"):
        lnml("model", X, y)
    with pytest.raises(MdlError, match="FeedForward"):
        lnml_terms("model", X, y, [1.0])


@pytest.mark.parametrize("bad", [[0.0], [-1.0], [math.nan], [math.inf], 1.0])
def test_strengths_must_be_positive(bad):
    X, y = np.eye(3), np.ones(3)
    with pytest.raises(DataError, match="alphas: expected finite numbers > 0"):
        prac_mdl_comp(X, y, bad, 1.0)
    with pytest.raises(DataError, match="noise"):
        mdl_comp(X, y, bad if bad != 1.0 else 0.0)
    with pytest.raises(DataError, match="scales"):
        lnml_terms(linear([0.0] * 3, 0.0, likelihoods.Gaussian()), X, y, bad)


def test_shapes_must_agree():
    with pytest.raises(DataError, match="w: expected"):
        mdl_comp(np.eye(3), np.ones(2), 1.0)
    with pytest.raises(DataError, match="y: expected"):
        prac_mdl_comp(np.eye(3), np.ones(2), [1.0], 1.0)
