"""Lengths about a centre are those of dense densities, sums and the library; the table has its invariances."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from analyses import _catalogue
from analyses import _centre_summary as summary
from analyses import why_zero as analysis
from analyses._centred import About, Posterior, linear, network, seed_bits, sent, two_part_bits
from analyses._centres import labelling_complexity
from analyses._copies import copied, count_bits, nearest, separation
from mdl import likelihoods
from mdl.curvature import Objective
from mdl.length import LN2
from mdl.lengths.evidence import evidence
from mdl.lengths.luckiness import lnml_terms
from mdl.lengths.two_part import two_part
from mdl.priors import Gaussian


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("why_zero")


def ridge(seed: int = 0) -> Objective:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(20, 4))
    y = np.round(X @ rng.normal(size=4) + 0.5 * rng.normal(size=20), 3)
    return Objective(linear(4, likelihoods.Gaussian(1e-3, scale=0.5)), X, y)


def logistic(n: int = 30, d: int = 3) -> Objective:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, d))
    return Objective(linear(d, likelihoods.Bernoulli()), X, (rng.random(n) < special.expit(X[:, 0])).astype(int))


def test_ridge_about_any_centre_is_the_dense_normal_density_and_its_capacity_stays() -> None:
    task, rng = ridge(), np.random.default_rng(2)
    covariance = 0.7**2 * task.X @ task.X.T + 0.25 * np.eye(20)
    capacities = []
    for size in (0.0, 1.0, 30.0):
        centre = size * rng.normal(size=4)
        found = Posterior.of(task, 0.7, centre)
        dense = -stats.multivariate_normal(task.X @ centre, covariance).logpdf(task.y) - 20 * math.log(1e-3)
        assert found.evidence_bits * LN2 == pytest.approx(dense, rel=1e-9)
        capacities.append([dense - found.penalty - found.data, found.freedom])
    assert np.ptp(capacities, axis=0) == pytest.approx([0.0, 0.0], abs=1e-7)


def test_a_centre_that_is_one_number_is_the_librarys() -> None:
    for task in (ridge(), logistic()):
        length = evidence(task.model, task.X, task.y, Gaussian(0.7, loc=0.25))
        found = Posterior.of(task, 0.7, 0.25)
        assert found.evidence_bits == pytest.approx(
            length.part_bits()["weights"] + length.part_bits()["data"], abs=1e-8
        )


def test_the_librarys_luckiness_code_has_the_same_complexity_about_any_loc() -> None:
    task = ridge()
    found = [lnml_terms(task.model, task.X, task.y, [0.7], loc=loc).complexity[0] for loc in (0.0, 1.0, -5.0)]
    assert np.ptp(found) < 1e-9
    assert found[0] == pytest.approx(Posterior.of(task, 0.7, np.array([3.0, -1.0, 0.0, 2.0])).complexity, abs=1e-9)


def test_freedom_is_how_far_predictions_follow_the_targets() -> None:
    task, centre = ridge(), np.array([3.0, -1.0, 0.0, 2.0])
    before = task.model_at(Posterior.of(task, 0.7, centre).w).predict(task.X)
    moved = 0.0
    for k in range(20):
        other = Objective(task.model, task.X, task.y + 0.1 * (np.arange(20) == k))
        moved += (other.model_at(Posterior.of(other, 0.7, centre).w).predict(task.X) - before)[k] / 0.1
    assert Posterior.of(task, 0.7, centre).freedom == pytest.approx(moved, rel=1e-6)


def test_two_parts_about_a_centre_send_what_is_left() -> None:
    task, centre = logistic(), np.array([2.0, -1.0, 0.5])
    found = Posterior.of(task, 0.5, centre)
    model = About(task.model_at(found.w), task.split(centre))
    assert model.weights["layers.0.weight"].ravel() == pytest.approx(found.w - centre)
    assert model.with_weights(model.weights).predict(task.X) == pytest.approx(task.model_at(found.w).predict(task.X))
    plain = two_part(task.model_at(found.w), task.X, task.y, Gaussian(0.5)).comparable.bits
    assert two_part_bits(task, found, np.zeros(3)) == pytest.approx(plain, abs=1e-9)
    assert two_part_bits(task, found, centre) < plain - 5.0


def test_a_sent_centre_is_never_free() -> None:
    task = logistic()
    zero = Posterior.of(task, 0.5)
    message = sent(task, [zero], zero.w)
    assert message.total >= message.centre > 0.0
    assert message.total > Posterior.of(task, 0.5, zero.w).bits
    assert seed_bits(5, 1.0) > seed_bits(0, 1.0) > 0.0


def test_capacity_over_labellings_is_the_sum() -> None:
    """One example and one weight, where the maximum over the weight is found on a grid."""
    X, model, w = np.array([[1.5]]), linear(1, likelihoods.Bernoulli()), np.linspace(-8.0, 8.0, 400_001)
    for centre in (0.0, 1.0):
        luck = np.exp(-0.5 * (w - centre) ** 2)
        total = sum((special.expit(sign * 1.5 * w) * luck).max() for sign in (1.0, -1.0))
        assert labelling_complexity(model, X, 1.0, np.array([centre])) == pytest.approx(math.log(total), abs=1e-7)


def test_a_copy_is_the_same_function_far_away() -> None:
    rng = np.random.default_rng(3)
    model = network(4, 8, likelihoods.Categorical(3), rng)
    task = Objective(model, rng.normal(size=(9, 4)), np.arange(9) % 3)
    copies = [copied(task, task.vector, rng.permutation(8), rng.choice([-1.0, 1.0], 8)), *nearest(task, task.vector)]
    assert len(copies) == 1 + 8 + 2 * 28
    for copy in copies:
        assert task.nats(copy) == pytest.approx(task.nats(task.vector), abs=1e-12)
        assert np.linalg.norm(copy - task.vector) > 0.1
    assert 2.0 ** count_bits(3) == pytest.approx(6 * 8)


def test_separation_is_half_the_way_in_standard_deviations() -> None:
    """One unit, whose only copy is the negated weights; the covariance is inverted as it stands."""
    rng = np.random.default_rng(7)
    model = network(2, 1, likelihoods.Bernoulli(), rng)
    task = Objective(model, rng.normal(size=(9, 2)), np.arange(9) % 2)
    w = np.array([2.0, -1.0, 1.5])
    found = Posterior(w, 0.7, 0.0, 0.0, 0.0, 0.0)
    covariance = np.linalg.inv(task.ggn(w) + np.eye(3) / 0.49)
    way = -2.0 * w
    spread = math.sqrt(way @ covariance @ way) / np.linalg.norm(way)
    assert separation(task, found) == pytest.approx(0.5 * np.linalg.norm(way) / spread)


def test_telling_which_of_two_ways_takes_a_bit() -> None:
    paid = summary.paid(pd.Series([5.0, 5.0, math.nan]), pd.Series([3.0, math.nan, 3.0]))
    assert paid.tolist() == [4.0, 5.0, 3.0]


def test_the_committed_table_has_its_invariances(table: pd.DataFrame) -> None:
    ridge_rows = table[table["table"] == "diabetes"]
    assert (ridge_rows["dense_complexity_bits"] - ridge_rows["complexity_bits"]).abs().max() < 1e-8
    assert ridge_rows.groupby("seed")[["complexity_bits", "freedom"]].agg(np.ptp).max().max() < 1e-9
    assert summary.ridge_error(summary.extras(table)) < 1e-7
    assert summary.exchanged_error(table) < 1e-7
    lengths = summary.network_lengths(table)
    assert (lengths["copy"] - lengths["other"]).abs().max() < 1e-5


def test_one_mode_flatters_a_centre(table: pd.DataFrame) -> None:
    """With all modes another split's solution still gains, but less; a random centre's code is as long as zero's."""
    small = summary.networks(table, "wine")
    gains = -summary.about(small, "other", "sampled_bits")
    assert summary.above(gains)
    assert summary.above(-summary.about(small, "other", "bits").to_numpy() - gains.to_numpy())
    assert summary.about(small, "random", "sampled_bits").abs().mean() < 3.0


def test_what_knows_nothing_gains_nothing(table: pd.DataFrame) -> None:
    found = summary.extras(table)
    for name, way in itertools.product(("diabetes", "breast_cancer", "digits"), ("random", "shuffled", "opposite")):
        assert summary.one(found, name, way)["bits"].mean() > 0.0
    assert not summary.above(-summary.one(found, "digits", "renamed")["bits"])


def test_a_random_centre_costs_what_is_derived(table: pd.DataFrame) -> None:
    found = summary.extras(table)
    for name in ("diabetes", "breast_cancer", "digits"):
        far = summary.one(found, name, "random", 4.0)
        assert far["bits"].mean() == pytest.approx(far["law_bits"].mean(), rel=0.1)


def test_the_verdict_follows_the_numbers(table: pd.DataFrame) -> None:
    assert "zero is shorter than random" in analysis.verdict(table)
    network_rows = (table["part"] == "network") & (table["direction"] == "random")
    changed = table.assign(bits=table["bits"].where(~network_rows, table["bits"] + 100.0))
    assert "zero is shorter than random" not in analysis.verdict(changed)
    moved = table.assign(dense_complexity_bits=table["dense_complexity_bits"] * (1.0 + table["radius"]))
    assert "capacity under Gaussian noise" in analysis.verdict(moved)
