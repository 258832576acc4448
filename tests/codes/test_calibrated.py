"""Weights rounded together: the loss that their factors say, errors made good by others, and a price on bits."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import mdl
from mdl import rates
from mdl.codes.calibrated import Factors, Rounding, calibrated
from mdl.curvature import Calibration, Objective, calibrate
from mdl.errors import QuantizationError, WeightsError
from mdl.lengths.checkpoint import decode_file, encode_file, report
from mdl.likelihoods import Categorical, Gaussian
from mdl.models import FeedForward

RNG = np.random.default_rng(5)
MIXED = RNG.normal(size=(60, 90)) @ RNG.normal(size=(90, 90)) / 9.0
MOMENT, OUTPUTS = MIXED.T @ MIXED / 60, RNG.uniform(0.5, 2.0, 40)
FACTORS = Factors(MOMENT, OUTPUTS)
W = RNG.standard_t(4, size=(90, 40))


def network() -> FeedForward:
    tensors = {"layers.0.weight": RNG.normal(size=(90, 8)) / 9, "layers.0.bias": RNG.normal(size=8)}
    tensors |= {"layers.1.weight": RNG.normal(size=(8, 3)), "layers.1.bias": np.zeros(3)}
    return FeedForward(tensors, Categorical(3), "relu")


def test_the_loss_of_factors_is_that_of_their_kronecker_product() -> None:
    error = RNG.normal(size=(4, 6))
    rows, columns = np.cov(RNG.normal(size=(4, 9))), RNG.uniform(size=6)
    flat = error.ravel()
    expected = 0.5 * flat @ np.kron(rows, np.diag(columns)) @ flat
    np.testing.assert_allclose(Factors(rows, columns).loss(error), expected, rtol=1e-12)
    np.testing.assert_allclose(Factors(columns, rows).loss(error.T), expected, rtol=1e-12)
    np.testing.assert_allclose(Factors(columns, rows).loss(error.T.reshape(6, 2, 2)), expected, rtol=1e-12)


def test_rounding_together_loses_less_than_rounding_each() -> None:
    symbols = Rounding(W, FACTORS).symbols(0.5, price=0.0)
    alone, together = (FACTORS.loss(W - 0.5 * s.reshape(W.shape)) for s in (np.rint(W / 0.5), symbols))
    assert together < 0.7 * alone


def test_nothing_is_made_good_where_inputs_do_not_vary_together() -> None:
    for rows in (np.ones(90), np.eye(90)):
        symbols = Rounding(W, Factors(rows, OUTPUTS)).symbols(0.5, price=0.0)
        np.testing.assert_array_equal(symbols.reshape(W.shape), np.rint(W / 0.5))


def test_which_axis_is_which_does_not_matter() -> None:
    one, other = Rounding(W, FACTORS), Rounding(W.T, Factors(OUTPUTS, MOMENT))
    for price in (0.0, 1e-2):
        np.testing.assert_array_equal(
            one.symbols(0.5, price).reshape(W.shape), other.symbols(0.5, price).reshape(W.T.shape).T
        )


def test_the_best_of_few_weights_is_nearly_found() -> None:
    """Against all roundings up and down."""
    w, factors = W[:6, :1], Factors(MOMENT[:6, :6] + 0.2 * np.eye(6), np.ones(1))
    all_of_them = np.floor(w) + np.array(list(itertools.product((0, 1), repeat=6)))[:, :, None]
    best = min(factors.loss(w - symbols) for symbols in all_of_them)
    found = factors.loss(w - Rounding(w, factors).symbols(1.0, 0.0).reshape(6, 1))
    assert best <= found < factors.loss(w - np.rint(w))


def test_the_higher_the_price_the_fewer_bits_and_the_more_is_lost() -> None:
    losses, bits = [], []
    for price in 10.0 ** np.arange(-4.0, 2.0):
        grid, symbols = calibrated(W, FACTORS, price)
        losses.append(FACTORS.loss(W - grid.dequantize(symbols).reshape(W.shape)))
        calibration = Calibration({"w": FACTORS}, price)
        bits.append(mdl.measure({"w": W}, mdl.Shortest(), calibration=calibration).bits)
    assert losses == sorted(losses)
    assert bits == sorted(bits, reverse=True)


def test_weights_that_matter_to_nothing_are_not_told() -> None:
    some = np.where(np.arange(90) < 45, 1.0, 0.0)
    _, symbols = calibrated(W, Factors(np.diag(some), OUTPUTS), 1.0)
    told = (symbols.reshape(W.shape) != 0).mean(axis=1)
    assert told[:45].mean() > 3 * told[45:].mean()
    _, none = calibrated(W, Factors(np.zeros(90), OUTPUTS), 1e-2)
    assert not none.any()


def test_a_model_is_calibrated_by_its_own_curvature() -> None:
    model, X, y = network(), MIXED, RNG.integers(0, 3, 60)
    found = calibrate(model, X, y)
    assert set(found.factors) == set(model.weights)
    objective = Objective(model, X, y)
    moment, arriving = objective.kronecker(objective.vector)["layers.1.weight"]
    np.testing.assert_allclose(found.factors["layers.1.weight"].rows, moment)
    np.testing.assert_allclose(found.factors["layers.1.weight"].columns, np.diag(arriving) / 60)


def test_for_a_linear_model_the_loss_is_the_loss() -> None:
    """Where the second order is all: half the mean squared change of predictions, in units of the noise."""
    model = FeedForward({"layers.0.weight": W[:, :1], "layers.0.bias": [0.3]}, Gaussian(scale=0.5, precision=1e-3))
    X = MIXED - MIXED.mean(axis=0)  # otherwise weights and bias vary together, which factors leave out
    calibration = calibrate(model, X, np.round(model.predict(X), 3), loss=0.1)
    found = report(model.weights, mdl.Gaussian(), None, calibration)
    decoded = mdl.decode(mdl.encode(model.weights, calibration=calibration))
    changed = model.with_weights(decoded).predict(X) - model.predict(X)
    assert found.loss == pytest.approx(0.5 * np.mean(changed**2) / 0.25, rel=1e-6)


def test_messages_are_read_without_the_calibration(tmp_path) -> None:
    model = network()
    calibration = calibrate(model, MIXED, RNG.integers(0, 3, 60), loss=0.05)
    written = encode_file(model.weights, tmp_path / "m.mdl", mdl.Shortest(), calibration=calibration)
    decode_file(tmp_path / "m.mdl", tmp_path / "m.npz")
    decoded = mdl.load(tmp_path / "m.npz")
    lost = sum(calibration.loss(name, w - decoded[name]) for name, w in model.weights.items())
    assert written.loss == pytest.approx(lost, rel=1e-9)
    ideal = mdl.measure(model.weights, mdl.Shortest(), calibration=calibration)
    assert written.length.bits <= ideal.bits * 1.0002 + 64


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_a_calibration_is_kept_in_a_file(tmp_path, ending) -> None:
    calibration = Calibration({"a b": FACTORS, "c": Factors(OUTPUTS, np.ones(1))}, 1e-5)
    calibration.save(tmp_path / f"c{ending}")
    assert Calibration.load(tmp_path / f"c{ending}").identity == calibration.identity
    assert calibration.at(1e-4).identity != calibration.identity


def test_a_target_of_loss_is_met() -> None:
    calibration = Calibration({"w": FACTORS}, 1.0)
    for target in (0.1, 1.0, 10.0):
        found = report({"w": W}, mdl.Gaussian(), None, rates.for_loss({"w": W}, target, calibration))
        assert 0.5 * target < found.loss <= target


def factors_of(w: np.ndarray) -> Calibration:
    matrix = w.reshape(w.shape[0] if w.ndim else 1, -1 if w.size else 3)
    return Calibration({"w": Factors(np.eye(matrix.shape[0]), np.ones(matrix.shape[1]))}, 1.0)


@pytest.mark.parametrize("price", [1e-3, 1e200])
@pytest.mark.parametrize("w", [np.zeros((0, 3)), np.zeros((2, 3)), np.ones((2, 3)), np.array([[2.5]]), np.array(7.0)])
def test_small_and_constant_tensors_are_rounded(w, price) -> None:
    calibration = factors_of(w).at(price)
    decoded = mdl.decode(mdl.encode({"w": w}, calibration=calibration))["w"]
    assert decoded.shape == w.shape
    assert report({"w": w}, mdl.Gaussian(), None, calibration).loss == pytest.approx(0.5 * np.sum((w - decoded) ** 2))


@pytest.mark.parametrize(("w", "price"), [(np.array([1e30]), 1e-3), (np.ones((2, 3)), 1e-200), (np.ones(2), 5e-324)])
def test_steps_too_small_for_the_weights_are_refused(w, price) -> None:
    with pytest.raises(QuantizationError, match=r"tensor 'w': step .* is too small"):
        mdl.encode({"w": w}, calibration=factors_of(w).at(price))


def test_outputs_that_matter_more_are_kept_more_closely() -> None:
    outputs = np.where(np.arange(40) < 20, 100.0, 1.0)
    error = W - 0.5 * Rounding(W, Factors(np.ones(90), outputs)).symbols(0.5, price=8.0).reshape(W.shape)
    assert np.square(error[:, :20]).mean() < 0.2 * np.square(error[:, 20:]).mean()


def test_no_symbol_wraps_around() -> None:
    rounding = Rounding(np.array([[1.0], [3e9]]), Factors(np.ones(2), np.ones(1)))
    with pytest.raises(QuantizationError, match="step 1 is too small"):
        rounding.symbols(1.0, 0.0)


def test_a_layer_without_inputs_costs_nothing() -> None:
    _, symbols = calibrated(W, Factors(np.zeros((90, 90)), OUTPUTS), 1e-3)
    assert not symbols.any()


def test_what_does_not_fit_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(QuantizationError, match=r"tensor 'w': rows: expected shape \(90,\) or \(90, 90\), got \(89,\)"):
        mdl.measure({"w": W}, calibration=Calibration({"w": Factors(np.ones(89), OUTPUTS)}, 1.0))
    with pytest.raises(QuantizationError, match="one factor to be a diagonal"):
        Rounding(W, Factors(MOMENT, np.diag(OUTPUTS)))
    with pytest.raises(QuantizationError, match="nowhere negative"):
        Rounding(W, Factors(-np.ones(90), OUTPUTS))
    with pytest.raises(WeightsError, match="'v': expected a tensor of floats among the weights, got none"):
        mdl.measure({"w": W}, calibration=Calibration({"v": FACTORS}, 1.0))
    with pytest.raises(WeightsError, match="'n': expected a tensor of floats among the weights, got one of integers"):
        mdl.measure({"w": W, "n": np.arange(3)}, calibration=Calibration({"n": Factors(np.ones(3), np.ones(1))}, 1.0))
    with pytest.raises(QuantizationError, match="expected a symmetric matrix"):
        Rounding(W, Factors(np.triu(MOMENT), OUTPUTS))
    with pytest.raises(QuantizationError, match="tensor 'w': expected curvature that is nowhere negative"):
        mdl.measure({"w": W}, calibration=Calibration({"w": Factors(2.0 - 9.0 * np.eye(90)[::-1], OUTPUTS)}, 1.0))
    with pytest.raises(WeightsError, match="price: expected a positive finite number"):
        dataclasses.replace(Calibration({"w": FACTORS}, 1.0), price=float("nan"))
    np.savez(tmp_path / "x.npz", w=W)
    with pytest.raises(WeightsError, match="expected a calibration: `rows NAME` with `columns NAME`"):
        Calibration.load(tmp_path / "x.npz")
