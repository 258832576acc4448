"""Which estimators have a strength, and what it is in their own convention."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

from mdl.errors import MdlError
from mdl.select.penalised import checked_estimator, penalty


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (LogisticRegression(), {"C": 0.25}),
        (Ridge(), {"alpha": 4.0}),
        (MLPClassifier(solver="lbfgs"), {"alpha": 4.0}),
        (MLPRegressor(solver="lbfgs"), {"alpha": 4.0}),
        (MLPClassifier(solver="adam", batch_size=50), {"alpha": 4.0 * 50 / 1000}),
        (MLPClassifier(solver="sgd"), {"alpha": 4.0 * 200 / 1000}),
    ],
    ids=str,
)
def test_a_variance_as_each_argument(estimator, expected):
    assert penalty(estimator, 0.25, n=1000) == pytest.approx(expected)


def test_the_trained_ridge_is_stationary_under_its_strength():
    """mean (t - Xw)²/2 + (λ/2)‖w‖² in units t of the target's spread."""
    rng = np.random.default_rng(0)
    X, strength = rng.normal(size=(50, 3)), 0.2
    X -= X.mean(axis=0)
    y = X @ [1.0, 2.0, 3.0] * 70.0 + rng.normal(size=50)
    w = Ridge(**penalty(Ridge(), 1.0 / (50 * strength), 50)).fit(X, y).coef_ / y.std()
    slope = -X.T @ ((y - y.mean()) / y.std() - X @ w) / 50 + strength * w
    assert slope == pytest.approx(np.zeros(3), abs=1e-12)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (RandomForestClassifier(), "expected LogisticRegression"),
        (LogisticRegression, "expected LogisticRegression"),
        (None, "expected LogisticRegression"),
        (LogisticRegression(class_weight="balanced"), "class_weight"),
        (LogisticRegression(l1_ratio=0.5, solver="saga"), "l1_ratio"),
        (LogisticRegression(solver="liblinear"), "solver"),
        (Ridge(positive=True), "positive"),
        (MLPClassifier(early_stopping=True), "early_stopping"),
        (MLPRegressor(loss="poisson"), "loss"),
    ],
    ids=str,
)
def test_other_objectives_are_refused(estimator, said):
    with pytest.raises(MdlError, match=said):
        checked_estimator(estimator)
