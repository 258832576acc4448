"""Relative-entropy coding of trained models: the file decodes, its size is what is reported, and it is short."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

import mdl
from mdl.codes.random import LEAST_TILT
from mdl.curvature import Objective
from mdl.errors import MdlError, MessageError, PlatformError, PriorError
from mdl.lengths.evidence import evidence
from mdl.lengths.relative_entropy import _Coordinates, encode_relative_entropy, relative_entropy, tilted_evidence
from mdl.lengths.variational import variational
from mdl.trials import Trials


def _cancer() -> Any:
    X, y = load_breast_cancer(return_X_y=True)
    return LogisticRegression(C=1.0).fit(scale(X), y), scale(X), y, mdl.Gaussian(1.0)


def _wine() -> Any:
    X, y = load_wine(return_X_y=True)
    return LogisticRegression(C=0.5).fit(scale(X), y), scale(X), y, mdl.Gaussian()


def _diabetes() -> Any:
    X, y = load_diabetes(return_X_y=True)
    return Ridge(alpha=5.0).fit(scale(X), y), scale(X), y, mdl.Gaussian()


def _counts() -> Any:
    rng = np.random.default_rng(0)
    X = rng.normal(0.0, 1.0, (150, 4))
    y = rng.poisson(np.exp(X @ [0.5, -0.3, 0.0, 0.2]))
    return PoissonRegressor(alpha=0.1).fit(X, y), X, y, mdl.Gaussian(0.5)


CASES = {"cancer": _cancer, "wine": _wine, "diabetes": _diabetes, "counts": _counts}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Any:
    estimator, X, y, prior = CASES[request.param]()
    model = mdl.wrap(estimator)
    return request.param, model, X, y, prior, encode_relative_entropy(model, X, y, prior, width=256)


def test_the_message_decodes_and_has_the_size_that_is_reported(case: Any) -> None:
    _, model, X, y, prior, data = case
    decoded, labels = mdl.decode_with_data(data, X)
    np.testing.assert_array_equal(labels, y)
    realised = relative_entropy(model, X, y, prior, width=256, realised=True)
    ideal = relative_entropy(model, X, y, prior, width=256)
    assert realised.bytes == pytest.approx(len(data), abs=1e-6)
    assert realised.realised
    assert realised.bits <= ideal.bits * 1.0002 + 64.0
    assert realised.part("weights") == pytest.approx(ideal.part("weights"))
    bits = -decoded.likelihood.log_prob(decoded.predict(X), labels).sum() / math.log(2.0)
    assert bits == pytest.approx(ideal.part_bits()["data"], rel=1e-3)


def test_path_and_data_come_near_the_evidence(case: Any) -> None:
    """The file is a code: on average it cannot beat the evidence; and it pays little above it."""
    name, model, X, y, prior, _ = case
    found = relative_entropy(model, X, y, prior).part_bits()
    whole = evidence(model, X, y, prior).part_bits()
    ratio = (found["weights"] + found["data"]) / (whole["weights"] + whole["data"])
    assert 0.8 < ratio < 1.15, name


def _target(name: str, tilt: int, scale: float | None = None) -> Any:
    estimator, X, y, prior = CASES[name]()
    trials = Trials(mdl.wrap(estimator), X, y)
    coded: Any = trials.with_coded_free()
    return _Coordinates.of(Objective(coded, trials.inputs, np.asarray(y)), scale or prior.scale or 1.0, tilt)


@pytest.mark.parametrize("name", ["cancer", "counts", "diabetes"])
def test_the_search_is_led_by_the_evidence(name: str) -> None:
    """In coordinates of its own, in which an isotropic prior is one too."""
    estimator, X, y, prior = CASES[name]()
    target = _target(name, LEAST_TILT)
    whole = evidence(mdl.wrap(estimator), X, y, mdl.Gaussian(prior.scale or 1.0))
    assert target.start.nats == pytest.approx(whole.part("weights") + whole.part("data"), abs=1.5)
    assert target.bits > 5.0


def test_a_tilted_prior_says_more_of_what_the_inputs_say_much_about() -> None:
    """Less evidence, and no setting to be told."""
    assert _target("cancer", 0).start.nats < _target("cancer", LEAST_TILT).start.nats - 2.0


def test_tilted_evidence_of_ridge_is_that_of_a_dense_gaussian() -> None:
    """The prior's covariance written from docs/format.md; the noise that of the residuals."""
    estimator, X, y, _ = _diabetes()
    model = mdl.wrap(estimator)
    length = tilted_evidence(model, X, y, mdl.Gaussian(8.0))
    values, vectors = np.linalg.eigh(X.T @ X)
    covariance = 64.0 * (vectors * (values**0.75 / (values**0.75).mean())) @ vectors.T
    target = _target("diabetes", 0, 8.0)
    noise, bias = target.objective.model.likelihood.scale, target.objective.model.weights["layers.0.bias"]
    cov = X @ covariance @ X.T + noise**2 * np.eye(len(y))
    off = y - bias
    nats = 0.5 * (off @ np.linalg.solve(cov, off) + np.linalg.slogdet(2.0 * np.pi * cov)[1])
    assert length.part("weights") + length.part("data") == pytest.approx(nats, rel=1e-9)


def test_a_wide_prior_of_separated_classes_has_an_evidence() -> None:
    """The divergence alone, which is of an approximate posterior, is more than all of it."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    y = (X[:, 0] > 0).astype(int)
    length = tilted_evidence(mdl.wrap(LogisticRegression().fit(X, y)), X, y, mdl.Gaussian(1e100))
    assert length.part("weights") > 0.0
    assert length.part("data") == 0.0


def test_a_file_does_not_beat_the_evidence_of_its_own_prior(case: Any) -> None:
    """But for luck: by less than the spread of a sample's length."""
    _, model, X, y, prior, _ = case
    file, bound = relative_entropy(model, X, y, prior, width=256), tilted_evidence(model, X, y, prior)
    assert file.comparable.bits > bound.comparable.bits - 5.0


@pytest.mark.parametrize("name", ["cancer", "counts"])
def test_what_is_not_drawn_follows_what_is(name: str) -> None:
    """A few steps go most of the way to the posterior that is conditioned on the first coordinates."""
    target = _target(name, 0)
    drawn = target.start.z.copy()
    drawn[:2] += 0.3
    found = target.given(drawn, 2, target.start)
    np.testing.assert_array_equal(found.z[:2], drawn[:2])
    best = target.data.settled(target.start.sites, drawn, 2, steps=200, gain=1e-9)
    assert abs(found.nats - best.nats) < 0.1
    assert np.abs(found.z - best.z).max() < 0.2 * np.abs(target.start.z - best.z)[2:].max()


def test_a_tree_of_digits_comes_near_the_variational_bound() -> None:
    """Classes nearly separated: about the mode, a search ends far above it."""
    X, y = load_digits(n_class=4, return_X_y=True)
    X, y = scale(X)[:250], y[:250]
    model = mdl.wrap(LogisticRegression(C=0.1, max_iter=200).fit(X, y))
    prior = mdl.Gaussian(1.0)
    lengths = relative_entropy(model, X, y, prior, width=256), variational(model, X, y, prior, covariance="full")
    file, bound = (length.part_bits()["weights"] + length.part_bits()["data"] for length in lengths)
    assert file < bound


def test_a_second_process_decodes_it(tmp_path: Any) -> None:
    estimator, X, y, prior = _wine()
    data = encode_relative_entropy(mdl.wrap(estimator), X, y, prior, width=64)
    here, _ = mdl.decode_with_data(data, X)
    (tmp_path / "m.mdl").write_bytes(data)
    np.save(tmp_path / "X.npy", X)
    program = (
        "import sys, numpy as np, mdl; model, y = mdl.decode_with_data(open('m.mdl', 'rb').read(), np.load('X.npy'));"
        "np.savez('out.npz', y=y, w=model.weights['layers.0.weight'])"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["y"], y)
        np.testing.assert_array_equal(out["w"], here.weights["layers.0.weight"])


def test_without_the_inputs_or_with_others_nothing_is_returned() -> None:
    estimator, X, y, prior = _wine()
    data = encode_relative_entropy(mdl.wrap(estimator), X, y, prior, width=64)
    with pytest.raises(MessageError, match="help of the inputs"):
        mdl.decode(data)
    with pytest.raises(PlatformError):
        mdl.decode_with_data(data, X + 0.01)
    with pytest.raises(MessageError):
        mdl.decode_with_data(data, X[:, :-1])
    with pytest.raises(MessageError):
        mdl.decode_with_data(data[:-1], X)


@pytest.mark.parametrize(
    "prior", [mdl.Gaussian(), mdl.Gaussian(1.0), mdl.Gaussian(1e-20), mdl.Gaussian(1e-100)], ids=str
)
@pytest.mark.parametrize("kind", ["no directions", "no rows", "one row", "no weights"])
def test_what_says_next_to_nothing_is_coded(kind: str, prior: mdl.Gaussian) -> None:
    estimator, X, y, _ = _cancer()
    model = mdl.wrap(estimator)
    X, y = {"no directions": (0.0 * X, y), "no rows": (X[:0], y[:0]), "one row": (X[:1], y[:1])}.get(kind, (X, y))
    if kind == "no weights":
        model = model.with_weights({name: 0.0 * tensor for name, tensor in model.weights.items()})
    _, labels = mdl.decode_with_data(encode_relative_entropy(model, X, y, prior, width=8), X)
    np.testing.assert_array_equal(labels, y)


def test_what_cannot_be_coded_so_is_refused() -> None:
    estimator, X, y, _ = _wine()
    model = mdl.wrap(estimator)
    with pytest.raises(PriorError, match="Gaussian prior at 0"):
        relative_entropy(model, X, y, mdl.Laplace())  # type: ignore[arg-type]
    with pytest.raises(PriorError, match="Gaussian prior at 0"):
        relative_entropy(model, X, y, mdl.Gaussian(1.0, loc=0.1))
    for beyond in (1e-200, 1e200):
        with pytest.raises(PriorError, match="1e-100 to 1e100"):
            relative_entropy(model, X, y, mdl.Gaussian(beyond))
    network = MLPClassifier(hidden_layer_sizes=(2,), solver="lbfgs", max_iter=2000, tol=1.0).fit(X, y)
    with pytest.raises(MdlError, match="hidden layers"):
        relative_entropy(mdl.wrap(network), X, y)
    wide = LogisticRegression().fit(np.zeros((2, 3001)), [0, 1])
    with pytest.raises(MdlError, match="at most 3000 weights, got 3001; use lattice or refined"):
        relative_entropy(mdl.wrap(wide), np.zeros((2, 3001)), [0, 1])
