"""Variational codes: conjugate ones are the evidence, others bound it from above, and nothing fits the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

import mdl
from mdl import likelihoods, priors
from mdl.curvature import Objective, expected_nats
from mdl.curvature.posterior import Gauss, Search, _Factored, cross
from mdl.errors import MdlError, PriorError
from mdl.lengths.evidence import evidence
from mdl.lengths.variational import variational, variational_posterior
from mdl.models import FeedForward
from mdl.trials import Trials


def standard(loader):
    X, y = loader(return_X_y=True)
    return StandardScaler().fit_transform(X), y


CANCER, WINE = standard(load_breast_cancer), standard(load_wine)
LOGISTIC = mdl.wrap(LogisticRegression(C=0.1).fit(*CANCER))


def linear(weight, bias, likelihood) -> FeedForward:
    return FeedForward({"layers.0.weight": np.atleast_2d(weight), "layers.0.bias": np.atleast_1d(bias)}, likelihood)


def regression(n: int, d: int, noise: float | None = None, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.5 * rng.normal(size=(d, d)))  # correlated
    y = np.rint(64 * (X @ rng.normal(size=d) + rng.normal(size=n))) / 64
    return linear(np.full((d, 1), 0.3), 0.0, likelihoods.Gaussian(2.0**-6, scale=noise)), X, y


def of(length: mdl.CodeLength) -> float:
    return length.part("weights") + length.part("data")


# --- ridge ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(40, 6), (10, 20), (1, 1)])
@pytest.mark.parametrize(("scale", "loc"), [(0.8, 0.0), (20.0, 0.3), (0.01, 0.0)])
def test_a_full_covariance_on_ridge_is_the_evidence(n, d, scale, loc) -> None:
    problem = regression(n, d, noise=1.1)
    prior = mdl.Gaussian(scale, loc)
    found = variational_posterior(*problem, prior, covariance="full")
    assert of(found.length) == pytest.approx(of(evidence(*problem, prior)), rel=1e-9)
    _, X, _ = problem
    expected = np.linalg.inv(X.T @ X / 1.21 + np.eye(d) / scale**2)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-7, atol=1e-9 * expected.max())
    assert found.error == 0.0


def test_open_scales_on_ridge_are_those_of_the_evidence() -> None:
    problem = regression(60, 6)
    full, exact = variational(*problem, covariance="full"), evidence(*problem)
    assert full.nats == pytest.approx(exact.nats, abs=1e-6)
    assert full.part("prior") == exact.part("prior")


def test_a_diagonal_on_ridge_has_the_diagonal_of_the_precision() -> None:
    model, X, y = regression(40, 6, noise=1.1)
    found = variational_posterior(model, X, y, mdl.Gaussian(0.8))
    precision = X.T @ X / 1.21 + np.eye(6) / 0.64
    np.testing.assert_allclose(found.scale, np.diag(precision) ** -0.5, rtol=1e-6)
    np.testing.assert_allclose(found.mean, np.linalg.solve(precision, X.T @ y / 1.21), rtol=1e-6)
    # what a diagonal costs: half of sum ln diag(precision) - ln det(precision)
    loss = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert of(found.length) - of(evidence(model, X, y, mdl.Gaussian(0.8))) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(
    "problem", [regression(40, 6), (LOGISTIC, CANCER[0][:200], CANCER[1][:200])], ids=["ridge", "logistic"]
)
def test_more_covariance_is_never_longer(problem) -> None:
    diagonal, low, full = (
        of(variational(*problem, mdl.Gaussian(0.8), covariance=c, rank=3)) for c in ("diagonal", "low-rank", "full")
    )
    assert diagonal > low + 0.1
    assert low > full
    if isinstance(problem[0].likelihood, likelihoods.Gaussian):
        assert full >= of(evidence(*problem, mdl.Gaussian(0.8))) - 1e-3  # both at the noise that is best for them


# --- quadrature -------------------------------------------------------------------------------------------------------


def logistic_line(n: int = 40):
    x = np.linspace(-2.0, 2.0, n)[:, None]
    y = (special.expit(1.5 * x[:, 0]) > np.random.default_rng(0).random(n)).astype(int)
    return linear(1.0, 0.0, likelihoods.Bernoulli()), x, y


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_one_logistic_weight_is_bounded_and_optimal(scale) -> None:
    model, x, y = logistic_line()
    one, prior = Objective(model, x, y), stats.norm(scale=scale)
    grid = np.linspace(-8, 8, 8001) * max(1.0, scale)
    nats = np.array([one.nats(np.array([w])) for w in grid])
    exact = -math.log(integrate.trapezoid(np.exp(-nats) * prior.pdf(grid), grid))

    def bound(theta):
        q = stats.norm(theta[0], math.exp(theta[1])).pdf(grid)
        inside = q > 0
        kl = np.log(q, where=inside, out=np.zeros_like(q)) - prior.logpdf(grid)
        return integrate.trapezoid(q * (nats + kl), grid)

    best = optimize.minimize(bound, [1.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-8}).fun
    for covariance in ("diagonal", "full"):
        got = of(variational(model, x, y, mdl.Gaussian(scale), covariance=covariance))
        assert got == pytest.approx(best, abs=2e-5)
        assert exact < got < exact + 0.02


def test_laplace_is_no_bound_and_the_variational_code_is() -> None:
    model, x, y = logistic_line(6)
    one = Objective(model, x, y)
    grid = np.linspace(-40, 40, 8001)
    nats = np.array([one.nats(np.array([w])) for w in grid])
    exact = -math.log(integrate.trapezoid(np.exp(-nats) * stats.norm(scale=5.0).pdf(grid), grid))
    assert of(variational(model, x, y, mdl.Gaussian(5.0))) > exact + 1e-3
    assert abs(of(evidence(model, x, y, mdl.Gaussian(5.0))) - exact) < 0.2


# --- KL and its derivatives -------------------------------------------------------------------------------------------

MIXTURE = mdl.Mixture(3, (1.0, 2.0, 0.5), (-1.0, 0.1, 2.0), (0.3, 0.5, 1.5))


def gauss(mean, scale, parameters=None) -> Gauss:
    mean, scale = np.atleast_1d(mean).astype(float), np.atleast_1d(scale).astype(float)
    return Gauss(mean, scale, np.zeros((mean.size, 0)), 2 * np.log(scale).sum(), parameters, 1.0)


@pytest.mark.parametrize(("mean", "scale"), [(0.3, 0.2), (-1.0, 1.5), (4.0, 0.01)])
def test_kl_is_the_integral_or_above_it_for_a_mixture(mean, scale) -> None:
    q = stats.norm(mean, scale)

    def by_quadrature(prior) -> float:
        def integrand(w):
            return q.pdf(w) * (q.logpdf(w) - float(prior.logpdf(w)))

        return integrate.quad(integrand, mean - 12 * scale, mean + 12 * scale, limit=400, epsabs=1e-12)[0]

    gaussian = mdl.Gaussian(0.7, 0.2)
    one = mdl.Mixture(1, (3.0,), (0.2,), (0.7,))
    assert gauss(mean, scale).kl(gaussian) == pytest.approx(by_quadrature(gaussian), rel=1e-9)
    assert gauss(mean, scale).kl(one) == pytest.approx(by_quadrature(gaussian), rel=1e-9)
    least = by_quadrature(MIXTURE)
    parts = [w / 3.5 for w in MIXTURE.weights]
    each = [math.log(s / scale) + (scale**2 + (mean - m) ** 2) / (2 * s**2) - 0.5
            for m, s in zip(MIXTURE.locs, MIXTURE.scales, strict=True)]  # fmt: skip
    hinton = -math.log(sum(p * math.exp(-kl) for p, kl in zip(parts, each, strict=True)))
    assert gauss(mean, scale).kl(MIXTURE) == pytest.approx(hinton, rel=1e-12)
    assert least - 1e-9 <= hinton <= min(kl - math.log(p) for p, kl in zip(parts, each, strict=True))


def test_kl_of_a_full_covariance_is_the_textbooks() -> None:
    rng = np.random.default_rng(0)
    root, mean = np.tril(rng.normal(size=(4, 4))) + 2 * np.eye(4), rng.normal(size=4)
    cov = root @ root.T
    q = Gauss(mean, np.zeros(4), root, np.linalg.slogdet(cov)[1], np.empty(0), 1.0)
    expected = 0.5 * (np.trace(cov) / 0.49 + ((mean - 0.2) ** 2).sum() / 0.49 - 4 + 4 * math.log(0.49)
                      - np.linalg.slogdet(cov)[1])  # fmt: skip
    assert q.kl(mdl.Gaussian(0.7, 0.2)) == pytest.approx(expected, rel=1e-12)


def difference(function, x: np.ndarray, k: int, step: float = 1e-6) -> float:
    move = step * (np.arange(x.size) == k).reshape(x.shape)
    return (function(x + move) - function(x - move)) / (2 * step)


def test_slopes_of_the_cross_entropy_are_differences() -> None:
    rng = np.random.default_rng(0)
    at = [rng.normal(size=(3, 3)), rng.normal(size=5), rng.uniform(0.1, 1.0, 5)]
    got = cross(*at)
    for which, slopes in enumerate((got.parameters, got.mean, got.variance)):
        for k in range(slopes.size):
            expected = difference(lambda v, w=which: cross(*at[:w], v, *at[w + 1 :]).nats, at[which], k)
            assert slopes.ravel()[k] == pytest.approx(expected, rel=1e-6, abs=1e-8)


def network(likelihood) -> tuple[FeedForward, np.ndarray]:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(12, 2))
    tensors = {"layers.0.weight": rng.normal(size=(2, 3)), "layers.0.bias": rng.normal(size=3)}
    outputs = likelihood.classes if isinstance(likelihood, likelihoods.Categorical) else 1
    tensors |= {"layers.1.weight": rng.normal(size=(3, outputs)), "layers.1.bias": np.zeros(outputs)}
    return FeedForward(tensors, likelihood, "tanh"), X


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("prior", [mdl.Gaussian(), mdl.Mixture(2), MIXTURE], ids=["gaussian", "open mixture", "given"])
@pytest.mark.parametrize(
    "likelihood", [likelihoods.Categorical(3), likelihoods.Gaussian(2.0**-4)], ids=["softmax", "open noise"]
)
def test_what_is_searched_has_the_slopes_that_it_says(likelihood, prior, rank) -> None:
    model, X = network(likelihood)
    y = np.random.default_rng(0).integers(0, 3, 12)
    noisy = isinstance(likelihood, likelihoods.Gaussian)
    search = Search(Objective(model, X, y), prior, open_noise=noisy, samples=4, seed=0)
    factored = _Factored(search, rank, None)
    d, opened = search.objective.size, int(search.opened.sum())
    assert opened == {mdl.Gaussian(): 1, mdl.Mixture(2): 6, MIXTURE: 0}[prior]
    theta = 0.3 * np.random.default_rng(1).normal(size=d * (2 + rank) + opened + noisy)
    _, slopes = factored.value(theta)
    expected = [difference(lambda t: factored.value(t)[0], theta, k) for k in range(theta.size)]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-6)


# --- what is found ----------------------------------------------------------------------------------------------------


def test_an_open_scale_is_the_best() -> None:
    problem = LOGISTIC, CANCER[0][:200], CANCER[1][:200]
    length = variational(*problem)
    given = [variational(*problem, mdl.Gaussian(s)) for s in (0.5, 0.75, 1.0, 1.5)]
    assert length.nats <= min(one.nats for one in given) + 1e-6
    assert length.part_bits()["prior"] < 20


def test_a_mixture_pays_where_the_weights_are_of_two_kinds() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 100))
    w = np.where(rng.random(100) < 0.1, 4.0, 0.02) * rng.normal(size=100)
    y = np.rint(64 * (X @ w + 0.3 * rng.normal(size=400))) / 64
    model = mdl.wrap(Ridge(1.0).fit(X, y), precision=2.0**-6)
    mixture, gaussian = variational_posterior(model, X, y, mdl.Mixture(2)), variational(model, X, y)
    assert mixture.length.nats < gaussian.nats - 50
    narrow, wide = sorted(mixture.prior.scales)
    assert (narrow < 0.2, wide > 1.5) == (True, True)
    given = variational(model, X, y, mixture.prior)
    assert given.nats == pytest.approx(mixture.length.nats, abs=1.0)


@pytest.mark.parametrize("covariance", ["diagonal", "low-rank"])
def test_softmax_is_measured_on_draws_of_its_own(covariance) -> None:
    X, y = WINE[0][::3], WINE[1][::3]
    model = mdl.wrap(LogisticRegression(C=0.3).fit(X, y))
    found = variational_posterior(model, X, y, covariance=covariance, rank=2, samples=4)
    one = Objective(found.model, X, y)
    drawn = np.array([one.nats(w) for w in found.sample(3000, np.random.default_rng(5))])
    error = math.hypot(found.error, drawn.std() / 3000**0.5)
    assert found.data == pytest.approx(drawn.mean(), abs=5 * error)
    assert of(found.length) < 0.5 * len(y) * math.log(3)


def test_a_search_that_fits_its_draws_is_given_more(monkeypatch) -> None:
    X, y = WINE[0][::3, :6], WINE[1][::3]
    problem = mdl.wrap(LogisticRegression(C=0.3).fit(X, y)), X, y, mdl.Gaussian(2.0)
    found = variational_posterior(*problem, samples=2)
    assert found.draws > 2
    monkeypatch.setattr("mdl.lengths.variational._OPTIMISM", math.inf)
    fooled = variational_posterior(*problem, samples=2)
    assert fooled.draws == 2
    assert fooled.data - fooled.seen > 1.0
    assert found.length < fooled.length


def test_no_draw_that_a_search_saw_measures_what_it_found(monkeypatch) -> None:
    saw = {"mdl.curvature.posterior": [], "mdl.lengths.variational": []}
    for module, seeds in saw.items():

        def spy(*args, seeds=seeds, **options):
            seeds.append(options["seed"])
            return expected_nats(*args, **options)

        monkeypatch.setattr(f"{module}.expected_nats", spy)
    found = variational_posterior(mdl.wrap(LogisticRegression().fit(*WINE)), *WINE, mdl.Gaussian(1.0), seed=7)
    searched, (seen, *measured) = set(saw["mdl.curvature.posterior"]), saw["mdl.lengths.variational"][-17:]
    assert searched == {seen} == {7}
    assert len(set(measured)) == 16
    assert 7 not in measured
    assert found.error > 0


def test_a_full_covariance_on_softmax_is_between_diagonal_and_evidence() -> None:
    X, y = WINE[0][::3, :5], WINE[1][::3]
    model = mdl.wrap(LogisticRegression(C=0.3).fit(X, y))
    prior = mdl.Gaussian(0.75)
    full, diagonal = (variational_posterior(model, X, y, prior, covariance=c, samples=16) for c in ("full", "diagonal"))
    slack = 4 * math.hypot(full.error, diagonal.error)
    assert of(full.length) < of(diagonal.length) + slack
    assert of(full.length) > of(evidence(model, X, y, prior)) - slack - 0.3  # Laplace's own error, see test_evidence
    drawn = np.array([Objective(full.model, X, y).nats(w) for w in full.sample(3000, np.random.default_rng(5))])
    assert full.data == pytest.approx(drawn.mean(), abs=5 * math.hypot(full.error, drawn.std() / 3000**0.5))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_network_is_measured_on_draws_of_its_own(covariance) -> None:
    X, y = CANCER[0][:80, :4], CANCER[1][:80]
    fitted = MLPClassifier(
        hidden_layer_sizes=2, activation="tanh", solver="lbfgs", alpha=3.0, max_iter=5000, random_state=0
    ).fit(X, y)
    found = variational_posterior(mdl.wrap(fitted), X, y, covariance=covariance)
    one = Objective(found.model, X, y)
    drawn = np.array([one.nats(w) for w in found.sample(2000, np.random.default_rng(5))])
    assert found.data == pytest.approx(drawn.mean(), abs=5 * math.hypot(found.error, drawn.std() / 2000**0.5))
    assert of(found.length) < 0.7 * 80 * math.log(2)


def test_open_noise_of_a_network_is_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 1))
    y = np.rint(64 * (np.tanh(2 * X[:, 0]) + 0.25 * rng.normal(size=150))) / 64
    fitted = MLPRegressor(
        hidden_layer_sizes=2, activation="tanh", solver="lbfgs", alpha=0.1, max_iter=5000, random_state=0
    )
    found = variational_posterior(mdl.wrap(fitted.fit(X, y), precision=2.0**-6), X, y)
    assert 0.2 < found.model.likelihood.scale < 0.32


def test_random_labels_do_not_compress() -> None:
    y = np.random.default_rng(0).integers(0, 2, len(CANCER[0]))
    assert variational(mdl.wrap(LogisticRegression().fit(CANCER[0], y)), CANCER[0], y).bits > len(y)


# --- what is told -----------------------------------------------------------------------------------------------------


def test_everything_that_a_reader_needs_is_charged() -> None:
    problem = regression(40, 6)
    length, one_part = variational(*problem), evidence(*problem)
    names = {"weights", "intercepts", "quantizer", "prior", "choice", "likelihood", "data"}
    assert {name for name, nats in length.parts if nats > 0} == names
    for part in ("intercepts", "quantizer", "choice"):
        assert length.part(part) == pytest.approx(one_part.part(part), rel=1e-12)
    assert not length.realised


def test_the_model_has_the_intercepts_of_a_two_part_code() -> None:
    found = variational_posterior(LOGISTIC, *CANCER)
    grid = Trials(LOGISTIC, *CANCER).free["layers.0.bias"]
    bias = grid.dequantize(grid.quantize(LOGISTIC.weights["layers.0.bias"]))
    np.testing.assert_array_equal(found.model.weights["layers.0.bias"], bias)
    np.testing.assert_array_equal(found.model.weights["layers.0.weight"].ravel(), found.mean)


@pytest.mark.parametrize("covariance", ["diagonal", "low-rank", "full"])
def test_samples_have_the_covariance(covariance) -> None:
    found = variational_posterior(*regression(40, 3), covariance=covariance, rank=1)
    drawn = found.sample(20_000, np.random.default_rng(0))
    spread = np.sqrt(np.diag(found.covariance))
    np.testing.assert_allclose(np.cov(drawn.T) / np.outer(spread, spread),
                               found.covariance / np.outer(spread, spread), atol=0.04)  # fmt: skip
    assert (np.abs(drawn.mean(axis=0) - found.mean) < 5 * spread / 20_000**0.5).all()


def test_misuse_is_refused_by_name(monkeypatch) -> None:
    problem = regression(10, 3)
    with pytest.raises(PriorError, match="expected a Gaussian prior or a mixture, got Laplace"):
        variational(*problem, priors.Laplace())
    with pytest.raises(MdlError, match="expected diagonal, low-rank or full, got 'dense'"):
        variational(*problem, covariance="dense")
    with pytest.raises(PriorError, match="a mixture without open parameters"):
        variational(*problem, mdl.Mixture(2), covariance="full")
    for name in ("rank", "samples"):
        with pytest.raises(MdlError, match=f"{name}: expected at least 1, got 0"):
            variational(*problem, **{name: 0})
    monkeypatch.setattr("mdl.curvature.posterior.MAX_FULL", 2)
    with pytest.raises(MdlError, match="expected at most 2 weights, got 3; use diagonal or low-rank"):
        variational(*problem, covariance="full")
