"""Capacities have their closed forms, no centre changes them; the committed table holds its controls."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analyses import _capacity as measuring
from analyses import _catalogue, _explained
from analyses._nested import Table

FAMILIES = ("ridge", "logistic")


@pytest.fixture(scope="module")
def found() -> _explained.Findings:
    return _explained.findings(_catalogue.committed("limited_capacity"))


@pytest.fixture(scope="module")
def linear() -> measuring.Linear:
    return measuring.Linear.of("ridge", Table("diabetes").split(30, 0))


def test_ridge_has_its_closed_forms(linear: measuring.Linear) -> None:
    X, y, alpha = linear.data.X, linear.data.y, 30 * 0.1
    (w,) = linear.fits([0.1])
    np.testing.assert_allclose(w, np.linalg.solve(X.T @ X + alpha * np.eye(10), X.T @ y), rtol=1e-9)
    squares = np.linalg.svd(X, compute_uv=False) ** 2
    assert linear.measured(w, 0.1)["dof"] == pytest.approx((squares / (squares + alpha)).sum(), rel=1e-9)
    assert linear.complexity([0.1])[0] == pytest.approx(0.5 * np.log2(1.0 + squares / alpha).sum(), rel=1e-9)
    saved = 0.5 * (y @ y - np.sum((y - X @ w) ** 2)) / 30 / math.log(2.0)
    assert linear.saved(w, X, y) == pytest.approx(saved, rel=1e-9)


def test_random_labels_are_fitted_as_much_as_permutations_are_on_average(linear: measuring.Linear) -> None:
    """A random order of centred targets has E (u'y)² = ‖y‖²/(n - 1) along every unit vector u that sums to zero."""
    squares = np.linalg.svd(linear.data.X, compute_uv=False) ** 2
    for strength in (1e-3, 1.0):
        shrunk = 30 * strength / (squares + 30 * strength)
        expected = 0.5 * (1.0 - shrunk**2).sum() / 29 / math.log(2.0)
        drawn = [linear.random_saved([strength], seed)[0] for seed in range(240)]
        assert np.mean(drawn) == pytest.approx(expected, rel=0.05)


def test_no_centre_changes_the_capacity(linear: measuring.Linear) -> None:
    away = np.linspace(-3.0, 5.0, 10)
    for strength in (1e-3, 1.0):
        own, other = (linear.measured(linear.fits([strength], loc)[0], strength) for loc in (0.0, away))
        assert other["dof"] == pytest.approx(own["dof"], rel=1e-9)
        assert linear.complexity([strength], loc=3.0)[0] == pytest.approx(linear.complexity([strength])[0], rel=1e-9)
        assert abs(other["test_saved_bits"] - own["test_saved_bits"]) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rotation_of_the_inputs_changes_nothing(family: str) -> None:
    table = {"ridge": Table("diabetes"), "logistic": Table("breast_cancer")}[family]
    model = measuring.Linear.of(family, table.split(30, 0))
    features = model.data.X.shape[1]
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((features, features)))[0]
    for name, value in model.measured(model.fits([0.03])[0], 0.03).items():
        seen = model.along(turned)
        assert seen.measured(seen.fits([0.03])[0], 0.03)[name] == pytest.approx(value, rel=1e-6)


def test_a_known_link_is_found_on_tables_left_out_and_no_link_is_not() -> None:
    rng = np.random.default_rng(0)
    left = rng.uniform(size=400)
    rows = pd.DataFrame({"table": np.repeat(list("abcd"), 100), "left_dof": left})
    linked = rows.assign(better=np.exp(-3.0 * left))
    assert _explained.left_out(linked, ["dof"], "better", "monotone").min() > 0.95
    assert _explained.left_out(linked, ["dof"], "better", "any").min() > 0.9
    noise = rows.assign(better=rng.standard_normal(400))
    assert _explained.left_out(noise, ["dof"], "better", "monotone").max() < 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_of_shuffled_targets_less_is_better_and_capacity_explains_it(family: str, found: _explained.Findings) -> None:
    table = _catalogue.committed("limited_capacity")
    part = table[(table["family"] == family) & table["shuffled"]]
    assert _explained.less_is_better(part, "dof").mean() > 0.9
    assert found.best_capacity(family, shuffled=True)[1].mean() > 0.5
    assert found.kept_by(family, "L2", shuffled=True).mean() == pytest.approx(0.5, abs=0.06)
    true = table[(table["family"] == family) & ~table["shuffled"]]
    assert abs(_explained.less_is_better(true, "dof").mean()) < 0.5
    assert found.kept_by(family, "L2", shuffled=False).mean() > 0.6


def test_the_table_falls_with_the_strength() -> None:
    rows = _catalogue.committed("limited_capacity")
    path = rows[rows["way"] == "L2"].sort_values("strength").groupby(_explained.CELL)
    for name in ("complexity_bits", "norm", "train_saved_bits"):
        assert (path[name].diff().dropna() <= 1e-6).all()
