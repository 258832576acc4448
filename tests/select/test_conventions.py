"""What scikit-learn asks of its estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mdl

FEW = (1e-3, 1e-1)
WINE = load_wine(return_X_y=True, as_frame=True)
DIABETES = load_diabetes(return_X_y=True, as_frame=True)
ESTIMATORS = (
    mdl.MDLRidge(),
    mdl.MDLRidge(FEW, code="prequential", random_state=0),
    mdl.MDLLogistic(FEW, random_state=0),
    mdl.MDLLogistic(FEW, code="evidence"),
    mdl.MDLMLPClassifier((4,), "tanh", strengths=FEW, max_iter=100, random_state=0),
    mdl.MDLMLPClassifier((4,), "tanh", strengths=FEW, code="evidence", max_iter=100, random_state=0),
    mdl.MDLSearch(LogisticRegression(), FEW, random_state=0),
    mdl.MDLSearch(LogisticRegression(), FEW, code="evidence"),
    mdl.MDLSearch(Ridge(), FEW, random_state=0),
    mdl.MDLSearch(Ridge(), FEW, code="evidence"),
)
each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: repr(estimator)[:60])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(list(ESTIMATORS))
def test_scikit_learn(estimator, check):
    check(estimator)


def data(estimator):
    X, y = WINE if is_classifier(estimator) else DIABETES
    return (X - X.mean()) / X.std(), y.map({0: "a", 1: "b", 2: "c"}) if is_classifier(estimator) else y


def fitted(estimator, X, y):
    return clone(estimator).set_params(**({"max_iter": 2000} if "max_iter" in estimator.get_params() else {})).fit(X, y)


@each
def test_names_labels_and_pickles(estimator):
    X, y = data(estimator)
    own = fitted(estimator, X, y)
    assert list(own.feature_names_in_) == list(X.columns)
    assert own.n_features_in_ == X.shape[1]
    again = pickle.loads(pickle.dumps(own))  # noqa: S301
    assert (again.predict(X) == own.predict(X)).all()
    assert again.code_lengths_ == own.code_lengths_
    assert own.score(X, y) > (0.9 if is_classifier(estimator) else 0.3)
    with pytest.raises(ValueError, match="feature names should match"):
        own.predict(X.rename(columns={X.columns[0]: "other"}))
    if is_classifier(estimator):
        assert list(own.classes_) == ["a", "b", "c"]
        assert own.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(len(y)))
        assert np.exp(own.predict_log_proba(X)) == pytest.approx(own.predict_proba(X))
    else:
        assert is_regressor(estimator)
        assert not hasattr(own, "predict_proba")


@each
def test_a_seed_repeats(estimator):
    X, y = data(estimator)
    own, again = fitted(estimator, X, y), fitted(estimator, X, y)
    assert own.code_lengths_ == again.code_lengths_
    assert own.strength_ == again.strength_


@each
def test_in_a_pipeline_and_in_cross_validation(estimator):
    X, y = WINE if is_classifier(estimator) else DIABETES
    options = {"max_iter": 2000} if "max_iter" in estimator.get_params() else {}
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), clone(estimator).set_params(**options))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > (0.9 if is_classifier(estimator) else 0.3)


@each
def test_one_class_and_several_columns_are_refused(estimator):
    X, y = data(estimator)
    with pytest.raises(ValueError, match="y"):
        clone(estimator).fit(X, pd.DataFrame({"a": y, "b": y}))
    if is_classifier(estimator):
        with pytest.raises(mdl.MdlError, match="y: expected at least two classes, got one class"):
            clone(estimator).fit(X, np.full(len(y), "a"))


@each
def test_a_wrong_strength_or_code_is_refused(estimator):
    X, y = data(estimator)
    with pytest.raises(mdl.MdlError, match="strengths: expected a list of finite numbers > 0"):
        clone(estimator).set_params(strengths=[0.0]).fit(X, y)
    with pytest.raises(mdl.MdlError, match="code: expected one of evidence"):
        clone(estimator).set_params(code="cv").fit(X, y)
