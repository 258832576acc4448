"""The data's length, its gradient and its curvature: against mpmath's derivatives and sums of per-example Jacobians."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest
from scipy import optimize

import mdl
from mdl import curvature, likelihoods
from mdl.curvature import Objective, layer_inputs, mode
from mdl.errors import DataError, MdlError
from mdl.models import FeedForward

RNG = np.random.default_rng(0)
N, FEATURES = 7, 3
X = RNG.normal(size=(N, FEATURES))
LIKELIHOODS = {
    "bernoulli": (likelihoods.Bernoulli(), 1, RNG.integers(0, 2, N)),
    "categorical": (likelihoods.Categorical(4), 4, RNG.integers(0, 4, N)),
    "gaussian": (likelihoods.Gaussian(0.25, scale=0.7), 1, np.rint(4 * RNG.normal(size=N)) / 4),
    "poisson": (likelihoods.Poisson(), 1, RNG.integers(0, 5, N)),
}
HIDDEN = {"linear": ((), "identity"), "tanh": ((4,), "tanh"), "relu": ((4, 3), "relu"), "logistic": ((2,), "logistic")}
CASES = list(itertools.product(HIDDEN, LIKELIHOODS))


def network(hidden: str, likelihood: str, seed: int = 1) -> FeedForward:
    widths, activation = HIDDEN[hidden]
    rng = np.random.default_rng(seed)
    sizes = (FEATURES, *widths, LIKELIHOODS[likelihood][1])
    tensors = {}
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        tensors |= {f"layers.{k}.weight": 0.6 * rng.normal(size=(a, b)), f"layers.{k}.bias": 0.3 * rng.normal(size=b)}
    return FeedForward(tensors, LIKELIHOODS[likelihood][0], activation)


def objective(hidden: str, likelihood: str) -> Objective:
    return Objective(network(hidden, likelihood), X, LIKELIHOODS[likelihood][2])


# --- an independent forward pass in mpmath ----------------------------------------------------------------------------

MP_ACTIVATIONS = {
    "identity": lambda z: z,
    "tanh": mp.tanh,
    "relu": lambda z: max(z, mp.mpf(0)),
    "logistic": lambda z: 1 / (1 + mp.exp(-z)),
}


def mp_predictions(model: FeedForward, w: list, x: np.ndarray) -> list:
    activate, values, hidden = MP_ACTIVATIONS[model.activation], iter(w), [mp.mpf(float(v)) for v in x]
    for k in range(model.depth):
        rows, columns = model.weights[f"layers.{k}.weight"].shape
        weight = [[next(values) for _ in range(columns)] for _ in range(rows)]
        bias = model.weights[f"layers.{k}.bias"]
        f = [mp.mpf(float(bias[j])) + sum(hidden[i] * weight[i][j] for i in range(rows)) for j in range(columns)]
        hidden = [activate(z) for z in f]
    return f


def mp_loss(likelihood, f: list, y: float):
    if isinstance(likelihood, likelihoods.Bernoulli):
        return mp.log(1 + mp.exp(-f[0] if y else f[0]))
    if isinstance(likelihood, likelihoods.Categorical):
        return mp.log(sum(mp.exp(v) for v in f)) - f[int(y)]
    if isinstance(likelihood, likelihoods.Poisson):
        return mp.exp(f[0]) - y * f[0] + mp.loggamma(y + 1)
    s = mp.mpf(likelihood.scale)
    return (y - f[0]) ** 2 / (2 * s**2) + mp.log(s * mp.sqrt(2 * mp.pi)) - mp.log(likelihood.precision)


def mp_nats(one: Objective, w: list):
    return sum(
        mp_loss(one.model.likelihood, mp_predictions(one.model, w, x), float(y))
        for x, y in zip(one.X, one.y, strict=True)
    )


def mp_partial(function, w: np.ndarray, k: int):
    """Central difference in 50 digits: its error is of order 1e-30."""
    points = [[mp.mpf(float(v)) for v in w] for _ in range(2)]
    step = mp.mpf(10) ** -15
    points[0][k] += step
    points[1][k] -= step
    return (function(points[0]) - function(points[1])) / (2 * step)


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mp.workdps(50):
        yield


def mp_jacobian(one: Objective, w: np.ndarray, x: np.ndarray, outputs: int) -> np.ndarray:
    return np.array([
        [float(mp_partial(lambda v, c=c: mp_predictions(one.model, v, x)[c], w, k)) for k in range(one.size)]
        for c in range(outputs)
    ])  # fmt: skip


def mp_hessian(likelihood, f: np.ndarray, y: float) -> np.ndarray:
    """Second derivatives of -ln p in the predictions, by differences of differences."""

    def slope(v, a):
        step = mp.mpf(10) ** -12
        up, down = list(v), list(v)
        up[a] += step
        down[a] -= step
        return (mp_loss(likelihood, up, y) - mp_loss(likelihood, down, y)) / (2 * step)

    K = len(f)
    return np.array([[float(mp_partial(lambda v, a=a: slope(v, a), f, b)) for b in range(K)] for a in range(K)])


# --- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "likelihood"), CASES)
def test_nats_and_gradient_are_those_of_mpmath(hidden, likelihood) -> None:
    one = objective(hidden, likelihood)
    w = one.vector + 0.1
    assert one.nats(w) == pytest.approx(float(mp_nats(one, [mp.mpf(float(v)) for v in w])), rel=1e-13)
    expected = [float(mp_partial(lambda v: mp_nats(one, v), w, k)) for k in range(one.size)]
    np.testing.assert_allclose(one.gradient(w), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("hidden", "likelihood"), CASES)
def test_ggn_is_the_sum_of_jacobians_about_the_hessian_in_the_predictions(hidden, likelihood) -> None:
    one = objective(hidden, likelihood)
    w, outputs = one.vector, LIKELIHOODS[likelihood][1]
    expected = np.zeros((one.size, one.size))
    for x, y in zip(X[:3], one.y[:3], strict=True):
        J = mp_jacobian(one, w, x, outputs)
        f = np.array([float(v) for v in mp_predictions(one.model, [mp.mpf(float(v)) for v in w], x)])
        expected += J.T @ mp_hessian(one.model.likelihood, f, float(y)) @ J
    some = Objective(one.model, X[:3], one.y[:3])
    np.testing.assert_allclose(some.ggn(w), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(some.ggn_diagonal(w), np.diag(expected), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_ggn_of_a_linear_model_is_the_hessian(likelihood) -> None:
    one = objective("linear", likelihood)
    w, step = one.vector, 1e-5
    rows = [(one.gradient(w + step * e) - one.gradient(w - step * e)) / (2 * step) for e in np.eye(one.size)]
    np.testing.assert_allclose(one.ggn(w), rows, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("hidden", "likelihood"), CASES)
def test_chunks_add_up(hidden, likelihood, monkeypatch) -> None:
    one = objective(hidden, likelihood)
    whole = [one.nats(one.vector), one.gradient(one.vector), one.ggn(one.vector), one.ggn_diagonal(one.vector)]
    factors = one.kronecker(one.vector)
    monkeypatch.setattr("mdl.curvature.objective.CHUNK", 1)
    pieces = [one.nats(one.vector), one.gradient(one.vector), one.ggn(one.vector), one.ggn_diagonal(one.vector)]
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    for name, (A, B) in one.kronecker(one.vector).items():
        np.testing.assert_allclose(factors[name][0], A, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(factors[name][1], B, rtol=1e-12, atol=1e-13)


def test_kronecker_factors_are_exact_where_the_curvature_is_constant() -> None:
    one = objective("linear", "gaussian")
    A, B = one.kronecker(one.vector)["layers.0.weight"]
    np.testing.assert_allclose(np.kron(A, B), one.ggn(one.vector), rtol=1e-12)


@pytest.mark.parametrize(("hidden", "likelihood"), CASES)
def test_kronecker_factors_of_one_example_are_its_blocks(hidden, likelihood) -> None:
    model, y = network(hidden, likelihood), LIKELIHOODS[likelihood][2]
    one = Objective(model, X[:1], y[:1])
    ggn, start = one.ggn(one.vector), 0
    for A, B in one.kronecker(one.vector).values():
        size = len(A) * len(B)
        np.testing.assert_allclose(np.kron(A, B), ggn[start : start + size, start : start + size], atol=1e-13)
        start += size
    assert start == one.size


# --- the model as a vector --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "likelihood"), CASES)
def test_the_vector_is_the_model_and_free_tensors_stay(hidden, likelihood) -> None:
    one = objective(hidden, likelihood)
    again = one.model_at(one.vector)
    assert again.weights == one.model.weights
    other = one.model_at(one.vector + 1.0)
    for name in one.model.weights:
        change = 0.0 if name in one.model.free else 1.0
        np.testing.assert_allclose(other.weights[name], one.model.weights[name] + change, rtol=1e-15)
    np.testing.assert_array_equal(np.concatenate([other.weights[n].ravel() for n in one.names]), one.vector + 1.0)


def test_nats_are_those_of_the_likelihood() -> None:
    for likelihood in ("bernoulli", "categorical", "poisson"):
        one = objective("tanh", likelihood)
        nats = -one.model.likelihood.log_prob(one.model.predict(X), one.y).sum()
        assert one.nats(one.vector) == pytest.approx(float(nats), rel=1e-13)


@pytest.mark.parametrize("precision", [2.0**-3, 2.0**-5])
def test_the_density_is_the_cells_mass_up_to_the_square_of_the_precision(precision) -> None:
    y = np.rint(RNG.normal(size=N) / precision) * precision
    model = network("linear", "gaussian").with_likelihood(likelihoods.Gaussian(precision, scale=1.0))
    exact = -float(model.likelihood.log_prob(model.predict(X), y).sum())
    z = y - model.predict(X)
    got = Objective(model, X, y)
    error = got.nats(got.vector) - exact
    assert error == pytest.approx(precision**2 / 24 * (z**2 - 1).sum(), rel=0.1)  # the next term of the series


def test_layer_inputs_are_what_enters() -> None:
    model = network("relu", "categorical")
    entering = layer_inputs(model, X)
    hidden = np.maximum(X @ model.weights["layers.0.weight"] + model.weights["layers.0.bias"], 0)
    np.testing.assert_array_equal(entering["layers.0.weight"], X)
    np.testing.assert_allclose(entering["layers.1.weight"], hidden, rtol=1e-14)
    last = entering["layers.2.weight"] @ model.weights["layers.2.weight"] + model.weights["layers.2.bias"]
    np.testing.assert_allclose(last, model.predict(X), rtol=1e-14)


def test_labels_are_read_as_the_model_reads_them() -> None:
    from sklearn.linear_model import LogisticRegression

    y = np.where(LIKELIHOODS["bernoulli"][2] == 1, "yes", "no")
    fitted = LogisticRegression().fit(X, y)
    one = Objective(mdl.wrap(fitted), X, y)
    assert one.nats(one.vector) == pytest.approx(-np.log(fitted.predict_proba(X)[np.arange(N), (y == "yes") * 1]).sum())


# --- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_mode_of_a_linear_model_is_stationary_and_least(likelihood) -> None:
    one = objective("linear", likelihood)
    precision = np.linspace(0.5, 2.0, one.size)
    found = mode(one, precision, loc=0.2, start=one.vector + 3.0)
    np.testing.assert_allclose(one.gradient(found) + precision * (found - 0.2), 0.0, atol=1e-6)

    def total(w):
        return one.nats(w) + 0.5 * precision @ (w - 0.2) ** 2

    other = optimize.minimize(total, np.zeros(one.size), method="BFGS", options={"gtol": 1e-6})
    assert total(found) <= other.fun + 1e-9


def test_the_mode_is_what_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    X, y = np.random.default_rng(3).normal(size=(60, 4)), np.random.default_rng(4).integers(0, 3, 60)
    fitted = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000).fit(X, y)
    one = Objective(mdl.wrap(fitted), X, y)
    np.testing.assert_allclose(mode(one, 0.5, start=np.zeros(one.size)), fitted.coef_.T.ravel(), atol=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_mode_of_a_network_is_stationary_and_near(likelihood) -> None:
    one = objective("tanh", likelihood)
    found = mode(one, 0.7)
    assert np.abs(one.gradient(found) + 0.7 * found).max() <= 1e-6 * N
    assert one.nats(found) + 0.35 * found @ found < one.nats(one.vector) + 0.35 * one.vector @ one.vector


def test_what_the_data_do_not_determine_needs_a_prior() -> None:
    model = FeedForward({"layers.0.weight": [[0.1], [0.1]], "layers.0.bias": [0.0]}, likelihoods.Bernoulli())
    twice = Objective(model, [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], [0, 1, 0])
    with pytest.raises(MdlError, match="expected a precision > 0"):
        mode(twice, 0.0)
    with pytest.raises(MdlError, match="precision: expected finite numbers >= 0, got -1"):
        mode(twice, -1.0)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_dense_curvature_has_a_limit(monkeypatch) -> None:
    one = objective("linear", "categorical")
    monkeypatch.setattr("mdl.curvature.objective.MAX_DENSE", 11)
    with pytest.raises(MdlError, match="at most 11 weights, got 12"):
        one.ggn(one.vector)
    assert one.ggn_diagonal(one.vector).shape == (12,)


def test_noise_far_below_the_precision_is_refused_and_open_noise_is_fitted() -> None:
    y = LIKELIHOODS["gaussian"][2]
    coarse = network("linear", "gaussian").with_likelihood(likelihoods.Gaussian(0.25, scale=0.1))
    with pytest.raises(DataError, match=r"at least half the precision 0\.25, .*got 0\.1"):
        Objective(coarse, X, y)
    fitted = Objective(coarse.with_likelihood(likelihoods.Gaussian(0.25)), X, y).model.likelihood
    assert fitted.scale == coarse.with_likelihood(likelihoods.Gaussian(0.25)).likelihood.fit(coarse.predict(X), y).scale
    exact = FeedForward({"layers.0.weight": [[1.0]], "layers.0.bias": [0.0]}, likelihoods.Gaussian(1.0))
    assert Objective(exact, [[1.0], [2.0]], [1.0, 2.0]).model.likelihood.scale == 0.5


def test_misfits_are_refused_by_name() -> None:
    class Other:
        weights, likelihood, free, architecture = {}, likelihoods.Bernoulli(), (), ""

    one = objective("linear", "bernoulli")
    with pytest.raises(MdlError, match="expected a FeedForward network, got Other"):
        Objective(Other(), X, one.y)
    with pytest.raises(DataError, match="as many targets as rows"):
        Objective(one.model, X, one.y[:-1])
    with pytest.raises(DataError, match="expected a network of 5 outputs, got 4"):
        Objective(network("linear", "categorical").with_likelihood(likelihoods.Categorical(5)), X, one.y)
    with pytest.raises(DataError, match=r"expected shape \(3,\), got \(4,\)"):
        one.nats(np.zeros(4))

    class Tweedie:
        pass

    with pytest.raises(MdlError, match="got Tweedie"):
        curvature.link(Tweedie())
