"""The ladder on small real data: rungs agree with the functions that they name, and theory's order holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mdl
from mdl import datasets, ladder
from mdl.errors import DataError
from mdl.lengths.evidence import evidence
from mdl.training import Split, train


@pytest.fixture(scope="module", params=["breast_cancer", "diabetes"])
def table(request):
    return ladder.ladder(datasets.load(request.param), strength=3e-3, n_jobs=1, progress=False).set_index("rung")


def test_every_rung_that_applies_has_a_row_and_a_length(table) -> None:
    assert list(table.index) == [rung.name for rung in ladder.RUNGS]  # both models are small and linear
    either = table["realised_bits"].fillna(table["ideal_bits"])
    assert np.isfinite(either).all()
    parts = table["model_bits"] + table["data_bits"]
    np.testing.assert_allclose(parts, table["ideal_bits"], rtol=1e-9)
    assert (table["model_bits"] >= 0).all()


def test_files_are_as_long_as_their_ideal(table) -> None:
    files = table.dropna(subset="realised_bits")
    assert {"two-part file", "predictive file"} == set(files["kind"])
    assert (files["realised_bits"] <= files["ideal_bits"] * 1.0002 + 64.0).all()
    assert (files["file_bytes"] * 8 >= files["realised_bits"]).all()


def test_order_holds_where_theory_says_so(table) -> None:
    bits = table["ideal_bits"]
    assert bits["float32"] > bits["bfloat16"] > bits["grid, Gaussian"]
    assert bits["refined grid"] <= bits["grid, Gaussian"]
    assert bits["variational, full"] <= bits["variational, diagonal"] + 0.5  # each has its own rounding of the prior
    if table["model"].iloc[0] == "ridge":
        assert bits["evidence"] <= bits["variational, full"] + 1e-6
        assert bits["evidence"] < bits["grid, Gaussian"]


def test_a_file_within_a_few_per_cent_of_the_evidence_of_ridge() -> None:
    table = ladder.ladder(
        datasets.load("diabetes"), rungs=["random tree", "curved lattice", "evidence"], progress=False
    )
    bits = table.set_index("rung")
    shortest = bits["realised_bits"].min()
    assert shortest < 1.05 * bits["ideal_bits"]["evidence"]


def test_rungs_are_the_functions_that_they_name() -> None:
    data = datasets.load("wine")
    table = ladder.ladder(data, strength=1e-2, rungs=["evidence", "uniform labels"], n_jobs=1, progress=False)
    split = Split.of(data, 0)
    model, _ = train("logistic", 1e-2, 0, split)
    prior = ladder._prior("logistic", 1e-2, split)
    expected = evidence(model, split.X, split.y, prior).comparable.bits
    bits = table.set_index("rung")["ideal_bits"]
    assert bits["evidence"] == pytest.approx(expected)
    assert bits["uniform labels"] == pytest.approx(len(split.y) * math.log2(3))


@pytest.mark.parametrize(("arguments", "said"), [({"rungs": ["float31"]}, "float31"), ({"strength": 0.0}, "strength")])
def test_bad_arguments_are_refused(arguments, said) -> None:
    with pytest.raises(DataError, match=said):
        ladder.ladder(datasets.load("wine"), n_jobs=1, progress=False, **arguments)


def test_weights_alone_have_a_ladder_of_priors() -> None:
    weights = mdl.Weights({"w": np.random.default_rng(0).laplace(0.0, 0.1, 4000).astype(np.float32)})
    table = ladder.of_weights(weights).set_index("rung")
    assert table["bits"]["float32"] == pytest.approx(32 * 4000)
    assert table["bits"]["laplace"] == table["bits"][table["kind"] == "prior"].min()
    assert table["bits"].is_monotonic_decreasing
    assert ladder.shown(table.reset_index())["rung"].tolist()[0] == "float32"
    assert "laplace" in set(ladder.shown(table.reset_index())["rung"])
