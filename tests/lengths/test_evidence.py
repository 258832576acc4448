"""Evidence against dense normals, quadrature and sums over grids: exact for ridge, close by Laplace's method."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

import mdl
from mdl import likelihoods, priors
from mdl.curvature import Objective
from mdl.errors import DataError, MdlError, PriorError
from mdl.length import LN2
from mdl.lengths.evidence import evidence, ridge_evidence
from mdl.models import FeedForward
from mdl.trials import Trials

CANCER = load_breast_cancer(return_X_y=True)
CANCER = StandardScaler().fit_transform(CANCER[0]), CANCER[1]
DIABETES = load_diabetes(return_X_y=True)
DIABETES = StandardScaler().fit_transform(DIABETES[0]), DIABETES[1]


def linear(weight, bias, likelihood) -> FeedForward:
    return FeedForward({"layers.0.weight": np.atleast_2d(weight), "layers.0.bias": np.atleast_1d(bias)}, likelihood)


def of(length: mdl.CodeLength) -> float:
    """The evidence itself, without what tells the prior, the noise and the intercepts."""
    return length.part("weights") + length.part("data")


def bias(model: FeedForward, X, y) -> float:
    """The intercept on the grid of a two-part code."""
    (name,) = model.free
    grid = Trials(model, X, y).free[name]
    return float(grid.dequantize(grid.quantize(model.weights[name]))[0])


# --- ridge ------------------------------------------------------------------------------------------------------------


def regression(n: int, d: int, seed: int = 0, precision: float = 2.0**-6):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = X @ rng.normal(size=d) + 0.5 + rng.normal(size=n)
    return X, np.rint(y / precision) * precision


def dense(X, y, scale: float, noise: float, precision: float) -> float:
    covariance = noise**2 * np.eye(len(X)) + scale**2 * X @ X.T
    return -stats.multivariate_normal(np.zeros(len(X)), covariance).logpdf(y) - len(X) * math.log(precision)


@pytest.mark.parametrize(("n", "d"), [(30, 4), (10, 25), (50, 50), (1, 1)])
@pytest.mark.parametrize(("scale", "noise", "loc"), [(0.7, 1.3, 0.0), (30.0, 0.25, 0.0), (0.01, 1.0, 0.5)])
def test_ridge_is_a_dense_normal(n, d, scale, noise, loc) -> None:
    X, y = regression(n, d)
    model = linear(np.full((d, 1), 0.3), 0.5, likelihoods.Gaussian(2.0**-6, scale=noise))
    length = evidence(model, X, y, mdl.Gaussian(scale, loc))
    expected = dense(X, y - bias(model, X, y) - X.sum(axis=1) * loc, scale, noise, 2.0**-6)
    assert of(length) == pytest.approx(expected, rel=1e-9)
    assert length.part("weights") > 0


def test_open_scales_of_ridge_are_where_the_evidence_is_least() -> None:
    X, y = regression(40, 5)
    model = linear(np.full((5, 1), 0.3), 0.5, likelihoods.Gaussian(2.0**-6))
    centred = y - bias(model, X, y)
    best = optimize.minimize(
        lambda logs: dense(X, centred, math.exp(logs[0]), math.exp(logs[1]), 2.0**-6), [0.0, 0.0], method="Nelder-Mead"
    ).fun
    length = evidence(model, X, y)
    assert best - 1e-9 <= of(length) <= best + 6 * LN2  # rounded where a bit more told gains less than a bit
    near = [evidence(model, X, y, mdl.Gaussian(s)).nats for s in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)]
    assert length.nats <= min(near) + 1e-9


def test_open_noise_alone_is_the_best_noise() -> None:
    X, y = regression(40, 5)
    model = linear(np.full((5, 1), 0.3), 0.5, likelihoods.Gaussian(2.0**-6))
    centred = y - bias(model, X, y)
    best = optimize.minimize_scalar(lambda log: dense(X, centred, 0.8, math.exp(log), 2.0**-6), bounds=(-3, 3)).fun
    length = evidence(model, X, y, mdl.Gaussian(0.8))
    assert of(length) == pytest.approx(best, abs=1e-3)
    assert length.part_bits()["likelihood"] < 50


def test_the_start_does_not_matter() -> None:
    X, y = regression(40, 5)
    lengths = [
        evidence(linear(np.full((5, 1), w), 0.5, likelihoods.Gaussian(2.0**-6)), X, y).nats for w in (0.0, 0.01, 1.0)
    ]
    assert lengths == pytest.approx([lengths[0]] * 3, abs=0.02)


@pytest.mark.parametrize("curvature", ["diagonal", "kronecker"])
def test_orthogonal_inputs_need_no_full_curvature(curvature) -> None:
    X = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 4)))[0] * math.sqrt(20)
    y = np.rint(64 * (X @ [1.0, -1.0, 0.5, 0.0])) / 64
    model = linear(np.full((4, 1), 0.3), 0.5, likelihoods.Gaussian(2.0**-6, scale=0.5))
    full, other = (evidence(model, X, y, mdl.Gaussian(0.8), curvature=c) for c in ("full", curvature))
    assert of(other) == pytest.approx(of(full), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(30, 4), (10, 25)])
def test_ridge_evidence_is_a_dense_normal_at_every_strength(n, d) -> None:
    X, y = regression(n, d)
    alphas = np.array([1e-3, 1.0, 50.0])
    got = ridge_evidence(X, y, alphas, noise=1.2, precision=2.0**-6)
    expected = [dense(X, y, 1.2 / math.sqrt(a), 1.2, 2.0**-6) for a in alphas]
    np.testing.assert_allclose(got.nats, expected, rtol=1e-9)
    best = ridge_evidence(X, y, alphas, precision=2.0**-6)
    for alpha, nats, noise in zip(alphas, best.nats, best.noise, strict=True):
        search = optimize.minimize_scalar(
            lambda t, a=alpha: dense(X, y, t / math.sqrt(a), t, 2.0**-6), bounds=(0.01, 20), options={"xatol": 1e-9}
        )
        assert (nats, noise) == (pytest.approx(search.fun, rel=1e-10), pytest.approx(search.x, rel=1e-4))


# --- one and two weights, by quadrature -------------------------------------------------------------------------------


def exact(model, X, y, scale: float) -> float:
    """-ln of the integral over one or two weights, by a sum over a grid: no rule is better for what decays so fast."""
    one = Objective(model, X, y)
    line = scale * np.linspace(-7.0, 7.0, 2001 if one.size == 1 else 101)
    points = np.stack(np.meshgrid(*[line] * one.size), axis=-1).reshape(-1, one.size)
    log_terms = [
        -0.5 * w @ w / scale**2 - one.size * math.log(scale * math.sqrt(2 * math.pi)) - one.nats(w) for w in points
    ]
    return -float(special.logsumexp(log_terms)) - one.size * math.log(line[1] - line[0])


def logistic_line(n: int):
    x = np.linspace(-2.0, 2.0, n)[:, None]
    y = (special.expit(1.5 * x[:, 0]) > np.random.default_rng(0).random(n)).astype(int)
    return linear(1.0, 0.0, likelihoods.Bernoulli()), x, y


@pytest.mark.parametrize(("n", "scale", "error"), [(20, 1.0, 0.03), (80, 1.0, 0.008), (320, 1.0, 0.003)])
def test_laplace_of_one_logistic_weight_is_near_the_integral(n, scale, error) -> None:
    model, X, y = logistic_line(n)
    assert abs(of(evidence(model, X, y, mdl.Gaussian(scale))) - exact(model, X, y, scale)) < error


def test_laplace_of_one_poisson_weight_is_near_the_integral() -> None:
    x = np.linspace(-1.0, 1.0, 40)[:, None]
    y = np.random.default_rng(1).poisson(np.exp(0.5 + 0.8 * x[:, 0]))
    model = linear(0.0, 0.5, likelihoods.Poisson())
    assert of(evidence(model, x, y, mdl.Gaussian(0.9))) == pytest.approx(exact(model, x, y, 0.9), abs=0.005)


def test_laplace_of_a_softmax_with_two_weights_is_near_the_integral() -> None:
    x = np.linspace(-2.0, 2.0, 60)[:, None]
    y = (special.expit(1.5 * x[:, 0]) > np.random.default_rng(0).random(60)).astype(int)
    model = linear([[0.0, 0.0]], [0.0, 0.0], likelihoods.Categorical(2))
    assert of(evidence(model, x, y, mdl.Gaussian(0.8))) == pytest.approx(exact(model, x, y, 0.8), abs=0.015)


def test_laplace_of_many_weights_is_the_formula() -> None:
    X, y = CANCER
    model = mdl.wrap(LogisticRegression(C=0.1).fit(X, y))
    model = model.with_weights({**model.weights, "layers.0.bias": [0.5]})
    length = evidence(model, X, y, mdl.Gaussian(0.4))

    def total(w):
        logits = X @ w + 0.5
        p = special.expit(logits)
        return np.logaddexp(0, logits).sum() - y @ logits + w @ w / 0.32, X.T @ (p - y) + w / 0.16

    found = optimize.minimize(total, np.zeros(30), jac=True, method="BFGS", options={"gtol": 1e-7})
    p = special.expit(X @ found.x + 0.5)
    log_det = np.linalg.slogdet(np.eye(30) + 0.16 * (X.T * (p * (1 - p))) @ X)[1]
    assert of(length) == pytest.approx(found.fun + 0.5 * log_det, rel=1e-8)
    assert length.part("data") == pytest.approx(-np.log(np.where(y == 1, p, 1 - p)).sum(), rel=1e-5)


def test_an_open_scale_is_the_best_and_is_told() -> None:
    X, y = CANCER
    model = mdl.wrap(LogisticRegression(C=0.1).fit(X, y))
    length = evidence(model, X, y)
    given = {s: evidence(model, X, y, mdl.Gaussian(s)) for s in (0.25, 0.5, 0.625, 0.75, 1.0, 1.5, 2.0)}
    assert length.nats <= min(one.nats for one in given.values()) + 1e-6
    assert length.part_bits()["prior"] < 20
    far = evidence(model.with_weights({**model.weights, "layers.0.weight": np.zeros((30, 1))}), X, y)
    assert of(far) == pytest.approx(of(length), abs=0.1)


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def perceptron():
    X, y = CANCER
    fitted = MLPClassifier(3, activation="tanh", solver="lbfgs", alpha=5.0, max_iter=5000, random_state=0).fit(X, y)
    model = mdl.wrap(fitted)
    return model.with_weights({n: np.rint(t * 2**20) / 2**20 for n, t in model.weights.items()}), X, y


@pytest.mark.parametrize("curvature", ["full", "diagonal", "kronecker", "auto"])
def test_a_network_is_taken_as_trained(perceptron, curvature) -> None:
    model, X, y = perceptron
    length = evidence(model, X, y, mdl.Gaussian(0.5), curvature=curvature)
    grids = Trials(model, X, y).free
    biases = {n: g.dequantize(g.quantize(model.weights[n])) for n, g in grids.items()}
    one = Objective(model.with_weights({**model.weights, **biases}), X, y)
    w, H = one.vector, one.ggn(one.vector)
    if curvature == "diagonal":
        H = np.diag(one.ggn_diagonal(w))
    if curvature == "kronecker":
        blocks = [np.kron(A, B) for A, B in one.kronecker(w).values()]
        H = np.block([[b if i == k else np.zeros((len(b), len(c))) for k, c in enumerate(blocks)]
                      for i, b in enumerate(blocks)])  # fmt: skip
    assert length.part("data") == pytest.approx(one.nats(w), rel=1e-10)
    expected = 0.5 * w @ w / 0.25 + 0.5 * np.linalg.slogdet(np.eye(len(w)) + 0.25 * H)[1]
    assert length.part("weights") == pytest.approx(expected, rel=1e-8)


def test_a_cruder_curvature_never_shortens(perceptron) -> None:
    model, X, y = perceptron
    full, diagonal = (of(evidence(model, X, y, mdl.Gaussian(0.5), curvature=c)) for c in ("full", "diagonal"))
    assert full < diagonal  # Hadamard


def test_open_noise_of_a_network_is_the_best() -> None:
    X, y = DIABETES
    fitted = MLPRegressor(
        hidden_layer_sizes=3, activation="tanh", solver="lbfgs", alpha=50.0, max_iter=5000, random_state=0
    ).fit(X, y - 152.0)
    tensors = mdl.wrap(fitted).weights
    tensors = {name: np.zeros_like(t) if name.endswith("bias") else t for name, t in tensors.items()}
    model = FeedForward(tensors, likelihoods.Gaussian(1.0), "tanh")

    def given(logs) -> float:
        noise, scale = np.exp(logs)
        told = model.with_likelihood(likelihoods.Gaussian(1.0, scale=noise))
        return of(evidence(told, X, y - 152.0, mdl.Gaussian(scale)))

    best = optimize.minimize(given, np.log([60.0, 3.0]), method="Nelder-Mead", options={"fatol": 1e-3}).fun
    assert best - 1e-3 <= of(evidence(model, X, y - 152.0)) <= best + 6 * LN2
    best = optimize.minimize_scalar(lambda log: given([log, 1.0]), bounds=(3.0, 5.0)).fun
    assert of(evidence(model, X, y - 152.0, mdl.Gaussian(math.e))) == pytest.approx(best, abs=1e-3)


# --- what is told -----------------------------------------------------------------------------------------------------


def test_everything_that_a_reader_needs_is_charged() -> None:
    X, y = DIABETES
    model = mdl.wrap(Ridge(1.0).fit(X, y))
    length = evidence(model, X, y)
    names = {"weights", "intercepts", "quantizer", "prior", "choice", "likelihood", "data"}
    assert {name for name, nats in length.parts if nats > 0} == names
    assert not length.realised
    two_part = mdl.two_part(model, X, y)
    assert length.part("intercepts") == two_part.part("intercepts")
    assert of(length) < two_part.part("weights") + two_part.part("data")


def test_evidence_beats_the_two_part_code_where_the_data_speak() -> None:
    X, y = CANCER
    model = mdl.wrap(LogisticRegression(C=0.1).fit(X, y))
    assert evidence(model, X, y) < mdl.two_part(model, X, y)


def test_random_labels_do_not_compress() -> None:
    X = CANCER[0]
    y = np.random.default_rng(0).integers(0, 2, len(X))
    length = evidence(mdl.wrap(LogisticRegression(C=1.0).fit(X, y)), X, y)
    assert length.bits > len(X)
    assert of(length) < (len(X) + 5) * LN2


def test_a_model_without_penalised_weights_costs_its_data() -> None:
    model = FeedForward({"layers.0.weight": np.empty((0, 1)), "layers.0.bias": [0.0]}, likelihoods.Bernoulli())
    length = evidence(model, np.empty((5, 0)), [0, 1, 0, 1, 1], mdl.Gaussian(1.0))
    assert (length.part("weights"), length.part("data")) == (0.0, pytest.approx(5 * LN2))


def test_misuse_is_refused_by_name() -> None:
    X, y = CANCER
    model = mdl.wrap(LogisticRegression().fit(X, y))
    with pytest.raises(PriorError, match="expected a Gaussian prior, got Laplace"):
        evidence(model, X, y, priors.Laplace())
    with pytest.raises(MdlError, match="expected auto, full, kronecker or diagonal, got 'dense'"):
        evidence(model, X, y, curvature="dense")
    with pytest.raises(DataError, match="alphas: expected finite numbers > 0"):
        ridge_evidence(X, y, [0.0])
    with pytest.raises(DataError, match=r"y: expected \(569,\) finite numbers, got shape \(568,\)"):
        ridge_evidence(X, y[1:], [1.0])
