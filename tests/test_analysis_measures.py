"""Norms, margins, sharpness, patterns and rescalings against enumeration and exact small networks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from analyses import _measures as measures
from mdl import likelihoods
from mdl.curvature import Objective
from mdl.models import FeedForward


def network(sizes: tuple[int, ...], activation: str = "relu", seed: int = 0) -> FeedForward:
    rng = np.random.default_rng(seed)
    tensors = {}
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        tensors |= {f"layers.{k}.weight": rng.standard_normal((a, b)), f"layers.{k}.bias": rng.standard_normal(b)}
    likelihood = likelihoods.Bernoulli() if sizes[-1] == 1 else likelihoods.Categorical(sizes[-1])
    return FeedForward(tensors, likelihood, activation)


def examples(model: FeedForward, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    classes = max(2, model.weights[f"layers.{model.depth - 1}.bias"].size)
    return rng.standard_normal((n, model.weights["layers.0.weight"].shape[0])), rng.integers(classes, size=n)


def test_the_path_norm_is_the_sum_over_all_paths() -> None:
    model = network((3, 4, 2, 2))
    first, second, third = measures.matrices(model)
    paths = itertools.product(range(3), range(4), range(2), range(2))
    each = [(first[i, j] * second[j, k] * third[k, o]) ** 2 for i, j, k, o in paths]
    assert measures.path_norm(model) == pytest.approx(math.fsum(each), rel=1e-12)


def test_the_spectral_product_bounds_every_step_of_the_function() -> None:
    model = network((5, 7, 3))
    X, _ = examples(model, 200)
    f = model.predict(X)
    steps = np.linalg.norm(f[1:] - f[:-1], axis=1) / np.linalg.norm(X[1:] - X[:-1], axis=1)
    singular = [math.sqrt(np.linalg.eigvalsh(W.T @ W).max()) for W in measures.matrices(model)]
    assert measures.spectral_product(model) == pytest.approx(math.prod(singular), rel=1e-12)
    assert steps.max() <= math.prod(singular)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_margin_is_positive_just_where_the_right_class_wins(outputs) -> None:
    model = network((4, 5, outputs))
    X, y = examples(model)
    f = model.predict(X)
    if outputs == 1:
        expected = np.where(y == 1, f, -f)
    else:
        expected = np.array([f[i, k] - max(f[i, o] for o in range(3) if o != k) for i, k in enumerate(y)])
    np.testing.assert_allclose(measures.margins(model, X, y), expected, rtol=1e-12)


def test_patterns_are_the_pieces_of_a_piecewise_affine_function() -> None:
    """Kinks at -1, 0 and 2 make four pieces of a line; examples in three of them see three."""
    tensors = {"layers.0.weight": [[1.0, -1.0, 1.0]], "layers.0.bias": [1.0, 0.0, -2.0]}
    tensors |= {"layers.1.weight": [[1.0], [2.0], [3.0]], "layers.1.bias": [0.0]}
    model = FeedForward(tensors, likelihoods.Bernoulli(), "relu")
    x = np.linspace(-3.0, 3.0, 601)[:, None]
    slopes = np.diff(model.predict(x)) / np.diff(x[:, 0])
    assert measures.patterns(model, x + 0.005) == len(np.unique(slopes.round(6)[np.r_[True, np.diff(slopes) < 1e-9]]))
    assert measures.patterns(model, x + 0.005) == 4
    assert measures.patterns(model, [[-2.0], [-0.5], [-0.1], [1.0]]) == 3


def test_a_unit_in_its_linear_range_does_not_bend() -> None:
    x = np.random.default_rng(0).standard_normal((4000, 1))

    def unit(activation: str, scale: float, bias: float = 0.0) -> float:
        tensors = {"layers.0.weight": [[scale]], "layers.0.bias": [bias * scale]}
        tensors |= {"layers.1.weight": [[1.0]], "layers.1.bias": [0.0]}
        return float(measures.bend(FeedForward(tensors, likelihoods.Bernoulli(), activation), x)[0])

    assert unit("tanh", 1e-3) < 1e-9 < 0.02 < unit("tanh", 3.0)
    assert unit("relu", 1e-3) == pytest.approx(unit("relu", 1e3), rel=1e-9)
    halves = 1.0 - 0.25 / (0.5 - 0.5 / math.pi)  # a ReLU of a standard Gaussian: cov ½, variance ½ - 1/2π
    assert unit("relu", 1.0) == pytest.approx(halves, abs=0.02)
    assert unit("relu", 1.0, bias=10.0) == pytest.approx(0.0, abs=1e-12)
    assert unit("relu", 1.0, bias=-10.0) == 0.0  # never active


def test_a_linear_network_is_all_linear_and_a_product_is_not() -> None:
    X, X_test = np.random.default_rng(0).standard_normal((2, 300, 4))
    model = network((4, 6, 3), "identity")
    assert measures.unlinear(model, X, X_test) == pytest.approx(0.0, abs=1e-20)
    assert measures.unlinear(network((4, 6, 3), "relu"), X, X_test) > 0.1


def test_the_rise_under_relative_noise_is_an_integral() -> None:
    """One weight: by Gauss-Hermite quadrature."""
    x, y = np.array([[0.5], [-1.5], [2.0]]), np.array([1, 0, 0])
    model = FeedForward({"layers.0.weight": [[2.0]], "layers.0.bias": [0.3]}, likelihoods.Bernoulli())
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def nats(w: np.ndarray) -> np.ndarray:
        return np.logaddexp(0.0, (1 - 2 * y) * (w[:, None] * x[:, 0] + 0.3)).mean(axis=1)

    expected = float(weights @ nats(2.0 * (1.0 + 0.5 * nodes)) / weights.sum() - nats(np.array([2.0]))[0])
    found = measures.relative_noise_rise(model, x, y, 0.5, 20000, np.random.default_rng(0))
    assert found == pytest.approx(expected, abs=0.01)
    assert expected > 0.05


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
@pytest.mark.parametrize("sizes", [(4, 5, 3), (4, 5, 6, 1)])
def test_fisher_rao_is_the_dense_quadratic_form(activation, sizes) -> None:
    model = network(sizes, activation)
    X, y = examples(model)
    objective = Objective(model, X, y)
    w = objective.vector
    assert measures.fisher_rao(model, X, y) == pytest.approx(w @ objective.ggn(w) @ w, rel=1e-9)


def test_relative_precision_is_the_log_determinant_of_a_diagonal_prior_at_the_weights() -> None:
    w, g = np.array([0.5, -2.0, 0.0]), np.array([4.0, 1.0, 9.0])
    dense = np.linalg.det(np.eye(3) + np.diag(w) @ np.diag(g) @ np.diag(w))
    assert measures.relative_precision_bits(w, g) == pytest.approx(0.5 * math.log2(dense), rel=1e-12)


def test_rescaling_changes_the_norm_and_nothing_that_the_function_has() -> None:
    model = network((6, 8, 3))
    X, y = examples(model, 50)
    other = measures.rescaled(model, np.exp(np.random.default_rng(0).standard_normal(8)))
    assert abs(measures.squared_norm(other) / measures.squared_norm(model) - 1.0) > 0.1
    np.testing.assert_allclose(other.predict(X), model.predict(X), atol=1e-9)
    for same in (
        measures.path_norm, lambda m: measures.fisher_rao(m, X, y), lambda m: measures.patterns(m, X),
        lambda m: measures.relative_precision_bits(*measures.curvature(m, X, y)),
    ):  # fmt: skip
        assert same(other) == pytest.approx(same(model), rel=1e-9)
    np.testing.assert_allclose(measures.bend(other, X), measures.bend(model, X), atol=1e-9)
    assert abs(measures.curvature(other, X, y)[1].sum() / measures.curvature(model, X, y)[1].sum() - 1.0) > 0.1


def test_tanh_units_have_no_such_symmetry() -> None:
    model = network((6, 8, 3), "tanh")
    X, _ = examples(model)
    assert np.abs(measures.rescaled(model, np.full(8, 2.0)).predict(X) - model.predict(X)).max() > 0.1


def test_the_balanced_network_has_the_least_norm_of_all_rescalings() -> None:
    from scipy import optimize

    model = network((6, 8, 3))
    found = measures.balanced(model)
    entering, leaving = measures.unit_norms(found)
    np.testing.assert_allclose(entering, leaving, rtol=1e-12)

    def norm(logs: np.ndarray) -> float:
        return measures.squared_norm(measures.rescaled(model, np.exp(logs)))

    least = optimize.minimize(norm, np.zeros(8), method="BFGS").fun
    assert measures.squared_norm(found) == pytest.approx(least, rel=1e-6)
    weights, biases = measures.matrices(model), [model.weights["layers.0.bias"], model.weights["layers.1.bias"]]
    weights[0] = weights[0] * (np.arange(8) > 0)
    dead = measures.with_layers(model, weights, biases)
    assert np.isfinite(measures.matrices(measures.balanced(dead))[1]).all()


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_gradients_are_those_of_the_objective(activation) -> None:
    model = network((4, 5, 6, 3), activation)
    X, y = examples(model, 6)
    norms = [np.linalg.norm(Objective(model, X[i : i + 1], y[i : i + 1]).gradient(w)) for i in range(6)
             for w in [Objective(model, X, y).vector]]  # fmt: skip
    np.testing.assert_allclose(measures.example_gradients(model, X, y), norms, rtol=1e-9)
    nudged = {**model.weights, "layers.0.bias": model.weights["layers.0.bias"] + 1e-6 * np.eye(5)[2]}
    rise = model.likelihood.log_prob(model.predict(X), y) - model.likelihood.log_prob(
        model.with_weights(nudged).predict(X), y
    )
    np.testing.assert_allclose(measures.arriving(model, X, y)[0][:, 2], rise / 1e-6, atol=1e-4)


def test_slopes_by_hand() -> None:
    x = [[0.0], [1.0], [-4.0]]
    tensors = {"layers.0.weight": [[1.0]], "layers.0.bias": [0.0], "layers.1.weight": [[1.0]], "layers.1.bias": [0.0]}

    def found(activation: str) -> np.ndarray:
        return measures.relative_slopes(FeedForward(tensors, likelihoods.Bernoulli(), activation), x)[:, 0]

    np.testing.assert_allclose(found("tanh"), 1.0 / np.cosh([0.0, 1.0, -4.0]) ** 2, rtol=1e-9)
    np.testing.assert_allclose(found("logistic"), 1.0 / np.cosh([0.0, 0.5, -2.0]) ** 2, rtol=1e-9)
    assert found("relu").tolist() == [0.0, 1.0, 0.0]


def test_what_training_leaves_explains_the_imbalance_of_relu_units_and_of_no_others() -> None:
    for activation, explained in (("relu", True), ("tanh", False)):
        model = network((4, 5, 3), activation)
        X, y = examples(model)
        found, left = measures.imbalance(model, X, y, 0.1)
        assert np.allclose(found, left, atol=1e-9) == explained
        assert np.abs(found).max() > 0.1
