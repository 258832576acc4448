"""Evidence with scales against dense determinants; the committed table keeps the symmetry; the verdict turns."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analyses import _catalogue, _files, _units
from analyses import _measures as measures
from analyses import why_small as analysis
from mdl import likelihoods
from mdl.curvature import Objective
from mdl.models import FeedForward
from mdl.trials import Trials


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return _catalogue.committed("why_small")


@pytest.fixture
def network() -> tuple[FeedForward, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    tensors = {"layers.0.weight": rng.standard_normal((3, 4)), "layers.0.bias": rng.standard_normal(4)}
    tensors |= {"layers.1.weight": rng.standard_normal((4, 2)), "layers.1.bias": rng.standard_normal(2)}
    model = FeedForward(tensors, likelihoods.Categorical(2), "relu")
    return model, X, np.asarray(model.predict(X).argmax(axis=1))


def test_a_scale_a_tensor_is_the_least_over_a_grid_of_dense_determinants(network) -> None:
    model, X, y = network
    objective = Objective(model, X, y)
    total, scales = objective.nats(objective.vector), np.exp(np.linspace(-4.0, 4.0, 4001))
    for name, (A, B) in objective.kronecker(objective.vector).items():
        w, G = model.weights[name].ravel(), np.kron(A, B)
        logs = np.linalg.slogdet(np.eye(w.size) + scales[:, None, None] ** 2 * G)[1]
        total += (0.5 * (w @ w) / scales**2 + 0.5 * logs).min()
    assert _units.evidence_a_scale_a_tensor(model, X, y) == pytest.approx(total / math.log(2.0), rel=1e-5)


def test_a_scale_a_tensor_does_not_see_a_factor_of_the_layer_and_sees_one_a_unit(network) -> None:
    model, X, y = network
    before = _units.evidence_a_scale_a_tensor(model, X, y)
    layer = measures.rescaled(model, np.full(4, 8.0))
    units = measures.rescaled(model, np.array([0.1, 1.0, 3.0, 10.0]))
    assert _units.evidence_a_scale_a_tensor(layer, X, y) == pytest.approx(before, rel=1e-9)
    assert _units.evidence_a_scale_a_tensor(units, X, y) > before + 1.0


def test_the_faithful_file_keeps_the_fit_and_no_shorter_one_does(network) -> None:
    model, X, y = network
    trials = Trials(model, X, y)
    found = _files.files(trials, model)
    tried = [trials.on(found.near * 2.0**k, analysis_prior()).ideal() for k in range(-8, 3)]
    least = min(length.part("data") for length in tried)
    slack = _files.FAITHFUL_BITS * len(y) * math.log(2.0)
    assert found.faithful.part("data") <= least + slack + 1e-9
    kept = [length.comparable.nats for length in tried if length.part("data") <= least + slack]
    assert found.faithful.comparable.nats == pytest.approx(min(kept))
    assert found.one_step.comparable.nats == pytest.approx(min(length.comparable.nats for length in tried))


def analysis_prior() -> object:
    from mdl import Gaussian

    return Gaussian()


def test_no_rescaling_moves_the_function(table) -> None:
    rescaled = table[table["kind"] == "rescaled"]
    assert rescaled["moved"].max() <= 1e-9
    assert rescaled.groupby(["strength", "seed"])["rescaling"].nunique().eq(4).all()


def test_what_is_blind_to_scales_is_what_theory_says(table) -> None:
    blind = {"relative_precision_bits", "data_bits", "path_norm", "fisher_rao", "patterns"}
    assert set(analysis.unmoved(table, "units")) == blind
    assert set(analysis.unmoved(table, "layer")) == blind | {"evidence_tensor_bits", "spectral"}


def test_balancing_gives_the_norm_and_the_bits_back(table) -> None:
    ratios = analysis._ratios(table)
    again = ratios[ratios["rescaling"] == "balanced"]
    assert again["squared_norm"].max() <= 1.0 + 1e-6  # no rescaling has less
    assert again["squared_norm"].min() > 0.99  # L2 was there already
    assert (again["evidence_bits"] - 1.0).abs().max() < 0.01
    assert ratios[ratios["rescaling"] == "units"]["squared_norm"].min() > 1.0
    layer = ratios[ratios["rescaling"] == "layer"]
    stretched = 0.5 * (layer["size"] ** 2 + layer["size"] ** -2)  # of two layers of the same norm
    np.testing.assert_allclose(layer["squared_norm"], stretched, rtol=0.02)


def test_relu_units_are_out_of_balance_by_what_training_left_and_others_are_not(table) -> None:
    networks = table[table["kind"] == "network"].set_index("model")
    assert networks.loc["mlp-relu", "unexplained"].max() < 1e-9
    assert networks.loc["mlp-relu", "imbalance"].max() < 0.05
    assert networks.loc[["mlp-tanh", "mlp-logistic"], "unexplained"].min() > 0.01


def test_the_verdict_follows_the_table(table) -> None:
    said = analysis.verdict(table)
    networks = table["kind"] == "network"
    bent = table.assign(bend=table["bend"].where(table["strength"] == table["strength"].min(), 1.0))
    assert analysis.less_bent(table[networks]) == analysis.HIDDEN_MODELS
    assert analysis.less_bent(bent[networks]) == []
    assert "no kind of unit bend" in analysis.verdict(bent) != said
    loose = table.assign(unexplained=0.1)
    assert analysis._is_balanced(table[networks])
    assert not analysis._is_balanced(loose[networks])
