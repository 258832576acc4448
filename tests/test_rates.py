"""A target is met from below, to a thousandth, whatever the quantizer; curves fall."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mdl
from mdl import rates
from mdl.errors import QuantizationError
from mdl.lengths.checkpoint import report
from mdl.quantize import DeadZone, UniformGrid
from mdl.trellis import Trellis

RNG = np.random.default_rng(0)
W = {"a": RNG.normal(size=(80, 90)), "b": RNG.laplace(0.0, 0.1, 300).astype(np.float32)}
GRIDS = {
    "uniform": UniformGrid,
    "trellis": lambda step: Trellis(step, 8),
    "dead zone": lambda step: DeadZone(step, 0.3),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("mse", [1e-6, 1e-3, 0.05, 0.3])
def test_errors_are_met_from_below(grid, mse) -> None:
    found = report(mdl.load(W), mdl.Gaussian(), rates.for_error(W, mse, grid=grid))
    assert 0.995 * mse < found.mse <= mse


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("bits", [1.2, 3.0, 8.5])
def test_bits_are_met_from_below(grid, bits) -> None:
    found = report(mdl.load(W), mdl.Laplace(), rates.for_bits(W, bits, mdl.Laplace(), grid))
    assert 0.995 * bits < found.bits_per_weight <= bits


def test_a_uniform_density_has_a_twelfth_of_the_squared_step() -> None:
    grid = rates.for_error({"w": RNG.uniform(-1, 1, 200_000)}, 1e-6)
    assert grid.step == pytest.approx(math.sqrt(12e-6), rel=5e-3)


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_impossible_targets_are_refused(target) -> None:
    with pytest.raises(QuantizationError, match="target: expected a positive finite number"):
        rates.for_error(W, target)


def test_targets_that_no_step_comes_to_are_refused() -> None:
    with pytest.raises(QuantizationError, match="nothing within reach"):
        rates.for_bits({"w": np.ones(3)}, 0.5)


def test_a_curve_falls() -> None:
    table = rates.curve(W, mdl.Scaled(), lambda step: Trellis(step, 8), steps=[0.1, 1.0, 0.3])
    assert table["step"].tolist() == [1.0, 0.3, 0.1]
    assert table["mse"].is_monotonic_decreasing
    assert table["bits_per_weight"].is_monotonic_increasing
    assert len(rates.curve(W)) == 7
