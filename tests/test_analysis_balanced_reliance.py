"""Measures of balance are what they say, optima are optima, and the table has its invariances and its controls."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import Lasso, LogisticRegression, Ridge

from analyses import _balance, _balance_facts, _catalogue, _dialled
from analyses import _balance_found as found_in
from analyses import balanced_reliance as analysis
from analyses._balance import Cell, participation
from analyses._dialled import Draw
from analyses._l1 import Problem
from analyses._penalty_paths import optimum, stopped
from mdl.training import Split


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("balanced_reliance")


@pytest.fixture(scope="module")
def wine() -> Split:
    return _balance.prepared(Cell("wine", 0, "standardised", "true", 0, (), (), (), 0, lengths=False))


def weights(model) -> np.ndarray:
    return np.asarray(model.weights["layers.0.weight"], np.float64)


# --- measures ---------------------------------------------------------------------------------------------------------


def test_the_ratio_counts_inputs_and_does_not_see_size() -> None:
    for used in (1, 3, 8):
        w = np.zeros(8)
        w[:used] = -2.0
        assert participation(w) == pytest.approx(used / 8)
    w = np.random.default_rng(0).standard_normal((5, 3))
    assert participation(1e-6 * w) == pytest.approx(participation(w), rel=1e-12)
    assert np.isnan(participation(np.zeros(4)))
    assert participation(np.random.default_rng(1).standard_normal(200_000)) == pytest.approx(2.0 / math.pi, abs=0.005)


def test_a_gap_is_none_for_copies_and_whole_where_one_has_it_all_or_they_cancel() -> None:
    one, pair = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.ones((2, 2), bool)
    assert _balance.pair_gap(np.array([[0.7], [-0.7]]), one, pair) == 0.0
    assert _balance.pair_gap(np.array([[0.7], [0.7]]), one, pair) == 1.0
    assert _balance.pair_gap(np.array([[0.7], [0.0]]), one, pair) == 1.0
    assert _balance.pair_gap(np.array([[3.0], [-1.0]]), one, pair) == pytest.approx(0.5)


def test_an_input_held_at_its_mean_is_a_column_held_at_its_mean(wine) -> None:
    shifted = replace(wine, X=wine.X + 2.0)
    model, _ = optimum(Problem.of("mlp-relu", 0, shifted, 6), "L2", 0.01, 100)
    held = shifted.X.copy()
    held[:, 4] = held[:, 4].mean()
    without = _balance.without(model, "layers.0.weight", shifted.X, np.full(6, 4))
    assert without.predict(shifted.X) == pytest.approx(model.predict(held), abs=1e-9)
    assert np.abs(without.predict(shifted.X) - model.predict(shifted.X)).max() > 1e-3


def test_whitened_inputs_are_uncorrelated_and_moved_by_a_symmetric_matrix(wine) -> None:
    turn = _balance.whitening(wine.X)
    assert turn == pytest.approx(turn.T)
    assert np.cov(wine.X @ turn, rowvar=False, bias=True) == pytest.approx(np.eye(wine.X.shape[1]), abs=1e-9)


def test_paths_are_met_in_the_logarithm_of_the_loss_and_not_prolonged() -> None:
    found = _balance.at(np.array([0.4, 0.1]), np.array([1.0, 3.0]), np.array([0.5, 0.4, 0.2, 0.05]))
    assert found[1:3] == pytest.approx([1.0, 2.0])
    assert np.isnan(found[[0, 3]]).all()


# --- optima -----------------------------------------------------------------------------------------------------------


def test_softmax_under_l2_is_scikit_learns(wine) -> None:
    model, converged = optimum(Problem.of("logistic", 0, wine), "L2", 0.03, 2000)
    other = LogisticRegression(C=1.0 / (0.03 * len(wine.y)), tol=1e-10, max_iter=5000).fit(wine.X, wine.y)
    assert converged
    assert weights(model) == pytest.approx(other.coef_.T, abs=1e-4)


def test_softmax_under_l1_meets_its_conditions(wine) -> None:
    model, converged = optimum(Problem.of("logistic", 0, wine), "L1", 0.03, 2000)
    forecast = np.exp(model.predict(wine.X) - model.predict(wine.X).max(axis=1, keepdims=True))
    forecast /= forecast.sum(axis=1, keepdims=True)
    slope, w = wine.X.T @ (forecast - np.eye(3)[wine.y]) / len(wine.y), weights(model)
    used = np.abs(w) > 1e-6
    assert converged
    assert 0 < used.sum() < w.size
    assert slope[used] == pytest.approx(-0.03 * np.sign(w[used]), abs=1e-5)
    assert np.abs(slope).max() <= 0.03 + 1e-5


def test_stopping_follows_the_loss_down(wine) -> None:
    models = stopped(Problem.of("mlp-relu", 1, wine, 4), (1, 3, 9))
    losses = [_balance.loss_share(model, wine) for model in models.values()]
    assert list(models) == [1, 3, 9]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("truth", _dialled.TRUTHS)
def test_ridge_and_lasso_meet_the_error_and_are_scikit_learns(truth) -> None:
    X, y = Draw(0.6, truth, 3).data()
    least = np.square(y - X @ np.linalg.lstsq(X, y, rcond=None)[0]).sum()
    level = least + 0.2 * (y @ y - least)
    ridge, lasso = _dialled.ridge_at(X, y, level), _dialled.lasso_at(X, y, level)
    for w in (ridge, lasso):
        assert np.square(y - X @ w).sum() == pytest.approx(level, rel=1e-9)
    alpha = float(np.median(X.T @ (y - X @ ridge) / ridge))
    assert Ridge(alpha, fit_intercept=False).fit(X, y).coef_ == pytest.approx(ridge, abs=1e-7)
    strength = float(np.abs(X.T @ (y - X @ lasso)).max() / len(X))
    other = Lasso(strength, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(X, y).coef_
    assert other == pytest.approx(lasso, abs=1e-6)


def test_the_excess_loss_is_that_of_new_examples() -> None:
    draw, rng = Draw(0.9, "one", 0), np.random.default_rng(4)
    X = rng.multivariate_normal(np.zeros(_dialled.INPUTS), draw.covariance, 400_000)
    w = rng.standard_normal(_dialled.INPUTS)
    noise = rng.standard_normal(len(X))
    more = stats.norm.logpdf(noise) - stats.norm.logpdf(X @ (draw.weights - w) + noise)
    assert _dialled.excess_bits(draw, w) == pytest.approx(more.mean() / math.log(2.0), rel=0.02)


# --- what holds exactly -----------------------------------------------------------------------------------------------


def test_duplicated_inputs_have_equal_weights_under_ridge_and_not_under_least_squares_from_elsewhere() -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 5))
    y = X @ rng.standard_normal(5) + rng.standard_normal(30)
    twice = np.hstack([X, X[:, :2]])
    for alpha in (0.1, 10.0):
        w = _dialled.ridge(twice, y, alpha)
        assert np.abs(w[:2] - w[5:]).max() < 1e-9
        assert w == pytest.approx(Ridge(alpha, fit_intercept=False, solver="svd").fit(twice, y).coef_, abs=1e-9)


def test_an_orthonormal_design_leaves_the_ratio_under_ridge_and_not_under_lasso() -> None:
    rng = np.random.default_rng(6)
    X = np.linalg.qr(rng.standard_normal((30, 6)))[0]
    y = X @ rng.standard_normal(6)
    free = np.linalg.lstsq(X, y, rcond=None)[0]
    for alpha in (0.1, 10.0):
        ridge = Ridge(alpha, fit_intercept=False).fit(X, y).coef_
        assert abs(participation(ridge) - participation(free)) < 1e-9
        assert abs(participation(_dialled.ridge(X, y, alpha)) - participation(free)) < 1e-9
    assert participation(_dialled.lasso_at(X, y, 0.3 * float(y @ y))) < participation(free) - 0.05


def test_what_a_laplace_prior_saves_is_the_ratios() -> None:
    w = stats.t(2.5).rvs(50, random_state=7)
    gaussian = -stats.norm(scale=np.sqrt((w**2).mean())).logpdf(w).sum()
    laplace = -stats.laplace(scale=np.abs(w).mean()).logpdf(w).sum()
    saved = 50 * _balance_facts.saved_by_laplace(float(participation(w)))
    assert saved == pytest.approx((gaussian - laplace) / math.log(2.0), abs=1e-9)
    assert _balance_facts.saved_by_laplace(_balance_facts.EQUAL) == 0.0


# --- the committed table ----------------------------------------------------------------------------------------------


def test_the_committed_table_has_its_identities(table) -> None:
    facts = found_in.facts(table)
    exact = (
        "copies_apart", "copies_merged", "orthonormal_change", "soft_threshold", "units_scores", "units_contributions",
        "rotation_l2_moved", "free_difference_moved", "l1_of_splits", "gaussian_even_over_one_bits", "law_error_bits",
        "wine_copies_function", "breast_cancer_copies_function",
    )  # fmt: skip
    assert max(facts[name] for name in exact) < 1e-9
    assert max(facts["softmax_copies_apart"], facts["network_copies_apart"]) < 1e-3
    assert facts["l2_of_splits"] == 3.0
    assert facts["bound_used"] <= 1.0
    assert min(facts["free_moved"], facts["rotation_l1_moved"]) > 0.1


def test_a_network_keeps_its_balance_with_more_steps(table) -> None:
    longer = table[table["part"] == "longer"]
    assert (longer["longer_pr"] - longer["pr"]).abs().mean() < 0.03


def test_ablation_costs_even_those_who_rely_on_nothing(table) -> None:
    """The control that limits what ablation says: with shuffled labels a price is no reliance."""
    assert found_in.shuffled_lost(table)["breast_cancer"].min() > 0.0


def test_cancelling_weights_are_balanced_and_cannot_spare_an_input(table) -> None:
    dial = found_in.dial(table, "equal")
    means = dial[dial["correlation"] == dial["correlation"].max()].groupby("penalty")[["pr", "lost_bits"]].mean()
    assert abs(means.loc["none", "pr"] - means.loc["L2", "pr"]) < 0.1
    assert means.loc["none", "lost_bits"] > 3.0 * means.loc["L2", "lost_bits"]


def test_messages_and_penalty_disagree_on_copies(table) -> None:
    rows = table[table["part"] == "facts"].groupby("fact")["value"]
    for name in _balance_facts.COPIED:
        assert rows.max()[f"{name}_copies_penalty_bits"] < 0.0 < rows.min()[f"{name}_copies_gaussian_bits"]


def test_the_evidence_does_not_see_copies(table) -> None:
    facts = found_in.facts(table)
    assert max(facts[f"{name}_copies_evidence"] for name in _balance_facts.COPIED) < 1e-9


def test_on_a_fine_grid_the_ratio_decides_between_the_priors(table) -> None:
    links = found_in.length_links(table)
    assert links.groupby("table")[["fine_saved_rank", "fine_saved_same"]].mean().min().min() > 0.8
    assert links["off"].max() < 0.1


def test_the_verdict_follows_the_numbers(table) -> None:
    over, less = "L2 is more balanced than no penalty", "the strongest input is worth less than without a penalty"
    assert f"{over}: no (" in analysis.verdict(table)
    assert f"{less}: no (" in analysis.verdict(table)
    free = table["penalty"] == "none"
    changed = table.assign(
        pr=table["pr"].where(~free, 0.1 * table["pr"]), lost_bits=table["lost_bits"].where(~free, 9.0)
    )
    held = analysis.held(changed)
    assert held[over].startswith("yes")
    assert held[less].startswith("yes")
    assert f"{over}: yes (" in analysis.verdict(changed)
