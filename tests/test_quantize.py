"""Every quantiser keeps the laws; broken ones are caught; what single grids and formats promise besides."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mdl import quantize
from mdl.errors import QuantizationError
from tests import examples, laws


@pytest.mark.parametrize(("law", "case"), examples.cases(laws.quantizer_laws, examples.quantizers()))
def test_law(law: Any, case: Any) -> None:
    law(case)


# --- the laws catch what breaks them ----------------------------------------------------------------------------------


class Truncating(quantize.UniformGrid):
    """Rounds towards zero under the cells of the nearest multiple."""

    def quantize(self, w: Any) -> Any:
        return np.trunc(np.asarray(w) / self.step).astype(np.int32)


class Shifted(quantize.UniformGrid):
    """Decodes to the neighbouring multiple."""

    def dequantize(self, symbols: Any) -> Any:
        return super().dequantize(symbols) + self.step


class Gapped(quantize.UniformGrid):
    """Cells that are a hair too narrow."""

    def cell(self, symbols: Any) -> Any:
        lower, upper = super().cell(symbols)
        return lower, upper - 1e-9 * self.step


class Folding(quantize.UniformGrid):
    """Forgets the sign."""

    def quantize(self, w: Any) -> Any:
        return np.abs(super().quantize(w))


class Lenient(quantize.UniformGrid):
    """Takes NaN for zero."""

    def quantize(self, w: Any) -> Any:
        return super().quantize(np.nan_to_num(w, posinf=0.0, neginf=0.0))


BROKEN = [
    (laws.weights_lie_in_their_cells, Truncating(0.5)),
    (laws.symbols_are_fixed_points, Shifted(0.5)),
    (laws.cells_share_edges, Gapped(0.5)),
    (laws.quantizing_is_monotone, Folding(0.5)),
    (laws.non_finite_weights_are_refused, Lenient(0.5)),
]


@pytest.mark.parametrize(
    ("law", "broken"), [pytest.param(*b, id=f"{b[0].__name__}-{type(b[1]).__name__}") for b in BROKEN]
)
def test_law_catches(law: Any, broken: Any) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        law((broken, 1e6))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        laws.check_quantizer(broken, 1e6)


def test_every_law_has_a_quantizer_that_breaks_it() -> None:
    assert set(laws.QUANTIZER_LAWS) == {law for law, _ in BROKEN}


def test_check_quantizer_passes_a_sound_one() -> None:
    laws.check_quantizer(quantize.UniformGrid(0.5), 1e6)


def test_a_quantizer_without_an_example_is_noticed() -> None:
    with pytest.raises(LookupError, match="write an example for Gapped, Shifted"):
        examples.instances([Gapped, quantize.UniformGrid, Shifted], examples.QUANTIZERS)


# --- grids ------------------------------------------------------------------------------------------------------------


def test_uniform_grid_rounds_ties_to_even() -> None:
    grid = quantize.UniformGrid(2.0)
    assert grid.quantize([-5.0, -3.0, -1.0, 1.0, 3.0, 5.0, 4.9]).tolist() == [-2, -2, 0, 0, 2, 2, 2]


@laws.SEARCH
@given(st.floats(-1e6, 1e6), st.sampled_from((2.0**-6, 0.1, 3.0)))
def test_dead_zone_of_a_half_is_the_uniform_grid_off_ties(w: float, step: float) -> None:
    assume(abs(abs(w / step) % 1.0 - 0.5) > 1e-9)
    found = quantize.DeadZone(step, 0.5).quantize(w)
    assert found == quantize.UniformGrid(step).quantize(w)


@pytest.mark.parametrize("rounding", [0.1, 0.375, 0.5])
def test_dead_zone_rounds_up_from_its_fraction_on(rounding: float) -> None:
    zone = quantize.DeadZone(1.0, rounding)
    for k in range(3):
        for sign in (-1.0, 1.0):
            below, above = sign * (k + 1 - rounding - 1e-6), sign * (k + 1 - rounding + 1e-6)
            assert zone.quantize([below, above]).tolist() == [sign * k, sign * (k + 1)]
    assert np.diff(zone.cell([0]), axis=0).item() == pytest.approx(2.0 - 2.0 * rounding)


def test_codebook_takes_the_nearest_level() -> None:
    rng = np.random.default_rng(0)
    levels, w = np.sort(rng.normal(size=17)), rng.normal(size=500)
    book = quantize.Codebook(tuple(levels))
    assert book.quantize(w).tolist() == np.abs(w[:, None] - levels).argmin(axis=1).tolist()


def test_codebook_fit_finds_clusters_and_beats_a_uniform_codebook() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([-2.0, 0.0, 0.5, 4.0])
    book = quantize.Codebook.fit(rng.choice(truth, 2000) + rng.normal(0.0, 0.01, 2000), 4)
    np.testing.assert_allclose(book.levels, truth, atol=0.01)
    w = rng.laplace(size=3000)
    fitted, even = quantize.Codebook.fit(w, 8), quantize.Codebook(tuple(np.linspace(w.min(), w.max(), 8)))
    error = [np.mean((book.dequantize(book.quantize(w)) - w) ** 2) for book in (fitted, even)]
    assert error[0] < 0.5 * error[1]


def test_codebook_levels_are_float32_and_ascend() -> None:
    levels = np.array(quantize.Codebook.fit(np.random.default_rng(0).normal(size=400), 20).levels)
    assert (levels == levels.astype(np.float32)).all()
    assert (np.diff(levels) > 0).all()


@pytest.mark.parametrize("w", [[0.3] * 5, [1.0, 1.0, 2.0], [0.0]], ids=str)
def test_codebook_of_few_distinct_weights_is_those_weights(w: list[float]) -> None:
    book = quantize.Codebook.fit(w, 4)
    np.testing.assert_allclose(book.dequantize(book.quantize(w)), w, rtol=1e-7)


# --- float formats ----------------------------------------------------------------------------------------------------

TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}
every_format = pytest.mark.parametrize("name", TYPES)


def patterns(name: str) -> Any:
    """All finite values >= 0 of a format, in order: its bit patterns count upwards from zero."""
    kind = TYPES[name]
    bits = 8 * np.dtype(kind).itemsize
    with np.errstate(invalid="ignore"):  # signalling NaNs among the patterns
        values = np.arange(1 << (bits - 1)).astype(f"u{bits // 8}").view(kind).astype(np.float64)
    return values[: np.flatnonzero(~np.isfinite(values))[0]]


@every_format
def test_every_finite_value_is_a_fixed_point_and_its_pattern_the_symbol(name: str) -> None:
    values = patterns(name)
    ranks = np.arange(values.size)
    form = quantize.FloatFormat(name)
    for sign in (1, -1):
        assert (form.quantize(sign * values) == sign * ranks).all()
        assert (form.dequantize(sign * ranks) == sign * values).all()
    assert form.largest == values[-1]
    assert form.bits_per_weight == 8 * np.dtype(TYPES[name]).itemsize


@every_format
def test_rounds_to_nearest_ties_to_even(name: str) -> None:
    """Judged by exact midpoints, also where a cast by way of float32 would round twice."""
    values = patterns(name)
    middle = 0.5 * (values[:-1] + values[1:])  # exact: 53 bits hold it
    ranks = np.arange(middle.size)
    form = quantize.FloatFormat(name)
    assert (form.quantize(middle) == ranks + ranks % 2).all()
    assert (form.quantize(np.nextafter(middle, 0.0)) == ranks).all()
    assert (form.quantize(np.nextafter(middle, np.inf)) == ranks + 1).all()


@every_format
def test_agrees_with_the_cast_of_float32_weights(name: str) -> None:
    form, kind = quantize.FloatFormat(name), TYPES[name]
    scale = 2.0 ** np.random.default_rng(0).integers(-30, 8, 5000)
    w = (np.random.default_rng(1).normal(size=5000) * scale).astype(np.float32)
    w = w[np.abs(w) <= form.largest]
    assert (form.dequantize(form.quantize(w)) == w.astype(kind).astype(np.float64)).all()


def test_float32_is_taken_literally() -> None:
    w = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    form = quantize.FloatFormat("float32")
    assert (form.dequantize(form.quantize(w)) == w).all()
    assert (np.abs(form.quantize(w)) == (w.view(np.uint32) & 0x7FFFFFFF)).all()


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf, 1e-310, "1", None, 1j], ids=str)
@pytest.mark.parametrize("grid", [quantize.UniformGrid, quantize.DeadZone])
def test_step_is_refused(grid: Any, step: Any) -> None:
    with pytest.raises(QuantizationError, match="step: expected a positive finite number, got"):
        grid(step)


@pytest.mark.parametrize("step", [1, np.float64(0.5)], ids=repr)
def test_step_may_be_any_real(step: Any) -> None:
    assert quantize.UniformGrid(step).quantize([1.0]).tolist() == [round(1.0 / step)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: quantize.UniformGrid(1e-9).quantize([3.0]), "step 1e-09 is too small.*3e[+]09", id="int32"
        ),
        pytest.param(lambda: quantize.UniformGrid(1e-300).quantize([1e300]), "too small", id="overflow"),
        pytest.param(lambda: quantize.DeadZone(1e-9).quantize([-3.0]), "too small", id="dead zone"),
        pytest.param(lambda: quantize.DeadZone(1.0, 0.0), "rounding", id="rounding 0"),
        pytest.param(lambda: quantize.DeadZone(1.0, 0.6), "rounding", id="rounding 0.6"),
        pytest.param(lambda: quantize.DeadZone(1.0, math.nan), "rounding", id="rounding NaN"),
        pytest.param(lambda: quantize.Codebook(()), "levels", id="no level"),
        pytest.param(lambda: quantize.Codebook((1.0, 1.0)), "ascending", id="equal levels"),
        pytest.param(lambda: quantize.Codebook((0.0, math.inf)), "finite", id="infinite level"),
        pytest.param(lambda: quantize.Codebook((0.0, 1.0)).dequantize([2]), "symbols from 0 to 1, got 2", id="symbol"),
        pytest.param(lambda: quantize.Codebook((0.0, 1.0)).cell([-1]), "symbols from 0 to 1, got -1", id="cell"),
        pytest.param(lambda: quantize.Codebook.fit([], 4), "got 0 and 4", id="fit nothing"),
        pytest.param(lambda: quantize.Codebook.fit([1.0], 0), "levels >= 1", id="fit no level"),
        pytest.param(lambda: quantize.Codebook.fit([math.nan], 2), "1 of 1 are NaN", id="fit NaN"),
        pytest.param(lambda: quantize.FloatFormat("float64"), "float8_e5m2, got 'float64'", id="format"),
        pytest.param(lambda: quantize.FloatFormat("float16").quantize([7e4]), "70000 is beyond.*65504", id="beyond"),
        pytest.param(lambda: quantize.FloatFormat("float8_e4m3fn").quantize([-449.0]), "449 is beyond", id="beyond -"),
        pytest.param(
            lambda: quantize.FloatFormat("float8_e5m2").dequantize([124]), "-123 to 123, got 124", id="no float"
        ),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        make()


def test_the_largest_symbols_fit() -> None:
    assert quantize.UniformGrid(1.0).quantize([2.0**31 - 1, -(2.0**31) + 1]).tolist() == [2**31 - 1, -(2**31) + 1]
    with pytest.raises(QuantizationError):
        quantize.UniformGrid(1.0).quantize([2.0**31])
