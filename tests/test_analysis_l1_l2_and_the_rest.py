"""Which penalty is which prior: penalties against densities, known truths, L1 optima, and the committed table."""

from __future__ import annotations

import dataclasses
import importlib.metadata

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, special
from sklearn.linear_model import LogisticRegression

from analyses import _catalogue, _checkpoints, _drawn_weights, _l1, _named_penalties, _prior_lengths, _rest_said
from analyses import _regularisers as regularisers
from analyses._prior_lengths import COLUMNS, FRACTION, PRIORS, column
from mdl import datasets
from mdl.errors import PriorError, WeightsError
from mdl.priors import Gaussian, GeneralizedGaussian, Laplace
from mdl.symbolic import SCALE, W, as_function
from mdl.training import Split


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("l1_l2_and_the_rest")


# --- penalties --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", regularisers.derived(), ids=lambda one: one.name)
def test_a_penalty_is_the_code_length_under_its_prior(one) -> None:
    assert max(one.gap_nats(seed) for seed in range(5)) < 1e-9


@pytest.mark.parametrize("name", ["L2 (ridge, weight decay)", "L1 (lasso)", "elastic net", "bridge, Lp"])
def test_densities_integrate_to_one(name) -> None:
    (one,) = (one for one in regularisers.derived() if one.name == name)
    density = as_function(one.density)
    half = integrate.quad(lambda w: float(density(w=w, scale=0.8, b=0.5, shape=0.6)), 0.0, np.inf, limit=200)[0]
    assert 2.0 * half == pytest.approx(1.0, abs=1e-6)


def test_another_prior_is_told_apart() -> None:
    one = regularisers.derived()[0]
    wrong = dataclasses.replace(one, numbers=(Laplace(0.7),))
    assert wrong.gap_nats(0) > 0.1
    with pytest.raises(PriorError, match="regulariser"):
        regularisers._multiple("", abs(W), Gaussian(0.7))


def test_strengths_are_those_of_the_textbook() -> None:
    strengths = {one.name: one.strength for one in regularisers.derived()}
    values = {"n": 50, "scale": 0.5}
    assert float(as_function(strengths["L2 (ridge, weight decay)"])(**values)) == pytest.approx(1 / (50 * 0.25))
    assert float(as_function(strengths["L1 (lasso)"])(**values)) == pytest.approx(1 / (50 * 0.5))
    assert SCALE not in strengths["logarithm"].free_symbols


# --- lengths ----------------------------------------------------------------------------------------------------------


def test_lengths_are_those_of_the_entropy() -> None:
    """Of many weights, h(p) - log2 step each, and the few bits of the description."""
    n, rng = 200_000, np.random.default_rng(0)
    for prior, entropy, w in (
        ("gaussian", 0.5 * np.log2(2.0 * np.pi * np.e), rng.standard_normal(n)),
        ("laplace", np.log2(2.0 * np.e), rng.laplace(size=n)),
    ):
        row = _prior_lengths.lengths(w)
        assert row[column(prior)] / n == pytest.approx(entropy - np.log2(row["step"]), abs=0.01)
        assert _prior_lengths.shortest(row) == prior


def test_everything_is_charged() -> None:
    """More than the best Gaussian's masses, by what its scale, its name, the step and the alphabet's ends take."""
    w = np.random.default_rng(1).standard_t(3, 5000)
    row = _prior_lengths.lengths(w)
    step = row["step"]
    size = np.abs(np.rint(w / step)) * step  # cells in the left tail, where masses do not cancel

    def bits(log_scale: float) -> float:
        scale = np.exp(log_scale)
        mass = special.ndtr((0.5 * step - size) / scale) - special.ndtr((-0.5 * step - size) / scale)
        return -float(np.log2(np.maximum(mass, 1e-300)).sum())

    told = row["gaussian_at_zero_bits"] - optimize.minimize_scalar(bits, bounds=(-2.0, 2.0)).fun
    assert 20.0 < told < 100.0
    assert row["gaussian_bits"] <= row["gaussian_at_zero_bits"]


def test_lengths_do_not_depend_on_unit_or_order() -> None:
    w = np.random.default_rng(2).laplace(size=500)
    rows = [_prior_lengths.lengths(values) for values in (w, w[::-1], 2.0 * w)]
    for name in COLUMNS:
        assert rows[1][name] == pytest.approx(rows[0][name], abs=1e-6)
        assert rows[2][name] == pytest.approx(rows[0][name], abs=20.0)  # exponents are told
    assert rows[2]["step"] == 2.0 * rows[0]["step"]


def test_kurtosis() -> None:
    rng = np.random.default_rng(3)
    assert _prior_lengths.excess_kurtosis(rng.standard_normal(400_000)) == pytest.approx(0.0, abs=0.05)
    assert _prior_lengths.excess_kurtosis(rng.laplace(size=400_000)) == pytest.approx(3.0, abs=0.2)


def test_priors_of_scaled_weights() -> None:
    w = np.linspace(-2.0, 2.0, 9)
    for _, prior in _drawn_weights.TRUTHS.values():
        twice = _drawn_weights.times(prior, 2.0)
        low, high = w - 0.1, w + 0.1
        np.testing.assert_allclose(twice.log_mass(2.0 * low, 2.0 * high), prior.log_mass(low, high), rtol=1e-12)


@pytest.mark.parametrize("truth", ["gaussian", "laplace", "cauchy", "uniform", "spike"])
def test_a_known_prior_is_recovered(truth) -> None:
    (row,) = _drawn_weights.rows((truth, 3000, 0))
    assert row["shortest"] == truth


# --- L1 ---------------------------------------------------------------------------------------------------------------


def test_the_l1_optimum_is_that_of_liblinear() -> None:
    split = Split.of(datasets.load("breast_cancer"), 0)
    model, converged = _l1.train("logistic", 1e-2, 0, split)
    C = 1.0 / (1e-2 * len(split.y))
    peer = LogisticRegression(C=C, l1_ratio=1.0, solver="liblinear", intercept_scaling=1e3, tol=1e-8, max_iter=10_000)
    peer.set_params(random_state=0).fit(split.X, split.y)
    assert converged
    np.testing.assert_allclose(model.weights["layers.0.weight"][:, 0], peer.coef_[0], atol=2e-3)
    assert np.array_equal(model.weights["layers.0.weight"][:, 0] == 0.0, peer.coef_[0] == 0.0)


def test_the_l1_optimum_of_a_perceptron_is_stationary() -> None:
    """The loss has slope -strength sign(w) along each weight that is not zero, and at most the strength at zero."""
    split, strength, h = Split.of(datasets.load("wine"), 0), 1e-2, 1e-5
    model, _ = _l1.train("mlp-tanh", strength, 0, split)

    def loss(name: str, place: tuple[int, ...], by: float) -> float:
        changed = model.weights[name].copy()
        changed[place] += by
        there = model.with_weights({**model.weights, name: changed})
        return -float(there.likelihood.log_prob(there.predict(split.X), split.y).mean())

    rng = np.random.default_rng(0)
    for name, tensor in model.weights.items():
        places = [tuple(int(rng.integers(size)) for size in tensor.shape) for _ in range(12)]
        places += list(zip(*np.nonzero(tensor), strict=True))[:5]
        for place in places:
            slope = (loss(name, place, h) - loss(name, place, -h)) / (2.0 * h)
            if name in model.free:
                assert abs(slope) < 1e-5
            elif tensor[place] != 0.0:
                assert slope == pytest.approx(-strength * np.sign(tensor[place]), abs=1e-5)
            else:
                assert abs(slope) < strength + 1e-5


def test_a_penalty_is_named_by_the_shorter_code() -> None:
    rows = pd.DataFrame({"gaussian_bits": [5.0, 9.0], "laplace_bits": [6.0, 8.0], "n": [1, 1], "penalty": ["L2", "L2"]})
    assert _rest_said.right(rows).tolist() == [True, False]
    assert _rest_said.right(rows.assign(penalty="L1")).tolist() == [False, True]


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_missing_package_is_named(monkeypatch) -> None:
    def missing(package: str) -> None:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(WeightsError, match=r"magika.*make data"):
        _checkpoints.tensors("magika")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("embeddings.word_embeddings.weight", "embedding"),
        ("embeddings.LayerNorm.weight", "norm"),
        ("encoder.layer.0.output.LayerNorm.bias", "bias"),
        ("encoder.layer.0.attention.self.key.weight", "dense"),
    ],
)
def test_kinds_by_name(name, kind) -> None:
    assert _checkpoints._kind_by_name(name) == kind


# --- the committed table ----------------------------------------------------------------------------------------------


def test_penalties_agree_in_the_table(table) -> None:
    rows = _rest_said.part(table, "penalty")
    assert set(rows["name"]) == {one.name for one in regularisers.derived()}
    assert rows["gap_nats"].max() < 1e-9


def test_known_priors_win_with_many_weights(table) -> None:
    drawn = _rest_said.part(table, "drawn")
    last = drawn[(drawn["n"] == drawn["n"].max()) & ~drawn["truth"].isin(list(_drawn_weights.RIGHT))]
    assert set(last["truth"]) == set(PRIORS)
    assert _rest_said.recovered(last).groupby(last["truth"]).mean().min() >= 0.85


def test_no_fit_is_much_longer_than_the_prior_drawn_from_but_that_of_three_centres(table) -> None:
    drawn = _rest_said.part(table, "drawn")
    last = drawn[drawn["n"] == drawn["n"].max()]
    own = pd.Series(
        {k: row[column(_drawn_weights.RIGHT.get(row["truth"], row["truth"]))] for k, row in last.iterrows()}
    )
    worse = ((own - last["given_bits"]) / last["n"]).groupby(last["truth"])
    assert worse.max().drop("clusters").max() < 0.06
    assert worse.mean().drop("clusters").max() < 0.01
    assert worse.min()["clusters"] > 0.1


def test_the_shortest_is_the_least(table) -> None:
    rows = table[table["shortest"].notna()]
    assert (rows[COLUMNS].idxmin(axis=1).str.removesuffix("_bits") == rows["shortest"]).all()
    assert (rows["gaussian_at_zero_bits"] >= rows["gaussian_bits"] * (1.0 - 1e-7)).all()


def test_every_network_is_there_whole_at_every_step(table) -> None:
    rows = _rest_said.part(table, "checkpoint")
    assert set(rows["table"]) == set(_checkpoints.PACKAGES)
    assert rows.groupby("fraction")["n"].sum().nunique() == 1
    embedding = rows[rows["tensor"].str.endswith("word_embeddings.weight") & (rows["fraction"] == FRACTION)]
    assert embedding["n"].tolist() == [30522 * 384]


def test_a_gaussian_costs_more_where_tails_are_heavier(table) -> None:
    rows = _rest_said.main_step(table)
    large = rows[rows["n"] >= 4096]
    assert large["kurtosis"].corr(_rest_said.excess(large)["gaussian"], method="spearman") > 0.5


def test_zeros_are_those_of_l1(table) -> None:
    trained = _rest_said.part(table, "trained")
    l1, l2 = (trained[trained["penalty"] == penalty] for penalty in _named_penalties.PENALTIES[::-1])
    assert l1["zeros"].min() > 0.05
    assert l2["zeros"].max() < 0.1  # pixels that are never on
    control = _rest_said.part(table, "control")
    assert _rest_said.right(control[control["n"] > 500]).all()


def test_a_generalised_gaussian_has_the_shape_of_its_truth(table) -> None:
    drawn = _rest_said.part(table, "drawn")
    last = drawn[drawn["n"] == drawn["n"].max()].groupby("truth")["shape"].median()
    assert last["gaussian"] == pytest.approx(2.0, abs=0.1)
    assert last["laplace"] == pytest.approx(1.0, abs=0.1)
    assert last["generalised"] == pytest.approx(_drawn_weights.SHAPE, abs=0.05)
    assert isinstance(PRIORS["generalised"], GeneralizedGaussian)
