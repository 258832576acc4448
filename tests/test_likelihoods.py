"""Likelihoods: probabilities of stated targets against scipy's, runs of symbols against sums, and bad targets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mdl.errors import DataError
from mdl.likelihoods import Bernoulli, Categorical, Gaussian, Poisson

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, 40)
MATRIX = RNG.normal(0, 3, (40, 5))
MEANS = RNG.normal(0, 20, 40)
CASES = {
    "bernoulli": (Bernoulli(), LOGITS, 0, 1),
    "categorical": (Categorical(5), MATRIX, 0, 4),
    "gaussian": (Gaussian(precision=0.5, scale=7.0), MEANS, -200, 200),
    "poisson": (Poisson(), LOGITS, 0, 400),
}


def test_bernoulli_matches_scipy() -> None:
    y = RNG.integers(0, 2, 40)
    expected = stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-LOGITS)))
    np.testing.assert_allclose(Bernoulli().log_prob(LOGITS, y), expected, rtol=1e-9)


def test_categorical_is_the_log_of_the_softmax() -> None:
    y = RNG.integers(0, 5, 40)
    p = np.exp(MATRIX) / np.exp(MATRIX).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Categorical(5).log_prob(MATRIX, y), np.log(p[np.arange(40), y]), rtol=1e-12)


def test_gaussian_is_the_mass_of_the_targets_cell() -> None:
    y = np.round(MEANS + RNG.normal(0, 7, 40), 1)
    cdf = stats.norm(MEANS, 7.0).cdf
    np.testing.assert_allclose(
        Gaussian(precision=0.1, scale=7.0).log_prob(MEANS, y), np.log(cdf(y + 0.05) - cdf(y - 0.05)), rtol=1e-8
    )


def test_poisson_matches_scipy() -> None:
    y = RNG.poisson(3.0, 40)
    np.testing.assert_allclose(Poisson().log_prob(LOGITS, y), stats.poisson.logpmf(y, np.exp(LOGITS)), rtol=1e-10)


def test_an_open_number_of_classes_is_that_of_the_columns() -> None:
    y = RNG.integers(0, 5, 40)
    fitted = Categorical().fit(MATRIX, y)
    assert fitted == Categorical(5).fit(MATRIX, y) == Categorical(5)
    assert Categorical().span is None
    for use in (lambda: Categorical().log_prob(MATRIX, y), lambda: Categorical().fit(LOGITS, y)):
        with pytest.raises(DataError, match="Categorical: "):
            use()


@pytest.mark.parametrize(("likelihood", "predictions", "lo", "hi"), CASES.values(), ids=CASES)
def test_symbols_share_at_most_all_the_mass(likelihood, predictions, lo, hi) -> None:
    masses = np.exp(likelihood.log_mass(predictions, np.arange(lo, hi + 1), np.arange(lo, hi + 1)))
    assert (masses.sum(axis=1) <= 1 + 1e-12).all()
    assert (masses.sum(axis=1) >= 1 - 1e-6).all()


@pytest.mark.parametrize(("likelihood", "predictions", "lo", "hi"), CASES.values(), ids=CASES)
def test_a_run_has_the_mass_of_its_symbols(likelihood, predictions, lo, hi) -> None:
    first = np.minimum(lo + np.arange(3), hi)
    last = np.minimum(first + 2, hi)
    run = np.exp(likelihood.log_mass(predictions, first, last))
    single = np.exp(likelihood.log_mass(predictions, np.arange(lo, hi + 1), np.arange(lo, hi + 1)))
    for k, (a, b) in enumerate(zip(first - lo, last - lo, strict=True)):
        np.testing.assert_allclose(run[:, k], single[:, a : b + 1].sum(axis=1), rtol=1e-7, atol=1e-300)


def test_a_stated_precision_keeps_lengths_from_being_negative() -> None:
    exact = Gaussian(precision=1.0).fit(np.array([1.0, 2.0, 3.0]), np.array([1, 2, 3]))
    assert (exact.log_prob(np.array([1.0, 2.0, 3.0]), np.array([1, 2, 3])) <= 0).all()


def test_the_fitted_scale_is_the_best_of_its_neighbours() -> None:
    y = np.rint(MEANS + RNG.normal(0, 7, 40))
    fitted = Gaussian(precision=1.0).fit(MEANS, y)
    nats = [-Gaussian(1.0, fitted.scale * f).log_prob(MEANS, y).sum() for f in (0.8, 1.0, 1.25)]
    assert nats[1] == min(nats)


def test_a_given_scale_is_kept() -> None:
    assert Gaussian(1.0, 3.0).fit(MEANS, np.rint(MEANS)) == Gaussian(1.0, 3.0)


@pytest.mark.parametrize(
    ("likelihood", "y", "said"),
    [
        (Bernoulli(), [0, 2], "whole numbers from 0 to 1"),
        (Bernoulli(), [0.5, 1], "whole numbers"),
        (Bernoulli(), ["a", "b"], "expected \\(n,\\) numbers"),
        (Categorical(3), [0, 3], "0 to 2"),
        (Categorical(3), [0, np.nan], "whole numbers"),
        (Poisson(), [-1, 2], "from 0"),
        (Gaussian(0.5), [0.25, 1.0], "multiples of the precision"),
        (Gaussian(0.5), [np.inf, 1.0], "finite"),
        (Gaussian(1e-9), [1e3, 1.0], "below 2\\^31"),
    ],
)
def test_targets_that_are_none_are_refused(likelihood, y, said) -> None:
    with pytest.raises(DataError, match=said):
        likelihood.to_symbols(y)


@pytest.mark.parametrize(
    "make",
    [lambda: Gaussian(0.0), lambda: Gaussian(1.0, -1.0), lambda: Gaussian(np.nan), lambda: Categorical(1)],
    ids=["precision", "scale", "nan", "one-class"],
)
def test_impossible_likelihoods_are_refused(make) -> None:
    with pytest.raises(DataError):
        make()


@pytest.mark.parametrize(
    ("likelihood", "predictions", "y"),
    [
        (Bernoulli(), [np.nan, 0.0], [0, 1]),
        (Bernoulli(), [[0.0], [1.0]], [0, 1]),
        (Categorical(3), [[0.0, 1.0]], [0]),
        (Poisson(), [40.0], [3]),
        (Gaussian(1.0), [40.0], [3]),
        (Bernoulli(), [0.0], [0, 1]),
    ],
    ids=["nan", "2-d", "classes", "rate", "open-scale", "count"],
)
def test_predictions_that_do_not_fit_are_refused(likelihood, predictions, y) -> None:
    with pytest.raises(DataError):
        likelihood.log_prob(predictions, y)
