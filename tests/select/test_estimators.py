"""MDLRidge, MDLLogistic and MDLMLPClassifier against scikit-learn's estimators at the strength that they choose."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

import mdl
from mdl.lengths.evidence import ridge_evidence

DIABETES = load_diabetes(return_X_y=True)
WINE = scale(load_wine().data), load_wine().target


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("rows", [8, 442], ids=["wide", "tall"])
def test_ridge_is_scikit_learns_at_its_alpha(rows, intercept):
    X, y = scale(DIABETES[0])[:rows], DIABETES[1][:rows]
    own = mdl.MDLRidge(fit_intercept=intercept, eta=None).fit(X, y)
    theirs = Ridge(alpha=own.alpha_, fit_intercept=intercept).fit(X, y)
    assert own.alpha_ == pytest.approx(rows * own.strength_)
    assert own.coef_ == pytest.approx(theirs.coef_, rel=1e-8, abs=1e-8)
    assert own.intercept_ == pytest.approx(theirs.intercept_, abs=1e-8)
    assert own.predict(X) == pytest.approx(theirs.predict(X))


def test_weights_of_ridge_are_averages_over_strengths():
    X, y = scale(DIABETES[0]), DIABETES[1]
    own = mdl.MDLRidge().fit(X, y)
    strengths = np.logspace(-6, 2, 81)
    theirs = [Ridge(alpha=len(y) * strength).fit(X, y) for strength in strengths]
    assert np.count_nonzero(own.weights_) > 1
    assert own.coef_ == pytest.approx(own.weights_ @ [one.coef_ for one in theirs], rel=1e-5)
    assert own.predict(X) == pytest.approx(own.weights_ @ [one.predict(X) for one in theirs], rel=1e-5)


def test_ridge_chooses_where_the_librarys_evidence_is_least():
    X, y = DIABETES
    own = mdl.MDLRidge().fit(X, y)
    strengths = np.logspace(-6, 2, 81)
    curve = ridge_evidence(X - X.mean(axis=0), y - y.mean(), len(y) * strengths)
    best = int(np.argmin(curve.nats))
    assert own.strength_ == pytest.approx(strengths[best], rel=1e-5)
    assert own.noise_ == pytest.approx(curve.noise[best], rel=1e-3)
    apart = np.diff([length.nats for length in own.code_lengths_])
    assert apart == pytest.approx(np.diff(curve.nats), abs=2e-2)  # the rounding of the intercept


def test_the_strength_of_ridge_does_not_depend_on_units():
    """Of the target, nor on where it is: only the intercept's own bits do."""
    X, y = DIABETES
    own, other = mdl.MDLRidge().fit(X, y), mdl.MDLRidge().fit(X, 1e-3 * y - 7.0)
    assert own.strength_ == other.strength_
    assert own.coef_ * 1e-3 == pytest.approx(other.coef_, rel=1e-4)  # shares move with the bits of the intercept
    assert own.noise_ * 1e-3 == pytest.approx(other.noise_, rel=1e-3)


@pytest.mark.parametrize("code", ["lnml", "prac-mdl-comp", "prequential", "bic", "two-part-fitted"])
def test_other_codes_of_ridge(code):
    own = mdl.MDLRidge([1e-3, 1e-2, 1e-1], code=code, random_state=0).fit(scale(DIABETES[0]), DIABETES[1])
    assert own.strength_ in (1e-3, 1e-2, 1e-1)
    assert own.score(scale(DIABETES[0]), DIABETES[1]) > 0.4


@pytest.mark.parametrize("y", [np.zeros(442), np.full(442, 1e9)], ids=["zero", "constant"])
def test_a_constant_target_is_no_error(y):
    own = mdl.MDLRidge().fit(DIABETES[0], y)
    assert own.predict(DIABETES[0]) == pytest.approx(y, abs=1e-3)
    assert own.strength_ == 100.0


@pytest.mark.parametrize("code", ["evidence", "prequential"])
def test_logistic_is_scikit_learns_at_its_c(code):
    X, y = WINE
    own = mdl.MDLLogistic(code=code, tol=1e-8, random_state=0).fit(X, np.array(["a", "b", "c"])[y])
    theirs = LogisticRegression(C=own.C_, tol=1e-8, max_iter=5000).fit(X, y)
    assert own.C_ * len(y) * own.strength_ == pytest.approx(1.0)
    assert own.coef_ == pytest.approx(theirs.coef_, abs=1e-4)
    assert own.intercept_ == pytest.approx(theirs.intercept_, abs=1e-4)
    assert own.classes_.tolist() == ["a", "b", "c"]
    assert own.n_iter_ >= 1
    assert len(own.code_lengths_) == 13


def test_without_intercept():
    assert not mdl.MDLLogistic(code="evidence", fit_intercept=False).fit(*WINE).intercept_.any()


def test_perceptron_is_scikit_learns_at_its_alpha():
    X, y = WINE
    own = mdl.MDLMLPClassifier((5,), "tanh", strengths=[1e-2], code="evidence", random_state=3).fit(X, y)
    seed = own.best_estimator_.random_state
    theirs = MLPClassifier(
        (5,), activation="tanh", solver="lbfgs", alpha=own.alpha_, max_iter=1000, max_fun=10000, random_state=seed
    )
    assert own.alpha_ == pytest.approx(len(y) * 1e-2)
    for mine, one in zip(own.coefs_, theirs.fit(X, y).coefs_, strict=True):
        assert mine == pytest.approx(one)
    assert own.n_iter_ == theirs.n_iter_
    assert own.score(X, y) > 0.97
