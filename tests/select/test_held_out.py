"""Examples forecast by what was trained on the others, against scikit-learn's own cross-validation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import scale

from mdl.select.candidates import Candidates
from mdl.select.held_out import dealt, held_out, rotated

WINE = scale(load_wine().data), load_wine().target
DIABETES = scale(load_diabetes().data), load_diabetes().target
LAMBDAS = (1e-3, 1e-1, 10.0)
LOGISTIC = LogisticRegression(solver="newton-cg", tol=1e-8, max_iter=1000)


def folds(parts, n):
    every = np.arange(n)
    return [(np.setdiff1d(every, part), part) for part in parts]


@pytest.mark.parametrize("count", [2, 3])
def test_parts_are_a_partition_with_an_equal_share_of_every_class(count):
    X, y = WINE
    candidates = Candidates.of(LOGISTIC, LAMBDAS, X, y if count == 3 else y == 0, seed=1)
    parts = dealt(candidates, 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))
    shares = np.array([np.bincount(candidates.targets[part], minlength=count) for part in parts])
    assert np.ptp(shares, axis=0).max() <= 1


def test_parts_depend_on_the_seed():
    first, again, other = (Candidates.of(LOGISTIC, LAMBDAS, *WINE, seed=seed) for seed in (0, 0, 1))
    assert [part.tolist() for part in dealt(first, 3)] == [part.tolist() for part in dealt(again, 3)]
    assert [part.tolist() for part in dealt(first, 3)] != [part.tolist() for part in dealt(other, 3)]


def test_the_sum_over_parts_is_the_log_loss_of_cross_validation():
    X, y = WINE
    candidates = Candidates.of(LOGISTIC, LAMBDAS, X, y)
    parts = dealt(candidates, 5)
    for nats, strength in zip(held_out(candidates, parts), LAMBDAS, strict=True):
        single = LogisticRegression(C=1 / (len(y) * strength), tol=1e-8, max_iter=5000)
        p = cross_val_predict(single, X, y, cv=folds(parts, len(y)), method="predict_proba")
        assert nats == pytest.approx(log_loss(y, p, normalize=False), rel=1e-3)


def test_numbers_are_coded_at_the_noise_of_their_errors():
    X, y = DIABETES
    candidates = Candidates.of(Ridge(), LAMBDAS, X, y)
    parts = dealt(candidates, 4)
    for nats, strength in zip(held_out(candidates, parts), LAMBDAS, strict=True):
        away = y - cross_val_predict(Ridge(alpha=len(y) * strength), X, y, cv=folds(parts, len(y)))
        variance = np.mean(away**2) + candidates.precision**2 / 12
        density = np.sum(away**2) / (2 * variance) + 0.5 * len(y) * np.log(2 * np.pi * variance)
        assert nats == pytest.approx(density - len(y) * np.log(candidates.precision), rel=1e-4)


def test_a_class_that_only_the_part_has_is_forecast_as_unseen():
    """Krichevsky and Trofimov's half a count: 1/2 of n + K/2 - part examples."""
    X, y = np.linspace(-1, 1, 13)[:, None], np.array([0, 1] * 6 + [2])
    candidates = Candidates.of(LOGISTIC, (1e6,), X, y)
    (nats,) = held_out(candidates, [np.array([12])])
    assert nats == pytest.approx(-np.log(0.5 / (12 + 1.5)))


def test_a_part_whose_complement_has_one_class_says_nothing_of_it():
    X, y = np.zeros((6, 1)), np.array([0, 0, 0, 0, 0, 1])
    candidates = Candidates.of(LOGISTIC, LAMBDAS, X, y)
    assert np.isfinite(held_out(candidates, [np.array([4, 5])])).all()


def test_the_default_trains_three_times_a_strength():
    candidates = Candidates.of(LOGISTIC, LAMBDAS, *WINE)
    lengths = rotated(candidates)
    assert candidates.n_trainings == 3 * len(LAMBDAS)
    assert [length.nats for length in lengths] == pytest.approx(held_out(candidates, dealt(candidates, 3)))
