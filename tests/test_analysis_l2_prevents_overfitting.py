"""Effective parameters are sensitivities of predictions; the committed table holds its controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from sklearn.linear_model import LogisticRegression, Ridge

from analyses import _catalogue, _gains, _nested
from analyses import _overfitting as measuring
from analyses._nested import TRUTHS, Table
from mdl import datasets
from mdl.select.candidates import Candidates


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("l2_prevents_overfitting")


@pytest.fixture(scope="module")
def cells(table: pd.DataFrame) -> pd.DataFrame:
    return _gains.gains(table)


def test_training_sets_are_nested_and_the_test_set_is_one() -> None:
    for table in (Table("wine"), Table("diabetes")):
        small, large = (table.split(n, seed=3) for n in (30, 100))
        assert len(small.y_test) == len(large.y_test) == round(0.3 * len(datasets.load(table.name).y))
        # standardisation is affine by columns: distances along one feature keep their ratios
        for one, other in ((small.X, large.X[:30]), (small.X_test, large.X_test)):
            ratio = np.ptp(one, axis=0) / np.ptp(other, axis=0)
            np.testing.assert_allclose(one - one[0], (other - other[0]) * ratio, atol=1e-9)


def test_every_prefix_has_its_share_of_every_class() -> None:
    shares = np.bincount(datasets.load("digits").y) / 1797
    for n in (30, 100, 1000):
        assert np.abs(np.bincount(Table("digits").split(n, 0).y, minlength=10) - n * shares).max() <= 1.0 + 1e-9


def test_effective_parameters_of_ridge_are_the_trace_of_its_hat_matrix() -> None:
    drawn = Table("diabetes").split(30, 0)
    candidates = Candidates.of(Ridge(), [1e-3, 0.1, 10.0], drawn.X, drawn.y)
    for strength, found in zip(candidates.strengths, measuring.effective(candidates), strict=True):
        ridge = Ridge(alpha=30 * strength)
        moved = [ridge.fit(drawn.X, e).predict(drawn.X)[i] for i, e in enumerate(np.eye(30))]
        assert found == pytest.approx(sum(moved) - 1.0, rel=1e-9)  # one is the intercept's


def test_effective_parameters_of_classes_are_those_of_the_penalised_optimum() -> None:
    """How far the optimum moves towards a linear tilt of the loss: tr H (H + nλ)^-1, by Newton's own definition."""
    drawn = Table("breast_cancer").split(100, 0)
    X = drawn.X[:, :4]
    candidates = Candidates.of(LogisticRegression(tol=1e-10, max_iter=5000), [0.03], X, drawn.y)
    weights, alpha = candidates.models[0].weights, candidates.alphas[0]
    w, bias = weights["layers.0.weight"].ravel(), weights["layers.0.bias"][0]

    def slope(at: np.ndarray) -> np.ndarray:
        return X.T @ (1.0 / (1.0 + np.exp(-(X @ at + bias))) - drawn.y)

    H = optimize.approx_fprime(w, slope, 1e-6)
    assert measuring.effective(candidates)[0] == pytest.approx(np.trace(H @ np.linalg.inv(H + alpha * np.eye(4))), 1e-4)


def test_effective_parameters_fall_with_the_strength_in_the_table(table: pd.DataFrame) -> None:
    ridge = table[table["family"] == "ridge"].sort_values("strength")
    assert (ridge.groupby(_gains.CELL)["effective"].diff().dropna() <= 0.0).all()
    assert (table["effective"] <= table["weights"] * (1.0 + 1e-5)).all()


def test_shuffled_targets_save_nothing_beside_the_constant_forecast(cells: pd.DataFrame) -> None:
    shuffled = cells[cells["shuffled"]]
    assert shuffled["beside_evidence_bits"].mean() < 0.0
    assert shuffled["strongest_bits"].mean() < 0.02
    assert shuffled["oracle_bits"].mean() > 1.0  # while almost no penalty does much harm
    true = _gains.real(cells)
    assert true["beside_evidence_bits"].mean() > 0.5  # a table that is learnt from is found out


def test_without_noise_or_with_many_examples_no_penalty_matters(cells: pd.DataFrame) -> None:
    exact = cells[(cells["table"] == TRUTHS[1]) & (cells["n"] >= 100)]
    assert (exact["evidence_strength"] == measuring.STRENGTHS[0]).all()
    assert exact["oracle_bits"].abs().max() < 1e-3
    many = cells[cells["table"].isin(TRUTHS) & (cells["n"] == 3000)]
    assert len(many) == 15
    assert many["oracle_bits"].max() < 1e-3


def test_least_squares_on_a_known_truth_has_the_risk_that_theory_says(table: pd.DataFrame) -> None:
    """Normal inputs: the squared error is σ² (1 + 1/n) (n - 2) / (n - d - 2) on average, d weights and an intercept."""
    rows = table[(table["table"] == TRUTHS[0]) & (table["strength"] == measuring.STRENGTHS[0])]
    squares = rows.groupby("n")["test_error"].apply(lambda error: (error**2).mean())
    variance = np.var(_nested._arrays(TRUTHS[0], None)[1])
    expected = _nested.TRUE_NOISE**2 / variance * (1 + 1 / squares.index) * (squares.index - 2) / (squares.index - 12)
    np.testing.assert_allclose(squares[squares.index >= 300], expected[squares.index >= 300], rtol=0.08)


def test_the_evidence_of_the_table_chooses_without_held_out_examples(table: pd.DataFrame) -> None:
    """Test losses in any other order leave the choice where it was."""
    other = table.assign(test_bits=np.random.default_rng(0).permutation(table["test_bits"]))
    assert _gains.gains(other)["evidence_strength"].equals(_gains.gains(table)["evidence_strength"])
    assert not _gains.gains(other)["best_strength"].equals(_gains.gains(table)["best_strength"])
