"""Normalised maximum likelihood of linear models against quadrature, enumeration of labels, constrained searches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, special
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from mdl import likelihoods
from mdl.codes.describe import describe
from mdl.errors import DataError, MdlError
from mdl.lengths import nml
from mdl.models import FeedForward, wrap
from mdl.trials import Trials

RNG = np.random.default_rng(0)


def complexity(length) -> float:
    return length.part("complexity")


def linear(weight, likelihood, bias=0.5) -> FeedForward:
    return FeedForward({"layers.0.weight": np.reshape(weight, (-1, 1)), "layers.0.bias": [bias]}, likelihood)


def classified(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, (X @ np.ones(d) + rng.logistic(size=n) > 0).astype(int)


def told_bias(model, X, y):
    """The intercept as a reader gets it."""
    (grid,) = Trials(model, X, y).free.values()
    return float(grid.dequantize(grid.quantize(model.weights["layers.0.bias"]))[0])


def root_fisher(X, w, bias, likelihood):
    f = X @ w + bias
    h = np.exp(f) if isinstance(likelihood, likelihoods.Poisson) else special.expit(f) * special.expit(-f)
    return math.sqrt(np.linalg.det((X * h[:, None]).T @ X))


@pytest.mark.parametrize("likelihood", [likelihoods.Bernoulli(), likelihoods.Poisson()], ids=["logistic", "poisson"])
@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_one_weight_by_quadrature(likelihood, radius):
    X, y = classified(60, 1)
    model = linear([0.2], likelihood)
    got, bias = nml.nml(model, X, y, radius=radius, complexity="asymptotic"), told_bias(model, X, y)
    volume = integrate.quad(lambda w: root_fisher(X, np.array([w]), bias, likelihood), -radius, radius)[0]
    assert complexity(got) == pytest.approx(math.log(volume) - 0.5 * math.log(2 * math.pi), abs=1e-3)


def test_two_weights_by_quadrature():
    X, y = classified(60, 2)
    model = linear([0.2, 0.0], likelihoods.Bernoulli())
    got, bias = nml.nml(model, X, y, radius=3.0, complexity="asymptotic"), told_bias(model, X, y)

    def polar(r, angle):
        return r * root_fisher(X, r * np.array([math.cos(angle), math.sin(angle)]), bias, likelihoods.Bernoulli())

    volume = integrate.dblquad(polar, 0, 2 * math.pi, 0, 3.0, epsabs=1e-4, epsrel=1e-4)[0]
    assert complexity(got) == pytest.approx(math.log(volume) - math.log(2 * math.pi), abs=3e-3)


def likeliest_in_ball(X, y, radius, K):
    """Max over ‖w‖ <= radius of ln p(y | w), by a search on the ball's own coordinates."""
    n, d = X.shape
    outputs = 1 if K == 2 else K

    def nats(v):
        w = v * min(1.0, radius / max(np.linalg.norm(v), 1e-12))
        f = X @ w.reshape(d, outputs)
        if K == 2:
            return -special.log_expit(np.where(y == 1, 1, -1) * f[:, 0]).sum()
        return -special.log_softmax(f, axis=1)[np.arange(n), y].sum()

    starts = np.random.default_rng(0).normal(size=(2, d * outputs)) * radius
    found = (optimize.minimize(nats, v, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6}) for v in starts)
    return -min(result.fun for result in found)


@pytest.mark.parametrize(("n", "d", "K", "radius"), [(6, 1, 2, 0.5), (6, 1, 2, 4.0), (5, 2, 2, 2.0), (4, 1, 3, 1.0)])
def test_the_bound_is_above_the_sum_over_all_labels_and_the_integral_below(n, d, K, radius):
    X = np.random.default_rng(1).normal(size=(n, d))
    likelihood, outputs = (likelihoods.Bernoulli(), 1) if K == 2 else (likelihoods.Categorical(K), K)
    model = FeedForward({"layers.0.weight": np.zeros((d, outputs)), "layers.0.bias": np.zeros(outputs)}, likelihood)
    got = complexity(nml.nml(model, X, np.arange(n) % K, radius=radius))
    labels = [np.array(y) for y in itertools.product(range(K), repeat=n)]
    each = [likeliest_in_ball(X, y, radius, K) for y in labels]
    exact = special.logsumexp(each)
    assert exact <= got <= 2.0 * exact + 0.1
    y = labels[len(labels) // 3]
    assert nml.nml(model, X, y, radius=radius).part("data") == pytest.approx(-each[len(labels) // 3], abs=1e-5)
    if K == 2:  # the integral leaves out what the ends of the range add
        assert complexity(nml.nml(model, X, y, radius=radius, complexity="asymptotic")) < exact


@pytest.mark.parametrize("radius", [0.5, 4.0])
def test_three_classes_are_bounded_as_two_pairs_of_classes(radius):
    """(I - 11ᵀ/3)/2 has the eigenvalues 1/2, 1/2, 0; the logistic bound has 1/4, so that inputs are √2 as long."""
    X = RNG.normal(size=(30, 2))
    tensors = {"layers.0.weight": np.zeros((2, 3)), "layers.0.bias": np.zeros(3)}
    three = nml.nml(FeedForward(tensors, likelihoods.Categorical(3)), X, np.arange(30) % 3, radius=radius)
    blocks = math.sqrt(2) * np.kron(np.eye(2), X)
    two = nml.nml(linear([0.0] * 4, likelihoods.Bernoulli()), blocks, np.arange(60) % 2, radius=radius)
    assert complexity(three) == pytest.approx(complexity(two), rel=1e-12)


def test_the_bound_is_close_to_a_gaussian_one_where_labels_are_uncertain():
    """Small weights, so that the curvature is XᵀX/4 throughout, and many examples: C is nearly the Wills functional."""
    X = np.linalg.qr(RNG.normal(size=(4000, 3)))[0] * math.sqrt(4000)
    y = RNG.integers(0, 2, 4000)
    got = complexity(nml.nml(linear([0.0] * 3, likelihoods.Bernoulli(), 0.0), X, y, radius=0.2))
    known = complexity(nml.linear_regression(X, np.zeros(4000), 2.0, radius=0.2 * math.sqrt(4000)))
    assert known < got < known + 1.5
    wide = complexity(nml.nml(linear([0.0] * 3, likelihoods.Bernoulli(), 0.0), X, y, radius=2.0))
    known = complexity(nml.linear_regression(X, np.zeros(4000), 2.0, radius=2.0 * math.sqrt(4000)))
    assert known < wide < known + 0.6


def test_directions_without_information_are_free():
    X, y = classified(40, 2)
    padded = np.column_stack([X, np.zeros((40, 5)), X[:, :1]])
    model, more = (linear(np.full(k, 0.1), likelihoods.Bernoulli()) for k in (2, 8))
    assert complexity(nml.nml(linear([0.1], likelihoods.Bernoulli()), 0 * X[:, :1], y, radius=3.0)) == 0.0
    got = [complexity(nml.nml(m, Z, y, radius=3.0)) for m, Z in ((model, X), (more, padded))]
    assert got[0] < got[1] < got[0] + math.log(2)  # a column twice counts as one that is √2 as long


@pytest.mark.parametrize("radius", [0.4, 20.0])
def test_the_likeliest_weights_of_the_ball_are_found(radius):
    X, y = classified(50, 3)

    model = linear([5.0, 0.0, 0.0], likelihoods.Bernoulli())
    bias = told_bias(model, X, y)

    def nats(w):
        return -special.log_expit(np.where(y == 1, 1, -1) * (X @ w + bias)).sum()

    inside = {"type": "ineq", "fun": lambda w: radius**2 - w @ w}
    best = optimize.minimize(nats, np.zeros(3), constraints=inside, tol=1e-10)
    got = nml.nml(model, X, y, radius=radius)
    assert got.part("data") == pytest.approx(best.fun, rel=1e-6)


def test_separable_labels_end_on_the_sphere():
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    y = (X[:, 0] > 0).astype(int)
    got = nml.nml(linear([1.0], likelihoods.Bernoulli(), 0.0), X, y, radius=8.0)
    assert got.part("data") == pytest.approx(-special.log_expit(8.0 * np.abs(X[:, 0])).sum(), rel=1e-6)
    flipped = nml.nml(linear([1.0], likelihoods.Bernoulli(), 0.0), X, 1 - y, radius=8.0)
    assert flipped.part("data") == pytest.approx(got.part("data"), rel=1e-9)


def test_ridge_is_a_regression_about_its_told_intercept():
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = wrap(Ridge(alpha=10.0).fit(X, y))
    got = nml.nml(model, X, y)
    told = {"choice", "quantizer", "intercepts", "likelihood", "range", "complexity", "data"}
    assert {name for name, _ in got.parts} == told
    bias = told_bias(model, X, y)
    likelihood = model.likelihood.fit(model.with_weights({**model.weights, "layers.0.bias": [bias]}).predict(X), y)
    expected = nml.linear_regression(X, y - bias, likelihood.scale)
    assert complexity(got) == pytest.approx(complexity(expected))
    assert got.part("data") == pytest.approx(expected.part("data"))
    assert got.part_bits()["likelihood"] == sum(b.size for p, b in describe(likelihood) if p == "likelihood")


def test_logistic_regression_on_breast_cancer_beats_a_bit_a_label():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)[:, :8]
    model = wrap(LogisticRegression().fit(X, y))
    got = nml.nml(model, X, y)
    assert got.bits < 569
    assert got.part_bits()["range"] == pytest.approx(5)  # ‖w‖ of 2 to 4 or 4 to 8
    integral = nml.nml(model, X, y, complexity="asymptotic")
    assert complexity(integral) < complexity(got)
    assert integral.part("data") == got.part("data") < -model.likelihood.log_prob(model.predict(X), y).sum()


def test_poisson_regression_has_a_length():
    X = RNG.normal(size=(80, 2))
    y = RNG.poisson(np.exp(X @ [0.4, -0.3] + 1.0))
    model = wrap(PoissonRegressor(alpha=0.1).fit(X, y))
    assert complexity(nml.nml(model, X, y, complexity="asymptotic")) > 2.0
    with pytest.raises(MdlError, match="no upper bound"):
        nml.nml(model, X, y)


def test_models_without_such_a_length_are_refused():
    X, y = classified(40, 2)
    three = np.arange(40) % 3
    with pytest.raises(MdlError, match="categorical"):
        nml.nml(wrap(LogisticRegression().fit(X, three)), X, three, complexity="asymptotic")
    with pytest.raises(MdlError, match="bound or asymptotic, got 'exact'"):
        nml.nml(linear([1.0, 1.0], likelihoods.Bernoulli()), X, y, complexity="exact")
    with pytest.raises(MdlError, match="hidden layers"):
        nml.nml(wrap(MLPClassifier((2,), max_iter=500, tol=1.0).fit(X, y)), X, y)
    wide = np.random.default_rng(0).normal(size=(40, 65))
    with pytest.raises(MdlError, match="at most 64 weights"):
        nml.nml(linear(np.zeros(65), likelihoods.Bernoulli()), wide, y, complexity="asymptotic")
    with pytest.raises(DataError, match="independent"):
        nml.nml(linear([1.0, 1.0], likelihoods.Bernoulli()), X[:, [0, 0]], y, complexity="asymptotic")
    with pytest.raises(DataError, match="radius"):
        nml.nml(linear([1.0, 1.0], likelihoods.Bernoulli()), X, y, radius=0.0)
    with pytest.raises(MdlError, match="FeedForward"):
        nml.nml("model", X, y)
