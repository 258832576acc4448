"""Candidates: what they are trained on, along which path, and what they are as models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

import mdl
from mdl.errors import DataError
from mdl.select.candidates import STRENGTHS, Candidates, checked_strengths

WINE = load_wine(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
LAMBDAS = (1e-4, 1e-2, 1.0)
EXACT = LogisticRegression(solver="newton-cg", tol=1e-10, max_iter=1000)


def test_strengths_are_ascending_and_each_once():
    assert checked_strengths(None) == STRENGTHS
    assert checked_strengths([1.0, 0.1, 1]) == (0.1, 1.0)
    assert STRENGTHS[0] == 1e-5
    assert STRENGTHS[-1] == 10.0


@pytest.mark.parametrize("strengths", [[], [0.0], [-1.0, 1.0], [np.nan], [np.inf], 0.1, "0.1", [[0.1]], ["a"]], ids=str)
def test_other_strengths_are_refused(strengths):
    with pytest.raises(DataError, match="strengths: expected"):
        checked_strengths(strengths)


def test_a_path_ends_where_each_fit_alone_does():
    X, y = scale(WINE[0]), WINE[1]
    candidates = Candidates.of(EXACT, LAMBDAS, X, y)
    assert candidates.path == [2, 1, 0]
    for model, strength in zip(candidates.models, LAMBDAS, strict=True):
        alone = mdl.wrap(LogisticRegression(C=1 / (len(y) * strength), tol=1e-10, max_iter=9999).fit(X, y))
        assert model.predict(X) == pytest.approx(alone.predict(X), abs=1e-3)
    assert candidates.n_trainings == 3
    assert not any(estimator.warm_start for estimator in candidates.fitted)
    assert len({id(estimator.coef_) for estimator in candidates.fitted}) == 3


def test_each_candidate_is_stationary_under_its_strength():
    X, y = scale(WINE[0]), WINE[1]
    candidates = Candidates.of(EXACT, LAMBDAS, X, y)
    for estimator, strength in zip(candidates.fitted, LAMBDAS, strict=True):
        away = estimator.predict_proba(X) - np.eye(3)[y]
        assert away.T @ X / len(y) + strength * estimator.coef_ == pytest.approx(np.zeros((3, 13)), abs=1e-8)


def test_a_perceptron_that_a_strong_penalty_killed_is_not_where_a_weak_one_starts():
    X, y = load_breast_cancer(return_X_y=True)
    network = MLPClassifier((8,), solver="lbfgs", random_state=0, max_iter=500)
    candidates = Candidates.of(network, (1e-3, 10.0), scale(X), y)
    weak, strong = candidates.fitted
    assert np.abs(strong.coefs_[0]).max() < 1e-3
    assert weak.score(scale(X), y) > 0.97


def test_the_prior_does_not_depend_on_how_many_examples_have_arrived():
    X, y = scale(WINE[0]), WINE[1]
    assert Candidates.of(EXACT, LAMBDAS, X, y).penalty(1, 20) == {"C": pytest.approx(1 / (len(y) * LAMBDAS[1]))}
    adam = Candidates.of(MLPClassifier(batch_size=16), LAMBDAS, X, y)
    assert adam.penalty(1, 160)["alpha"] == pytest.approx(len(y) * LAMBDAS[1] * 16 / 160)


@pytest.mark.parametrize("intercept", [True, False])
def test_ridge_is_computed_from_one_decomposition(intercept):
    X, y = DIABETES
    candidates = Candidates.of(Ridge(fit_intercept=intercept), LAMBDAS, X, y)
    for model, strength in zip(candidates.models, LAMBDAS, strict=True):
        alone = Ridge(alpha=len(y) * strength, fit_intercept=intercept).fit(X, y)
        assert model.predict(X) == pytest.approx(alone.predict(X), rel=1e-9)
    assert candidates.n_trainings == 1


def test_a_regression_is_coded_to_a_thousandth_of_its_spread():
    X, y = DIABETES
    candidates = Candidates.of(Ridge(), LAMBDAS, X, y)
    assert np.std(y) / 1024 < candidates.precision <= np.std(y) / 512
    assert np.abs(candidates.targets - y).max() <= candidates.precision / 2
    assert candidates.y is not candidates.targets
    far = Candidates.of(Ridge(), LAMBDAS, X, y * 1e-6 + 1e6)
    assert np.abs(far.targets / far.precision).max() <= 2**30
    noises = [
        prior.scale * np.sqrt(len(y) * strength) for prior, strength in zip(candidates.priors, LAMBDAS, strict=True)
    ]
    residuals = [np.std(y - model.predict(X)) for model in candidates.models]
    assert noises == pytest.approx(residuals, rel=1e-2)


def test_labels_are_coded_as_indices():
    X, y = WINE
    candidates = Candidates.of(EXACT, LAMBDAS, scale(X), np.array(["red", "white", "green"])[y])
    assert candidates.classes == 3
    assert candidates.targets.tolist() == np.array([1, 2, 0])[y].tolist()
    assert candidates.models[0].classes is None
    assert list(candidates.fitted[0].classes_) == ["green", "red", "white"]


def test_one_class_is_refused():
    with pytest.raises(DataError, match=r"y: expected at least two classes, got one class, \['a'\]"):
        Candidates.of(EXACT, LAMBDAS, np.zeros((3, 1)), ["a", "a", "a"])


def test_the_best_is_trained_only_if_none_was():
    X, y = scale(WINE[0]), WINE[1]
    candidates = Candidates.of(EXACT, LAMBDAS, X, y)
    candidates.best(1)
    assert candidates.n_trainings == 1
    assert candidates.best(1).get_params()["C"] == pytest.approx(1 / (len(y) * LAMBDAS[1]))
    assert candidates.fitted[1] is candidates.best(1)
