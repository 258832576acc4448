"""A strength for a dataset by its name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import scale

import mdl
from mdl import datasets
from mdl.errors import DataError
from mdl.select.candidates import STRENGTHS
from mdl.select.tables import grid, search

WINE = datasets.load("wine")


def test_it_is_the_estimator_on_standardised_inputs():
    found = search(WINE, code="evidence", strengths=(1e-3, 1e-1))
    alone = mdl.MDLLogistic((1e-3, 1e-1), code="evidence").fit(scale(WINE.X), WINE.y)
    assert found.results_["nats"] == pytest.approx(alone.results_["nats"], rel=0.02)  # stops earlier
    assert found.strength_ == alone.strength_


@pytest.mark.parametrize(
    ("table", "model", "code"),
    [("wine", "logistic", "rotated"), ("wine", "mlp-tanh", "rotated"), ("diabetes", "ridge", "evidence"),
     ("diabetes", "mlp", "rotated")],
)  # fmt: skip
def test_defaults(table, model, code):
    found = search(datasets.load(table), None if model in ("logistic", "ridge") else model, (1e-2, 1e-1))
    assert found.code == code
    assert found.strength_ in (1e-2, 1e-1)


def test_a_model_for_the_other_task_is_refused():
    with pytest.raises(DataError, match="ridge is for regression"):
        search(WINE, "ridge")


def test_the_grid_has_the_ends_of_the_default_one():
    assert grid(13) == pytest.approx(STRENGTHS, rel=1e-5)
    assert grid(2) == (STRENGTHS[0], STRENGTHS[-1])
    assert np.diff(np.log(grid(7))) == pytest.approx(np.full(6, np.log(10)), rel=1e-4)
