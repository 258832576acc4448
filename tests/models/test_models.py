"""Models: predictions equal the library's own, architecture texts read back, and what cannot be wrapped is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import LinearSVC

from mdl.errors import DataError, MdlError
from mdl.likelihoods import Bernoulli, Categorical, Gaussian, Poisson
from mdl.models import FeedForward, Model, from_architecture, from_indices, to_indices, wrap
from mdl.weights import Weights

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 4))
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 1], [-0.5, 0.5])
REAL = np.rint(10 * X[:, 0] + RNG.normal(size=60))
COUNTS = RNG.poisson(np.exp(0.3 * X[:, 0]))


def _mlp(kind, activation, y):
    return kind(
        hidden_layer_sizes=(6, 5), activation=activation, solver="lbfgs", max_iter=3000, alpha=1.0, random_state=0
    ).fit(X, y)


def test_binary_logistic_regression() -> None:
    estimator = LogisticRegression().fit(X, TWO)
    model = wrap(estimator)
    assert isinstance(model, Model)
    assert model.likelihood == Bernoulli()
    np.testing.assert_allclose(
        np.exp(model.likelihood.log_prob(model.predict(X), TWO)),
        estimator.predict_proba(X)[np.arange(60), TWO],
        rtol=1e-10,
    )


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
def test_perceptron(activation) -> None:
    estimator = _mlp(MLPClassifier, activation, THREE)
    model = wrap(estimator)
    assert model.likelihood == Categorical(3)
    np.testing.assert_allclose(
        np.exp(model.likelihood.log_prob(model.predict(X), THREE)),
        estimator.predict_proba(X)[np.arange(60), THREE],
        rtol=1e-8,
    )


@pytest.mark.parametrize(
    ("estimator", "likelihood"),
    [
        (Ridge(1.0).fit(X, REAL), Gaussian(1.0)),
        (LinearRegression().fit(X, REAL), Gaussian(1.0)),
        (_mlp(MLPRegressor, "relu", REAL), Gaussian(1.0)),
    ],
    ids=["ridge", "linear", "mlp"],
)
def test_regression(estimator, likelihood) -> None:
    model = wrap(estimator)
    assert model.likelihood == likelihood
    np.testing.assert_allclose(model.predict(X), estimator.predict(X), rtol=1e-10)


def test_poisson_predicts_log_rates() -> None:
    estimator = PoissonRegressor().fit(X, COUNTS)
    model = wrap(estimator)
    assert model.likelihood == Poisson()
    np.testing.assert_allclose(np.exp(model.predict(X)), estimator.predict(X), rtol=1e-10)


def test_a_model_without_intercept_has_a_zero_bias() -> None:
    model = wrap(Ridge(1.0, fit_intercept=False).fit(X, REAL))
    assert model.weights["layers.0.bias"].tolist() == [0.0]


def test_biases_are_free_and_weights_are_not() -> None:
    model = wrap(_mlp(MLPClassifier, "relu", THREE))
    assert model.free == ("layers.0.bias", "layers.1.bias", "layers.2.bias")


@pytest.mark.parametrize("labels", [["b", "a'é\\"], [3, 1, -7], [1.0, 2.0], [True, False]], ids=str)
def test_class_labels_become_indices_and_come_back(labels) -> None:
    y = np.array(labels)[RNG.integers(0, len(labels), 60)]
    y[: len(labels)] = labels
    model = wrap(LogisticRegression().fit(X, y))
    indices = to_indices(model, y)
    assert set(indices.tolist()) == set(range(len(labels)))
    np.testing.assert_array_equal(from_indices(model, indices), y)
    rebuilt = from_architecture(model.architecture, model.weights, model.likelihood)
    assert rebuilt.classes == model.classes
    np.testing.assert_array_equal(rebuilt.predict(X), model.predict(X))


@pytest.mark.parametrize(
    "text",
    ["", "transformer", "feedforward", "feedforward sine", "feedforward relu [1, [2]]", "feedforward relu [",
     "feedforward relu [null]", "feedforward relu " + "[" * 5000 + "]" * 5000],
    ids=range(8),
)  # fmt: skip
def test_a_foreign_architecture_is_refused(text) -> None:
    with pytest.raises(MdlError):
        from_architecture(text, {"layers.0.weight": [[1.0]], "layers.0.bias": [0.0]}, Bernoulli())


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"coef": [[1.0]]},
        {"layers.0.weight": [[1.0]], "layers.0.bias": [0.0, 1.0]},
        {"layers.0.weight": [1.0], "layers.0.bias": [0.0]},
        {"layers.0.weight": [[1.0]], "layers.0.bias": [0.0], "layers.1.weight": [[1.0], [2.0]], "layers.1.bias": [0.0]},
    ],
    ids=["none", "names", "bias", "1-d", "chain"],
)
def test_layers_that_do_not_chain_are_refused(weights) -> None:
    with pytest.raises(DataError):
        FeedForward(Weights(weights), Bernoulli())


def test_what_cannot_be_wrapped_is_named() -> None:
    with pytest.raises(MdlError, match="Lasso"):
        wrap(Lasso().fit(X, REAL))
    with pytest.raises(MdlError, match="not fitted"):
        wrap(Ridge())


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (X[:, :3], "shape"),
        (X[0], "shape"),
        (np.where(X > 2, np.nan, X), "NaN"),
        (np.array([["a", "b", "c", "d"]]), "numbers"),
    ],
    ids=["features", "1-d", "nan", "text"],
)
def test_inputs_that_do_not_fit_are_refused(inputs, said) -> None:
    with pytest.raises(DataError, match=said):
        wrap(Ridge().fit(X, REAL)).predict(inputs)


def test_unknown_labels_are_named() -> None:
    model = wrap(LogisticRegression().fit(X, np.where(TWO, "yes", "no")))
    with pytest.raises(DataError, match="maybe"):
        to_indices(model, np.array(["yes", "maybe"]))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of settings of LogisticRegressionCV that do not matter here
@pytest.mark.parametrize("kind", [LogisticRegressionCV, SGDClassifier, RidgeCV, SGDRegressor], ids=lambda k: k.__name__)
def test_more_linear_models(kind) -> None:
    settings = {SGDClassifier: {"loss": "log_loss", "random_state": 0}, LogisticRegressionCV: {}}
    estimator = kind(**settings.get(kind, {})).fit(X, TWO if kind in settings else REAL)
    model = wrap(estimator)
    if kind in settings:
        given = estimator.predict_proba(X)[np.arange(60), TWO]  # not in logarithms: scikit-learn's 1 - p cancels
        np.testing.assert_allclose(
            np.exp(model.likelihood.log_prob(model.predict(X), TWO)), given, rtol=1e-8, atol=1e-14
        )
    else:
        np.testing.assert_allclose(model.predict(X), estimator.predict(X), rtol=1e-10)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (LinearSVC(), "LinearSVC has no likelihood"),
        (SGDClassifier(loss="hinge").fit(X, TWO), "'log_loss'"),
        (SGDRegressor(loss="huber").fit(X, REAL), "'squared_error'"),
        (SGDClassifier(loss="log_loss").fit(X, THREE), "against the rest"),
        (object(), "got object"),
    ],
    ids=["svc", "hinge", "huber", "ovr", "object"],
)
def test_what_has_no_likelihood_is_refused_with_the_reason(estimator, said) -> None:
    with pytest.raises(MdlError, match=said):
        wrap(estimator)


def test_another_likelihood_can_be_given() -> None:
    estimator = Ridge(1.0).fit(X, REAL)
    assert wrap(estimator, precision=0.5).likelihood == wrap(estimator, Gaussian(0.5)).likelihood == Gaussian(0.5)
    assert wrap(wrap(estimator), Gaussian(0.25)).likelihood == Gaussian(0.25)
