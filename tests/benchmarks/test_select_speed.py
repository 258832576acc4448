"""Ridge at 200 strengths beside one ridge, one eigendecomposition and leave-one-out; softmax along its path."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import linalg
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

import mdl
from mdl.select import STRENGTHS

N, D, COUNT = 2000, 500, 200
ROUNDS = 7  # the least of so many times, on all sides: a busy machine only adds
OF_RIDGE = 1.5  # times Ridge(solver="svd"), at most


def _timed(function, rounds=ROUNDS):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D))
    return X, X @ rng.normal(size=D) * 0.3 + 3.0 * rng.normal(size=N)


def test_ridge_at_every_strength(benchmark, record, regression):
    X, y = regression
    strengths = np.logspace(-6.0, 2.0, COUNT)
    peers = {
        'Ridge(solver="svd")': (lambda: Ridge(solver="svd").fit(X, y), ROUNDS),
        'Ridge(solver="cholesky")': (lambda: Ridge(solver="cholesky").fit(X, y), ROUNDS),
        "scipy eigh of XᵀX": (lambda: linalg.eigh(X.T @ X), ROUNDS),
        "RidgeCV, leave one out": (lambda: RidgeCV(alphas=N * strengths).fit(X, y), 2),
    }
    benchmark.pedantic(lambda: mdl.MDLRidge(strengths).fit(X, y), rounds=ROUNDS)
    own = benchmark.stats.stats.min
    record(fit="MDLRidge", strengths=COUNT, seconds=own, times_of_ours=1.0)
    times = {}
    for name, (function, rounds) in peers.items():
        times[name] = _timed(function, rounds)
        count = COUNT if name.startswith("RidgeCV") else 1
        record(fit=name, strengths=count, seconds=times[name], times_of_ours=times[name] / own)
    assert own <= OF_RIDGE * times['Ridge(solver="svd")']
    assert own < times["RidgeCV, leave one out"]


@pytest.mark.parametrize("code", ["evidence", "rotated", "prequential"])
def test_softmax_along_the_path(benchmark, record, code):
    """13 strengths of softmax regression on 1,000 digits, beside 10-fold cross-validation of the same."""
    X, y = load_digits(return_X_y=True)
    X, y = scale(X)[:1000], y[:1000]
    search = mdl.MDLLogistic(code=code, random_state=0)
    benchmark.pedantic(search.fit, (X, y), rounds=2)
    own = benchmark.stats.stats.min
    record(fit=f"MDLLogistic, {code}", strength=search.strength_, trainings=search.n_trainings_, seconds=own)
    grid = {"C": [1.0 / (len(y) * strength) for strength in STRENGTHS]}
    cross = GridSearchCV(LogisticRegression(max_iter=1000), grid, cv=10, scoring="neg_log_loss")
    theirs = _timed(lambda: cross.fit(X, y), 1)
    chosen = 1.0 / (len(y) * cross.best_params_["C"])
    record(fit="GridSearchCV, 10 folds", strength=chosen, trainings=131, seconds=theirs)
