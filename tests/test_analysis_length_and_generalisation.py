"""Stars differ in one thing, noisy losses are expectations, and the committed table passes its controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses import _catalogue, _ordering, _stars
from analyses import _generalisation as of
from analyses import length_and_generalisation as analysis
from mdl import likelihoods
from mdl.models import FeedForward


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("length_and_generalisation")


def test_every_pair_of_a_star_differs_in_the_one_thing_that_it_says() -> None:
    star = _stars.Star("wine", 3)
    given, pairs = _stars._configurations(star), _stars._pairs(star)
    levels = {name: len(values) for name, values in _stars.LEVELS.items()}
    assert len(given) == 1 + sum(n - 1 for n in levels.values())
    assert len(pairs) == sum(n * (n - 1) // 2 for n in levels.values())
    for name, a, b in pairs:
        assert [one for one in given[a] if given[a][one] != given[b][one]] == [name]


def test_examples_and_noise_are_nested_and_never_for_testing() -> None:
    star = _stars.Star("wine", 0)
    small, large = _stars.sample(star, 0, 0.3), _stars.sample(star, 2, 0.3)
    np.testing.assert_array_equal(large.X[: len(small.X)], small.X)
    np.testing.assert_array_equal(large.y[: len(small.y)], small.y)
    clean, some = _stars.sample(star, 2, 0.0), _stars.sample(star, 2, 0.15)
    changed = [set(np.flatnonzero(s.y != clean.y)) for s in (some, large)]
    assert changed[0] <= changed[1] != set()
    assert len(clean.y) + len(clean.y_test) == 178
    assert not {row.tobytes() for row in clean.X} & {row.tobytes() for row in clean.X_test}


def test_losses_under_noise_are_means_over_the_labels_drawn() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((7, 2)), rng.integers(3, size=7)
    tensors = {"layers.0.weight": rng.standard_normal((2, 3)), "layers.0.bias": rng.standard_normal(3)}
    model = FeedForward(tensors, likelihoods.Categorical(3))
    drawn = _stars.Sample(X, y, X, y, 3, 0.3)
    f = model.predict(X)
    for i in range(7):
        chance = [0.7 * (k == y[i]) + 0.1 for k in range(3)]  # 0.3 spread over three classes
        nats = [-np.log(np.exp(f[i, k]) / np.exp(f[i]).sum()) for k in range(3)]
        wrong = [float(f[i].argmax() != k) for k in range(3)]
        assert drawn.nats(model)[i] == pytest.approx(np.dot(chance, nats), rel=1e-12)
        assert drawn.errors(model)[i] == pytest.approx(np.dot(chance, wrong), rel=1e-12)


def test_the_penalty_of_every_optimiser_is_the_same_prior() -> None:
    """Scikit-learn divides alpha by the size of a batch."""
    given = _stars._configurations(_stars.Star("digits", 0))[0] | {"strength": 0.01, "size": 0}
    for name in _stars.LEVELS["optimiser"]:
        made = _stars.estimator({**given, "optimiser": name}, 200, 200, 0, 600)
        batch = 200 if name == "lbfgs" else made.batch_size
        assert made.alpha / batch == pytest.approx(0.01)


def test_enough_networks_of_every_table(table) -> None:
    networks = of.networks_of(table)
    assert len(networks) >= 500
    assert networks.groupby("table")["seed"].nunique().min() >= 5
    assert np.isfinite(networks[list(of.CODES.values())].to_numpy(float)).all()


def test_random_numbers_order_nothing(table) -> None:
    for target in (of.GAP, of.LOSS):
        row = of.Result.of(table, target).summary.set_index("measure").loc["random"]
        assert row["mean_low"] < 0.5 < row["mean_high"]
        assert abs(row["tau"]) < 0.1


def test_with_shuffled_labels_the_fit_alone_determines_the_gap_in_errors(table) -> None:
    networks, pairs = (get(table, shuffled=True) for get in (of.networks_of, of.pairs_of))
    gap = of.target_of(networks, of.ERROR_GAP)
    np.testing.assert_allclose(gap, 1.0 - 1.0 / networks["classes"] - networks["train_error"], atol=1e-5)
    measures = of.measures_of(networks, of.ERROR_GAP)[["training error"]]
    found = _ordering.pairs_of(networks, pairs, measures, gap, "se_error", sure=0.0)
    assert (found.errors == 0.0).all()


def test_shuffled_labels_do_not_compress(table) -> None:
    networks = of.networks_of(table, shuffled=True)
    uniform = networks["n"] * np.log2(networks["classes"])
    for name, column in of.CODES.items():
        assert (networks[column] / uniform).min() > 0.99, name


def test_a_code_that_knew_the_test_loss_would_have_no_error_and_turn_the_verdict(table) -> None:
    known = table.assign(prequential_bits=table["test_bits"] * table["n"])
    for target in (of.GAP, of.LOSS):
        row = of.Result.of(known, target).summary.set_index("measure").loc["prequential"]
        assert (row["mean"], row["worst"]) == pytest.approx((0.0, 0.0), abs=1e-3)
    assert analysis.verdict(known).startswith("Yes")
    reverse = table.assign(**dict.fromkeys(of.CODES.values(), -table["test_bits"] * table["n"]))
    assert analysis.verdict(reverse).startswith("No. ")


def test_a_measure_that_counts_sees_no_difference_of_strength(table) -> None:
    errors = of.Result.of(table, of.GAP).by_hyperparameter["parameters"]
    assert errors[["strength", "activation", "optimiser", "noise"]].tolist() == [0.5] * 4
