"""MML87 against its formula with dense Fisher information, averages over real cells, and published constants."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import special, stats
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import mdl
from mdl import likelihoods
from mdl.codes.describe import describe
from mdl.errors import MdlError, PriorError
from mdl.length import LN2
from mdl.lengths.mml import KAPPA, log_kappa, mml
from mdl.models import FeedForward, wrap
from mdl.trials import Trials

RNG = np.random.default_rng(0)


def linear(weight, bias, likelihood) -> FeedForward:
    weight = np.asarray(weight, float)
    tensors = {"layers.0.weight": weight.reshape(len(weight), -1), "layers.0.bias": np.atleast_1d(bias)}
    return FeedForward(tensors, likelihood)


def of(length) -> float:
    """MML87's own terms, without what tells the prior, the noise and the intercepts."""
    return length.part("weights") + length.part("rounding") + length.part("data")


def told(model, X, y) -> FeedForward:
    """The model with its intercepts as a reader gets them."""
    free = {
        name: grid.dequantize(grid.quantize(model.weights[name])) for name, grid in Trials(model, X, y).free.items()
    }
    return model.with_weights({**model.weights, **free})


# --- the formula ------------------------------------------------------------------------------------------------------


def hessian(nats, w, step=1e-4):
    """Of a scalar function, by central differences."""
    d, E = len(w), step * np.eye(len(w))
    H = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            corners = (nats(w + a * E[i] + b * E[j]) * a * b for a in (1, -1) for b in (1, -1))
            H[i, j] = sum(corners) / (4 * step**2)
    return H


def examples():
    X = np.random.default_rng(1).normal(size=(50, 3))
    f = X @ [1.0, -0.5, 0.2]
    yield "gaussian", linear([0.9, -0.4, 0.3], 0.5, likelihoods.Gaussian(1 / 16, 0.8)), X, np.rint(16 * f) / 16
    yield "logistic", linear([0.9, -0.4, 0.3], 0.5, likelihoods.Bernoulli()), X, (f > 0).astype(int)
    yield "poisson", linear([0.3, -0.4, 0.3], 0.5, likelihoods.Poisson()), X, np.rint(np.exp(f)).astype(int)
    yield (
        "softmax",
        linear(RNG.normal(size=(3, 3)), np.zeros(3), likelihoods.Categorical(3)),
        X,
        np.digitize(f, [-0.5, 0.5]),
    )


@pytest.mark.parametrize("curvature", ["posterior", "fisher"])
@pytest.mark.parametrize(
    ("name", "model", "X", "y"), list(examples()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_length_is_the_formula(name, model, X, y, curvature):
    rounded, w, d = told(model, X, y), model.weights["layers.0.weight"].ravel(), model.weights["layers.0.weight"].size
    scale, loc = 2.0, 0.125

    def nats(v):
        tensors = {**rounded.weights, "layers.0.weight": v.reshape(3, -1)}
        if name == "gaussian":  # the density, which stands for a cell's mass
            return -stats.norm(rounded.with_weights(tensors).predict(X), 0.8).logpdf(y).sum() + len(y) * math.log(16)
        return -float(rounded.likelihood.log_prob(rounded.with_weights(tensors).predict(X), y).sum())

    F = hessian(nats, w) + (np.eye(d) / scale**2 if curvature == "posterior" else 0.0)
    if name == "softmax" and curvature == "fisher":
        with pytest.raises(MdlError, match="3 of 9 combinations"):  # the same added to all classes changes nothing
            mml(model, X, y, mdl.Gaussian(scale, loc), curvature=curvature)
        return
    prior = -stats.norm(loc, scale).logpdf(w).sum()
    expected = prior + 0.5 * np.linalg.slogdet(F)[1] + nats(w) + 0.5 * d * (1 + log_kappa(d))
    got = mml(model, X, y, mdl.Gaussian(scale, loc), curvature=curvature)
    assert of(got) == pytest.approx(expected, rel=1e-6)
    assert got.part("data") == pytest.approx(nats(w), rel=1e-9)
    assert got.part("rounding") == pytest.approx(0.5 * d * math.log(2 * math.pi * math.e * math.exp(log_kappa(d))))


def test_one_weight_costs_what_real_cells_cost_on_average():
    """Cells of width √(12/F) under a wide prior: their length averaged over where the weight lies in its cell."""
    x, noise, scale, w = RNG.normal(size=200), 0.7, 5.0, 1.3
    y = np.rint(32 * (w * x + noise * RNG.normal(size=200))) / 32
    width = math.sqrt(12 * noise**2 / (x @ x))
    best = x @ y / (x @ x)
    inside = best + width * (np.arange(400) + 0.5 - 200) / 400
    assertion = -stats.norm(0.0, scale).logpdf(best) - math.log(width)
    data = -stats.norm(np.outer(inside, x), noise).logpdf(y).sum(axis=1).mean() - 200 * math.log(1 / 32)
    model = linear([best], 0.0, likelihoods.Gaussian(1 / 32, noise))
    got = mml(model, x[:, None], y, mdl.Gaussian(scale), curvature="fisher")
    assert of(got) == pytest.approx(assertion + data, abs=1e-3)
    assert of(mml(model, x[:, None], y, mdl.Gaussian(scale))) == pytest.approx(of(got), abs=1e-3)


def test_the_default_is_laplaces_evidence_and_rounding():
    X, noise, scale = RNG.normal(size=(40, 6)), 0.9, 0.6
    y = np.rint(64 * (X @ RNG.normal(size=6) + noise * RNG.normal(size=40))) / 64
    w = np.linalg.solve(X.T @ X + noise**2 / scale**2 * np.eye(6), X.T @ y)  # exact for ridge at its mode
    covariance = noise**2 * np.eye(40) + scale**2 * X @ X.T
    evidence = -stats.multivariate_normal(np.zeros(40), covariance).logpdf(y) + 40 * math.log(64)
    got = mml(linear(w, 0.0, likelihoods.Gaussian(1 / 64, noise)), X, y, mdl.Gaussian(scale))
    assert of(got) == pytest.approx(evidence + 3 * math.log(2 * math.pi * math.e * KAPPA[5]), rel=1e-10)


# --- where MML87 breaks down ------------------------------------------------------------------------------------------


def test_uninformative_inputs_cost_little_and_never_less_than_nothing():
    y = RNG.integers(0, 2, 30)
    X = 1e-6 * RNG.normal(size=(30, 8))
    model = linear(np.full(8, 1e-3), 0.0, likelihoods.Bernoulli())
    got = mml(model, X, y, mdl.Gaussian(1.0))
    assert 0.0 < got.part("weights") < 1e-5
    assert got.part("rounding") == pytest.approx(4 * math.log(2 * math.pi * math.e * KAPPA[7]))
    with pytest.raises(MdlError, match=r"8 of 8 combinations.*posterior"):
        mml(model, X, y, mdl.Gaussian(1.0), curvature="fisher")
    with pytest.raises(MdlError, match="MML87"):
        mml(linear(np.full(8, 1e-3), 0.0, likelihoods.Bernoulli()), 0 * X, y, curvature="fisher")


def test_well_determined_weights_need_no_way_out():
    X = RNG.normal(size=(20_000, 2))
    y = (X @ [1.0, -1.0] + RNG.logistic(size=20_000) > 0).astype(int)
    model = wrap(LogisticRegression().fit(X, y))
    lengths = [of(mml(model, X, y, mdl.Gaussian(2.0), curvature=kind)) for kind in ("posterior", "fisher")]
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-3)


def test_dead_units_are_no_obstacle():
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    network = MLPClassifier((8,), alpha=1.0, max_iter=2000, random_state=0).fit(X, y)
    got = mml(wrap(network), X, y)
    assert got.bits < 178 * math.log2(3)
    with pytest.raises(MdlError, match="combinations"):
        mml(wrap(network), X, y, curvature="fisher")


# --- open parameters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_an_open_scale_is_where_the_length_is_least(C):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = wrap(LogisticRegression(C=C).fit(X, y))
    got = mml(model, X, y)
    best = min(of(mml(model, X, y, mdl.Gaussian(s))) for s in np.geomspace(0.01, 10.0, 25))
    assert of(got) < best + 3 * LN2
    assert got.bits < 569
    assert got.nats <= min(mml(model, X, y, mdl.Gaussian(s)).nats for s in (0.125, 0.25, 0.5, 1.0)) + 1e-9


def test_everything_told_is_charged():
    X = RNG.normal(size=(60, 2))
    y = np.rint(X @ [3.0, 4.0] * 8 + RNG.normal(size=60) * 8)
    model = wrap(Ridge().fit(X, y))
    got = mml(model, X, y, mdl.Gaussian(0.1))
    names = {"choice", "quantizer", "intercepts", "likelihood", "prior", "weights", "rounding", "data"}
    assert {name for name, _ in got.parts} == names
    assert got.part_bits()["prior"] == sum(b.size for part, b in describe(mdl.Gaussian(0.1)) if part == "prior")
    assert mml(model, X, y).part("prior") < got.part("prior")  # 0.1 takes 53 digits


def test_poisson_regression_has_a_length():
    X = RNG.normal(size=(80, 2))
    y = RNG.poisson(np.exp(X @ [0.4, -0.3] + 1.0))
    assert mml(wrap(PoissonRegressor(alpha=0.01).fit(X, y)), X, y).part("weights") > 1.0


# --- κ ----------------------------------------------------------------------------------------------------------------


def test_published_constants():
    known = {1: 1 / 12, 2: 5 / (36 * math.sqrt(3)), 3: 19 / (192 * 2 ** (1 / 3)), 4: 13 / (120 * math.sqrt(2))}
    known |= {5: 0.075625, 6: 0.074244, 7: 0.073116, 8: 929 / 12960}  # D5*, E6*, E7* as tabulated; E8
    for d, kappa in known.items():
        assert math.exp(log_kappa(d)) == pytest.approx(kappa, abs=6e-7)
    assert len(KAPPA) == 8
    assert list(KAPPA) == sorted(KAPPA, reverse=True)


@pytest.mark.parametrize("d", [*range(1, 41), 1000, 10**6])
def test_cells_lie_between_the_ball_and_the_cube(d):
    ball = (2 / d) * special.gammaln(1 + d / 2) - math.log((d + 2) * math.pi)
    assert ball < log_kappa(d) + 1e-12
    assert log_kappa(d) <= math.log(1 / 12)
    assert 2 * math.pi * math.e * math.exp(log_kappa(d)) > 1.0


@pytest.mark.parametrize("d", [40, 10**5])
def test_many_dimensions_follow_zador(d):
    with mpmath.workdps(30):
        x = mpmath.mpf(d)
        expected = mpmath.gamma(1 + 2 / x) * mpmath.gamma(1 + x / 2) ** (2 / x) / (mpmath.pi * x)
    assert math.exp(log_kappa(d)) == pytest.approx(float(expected), rel=1e-9)
    if d > 1000:
        assert math.exp(log_kappa(d)) == pytest.approx(1 / (2 * math.pi * math.e), rel=2e-4)


def test_side_by_side_beyond_the_table():
    assert 9 * log_kappa(9) == pytest.approx(8 * log_kappa(8) + log_kappa(1))


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_has_no_such_length_is_refused():
    X, y = RNG.normal(size=(20, 2)), np.arange(20) % 2
    model = linear([1.0, 1.0], 0.0, likelihoods.Bernoulli())
    with pytest.raises(PriorError, match="Gaussian prior, got Laplace"):
        mml(model, X, y, mdl.Laplace())
    with pytest.raises(MdlError, match="posterior or fisher, got 'laplace'"):
        mml(model, X, y, curvature="laplace")
    with pytest.raises(MdlError, match="FeedForward"):
        mml("model", X, y)
    with pytest.raises(MdlError, match="at most 3000 weights"):
        mml(linear(np.zeros(3001), 0.0, likelihoods.Bernoulli()), np.zeros((2, 3001)), [0, 1])
    with pytest.raises(MdlError, match="at least 1"):
        log_kappa(0)
