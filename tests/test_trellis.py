"""A trellis finds the closest path, as enumeration does; its points, its error, and its runs are what it says."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdl
from mdl.codes.fitted import fit_scheme, searched
from mdl.codes.scheme import Coding
from mdl.errors import QuantizationError, WeightsError
from mdl.trellis import CODES, SQUARED_ERROR, Trellis, _batches, shrunk
from tests.laws import SEARCH

STATES = sorted(CODES)
closest = Trellis.closest


def points(symbols: tuple[int, ...], states: int) -> list[float]:
    """A path's points in steps by the encoder's parity check itself: no register, only sums of past bits mod 2.

    Ungerboeck's equation: the sum over i of h0_i z0_(n-i) + h1_i z1_(n-i) is even, z1 the information, z0 the parity.
    """
    h0, h1 = ([int(bit) for bit in reversed(f"{check:b}")] for check in CODES[states])
    z0: list[int] = []
    z1: list[int] = []
    found = []
    for n, k in enumerate(symbols):
        past = sum(h * z0[n - i] for i, h in enumerate(h0) if 0 < i <= n)
        past += sum(h * z1[n - i] for i, h in enumerate(h1) if 0 < i <= n)
        z0.append(past % 2)
        found.append(-(k + 0.25) if z0[n] else k + 0.25)
        z1.append(math.floor(2.0 * found[n]) >> 1 & 1)  # in half steps the point is m + 1/2, and z1 the second bit of m
    return found


@pytest.mark.parametrize("states", STATES)
def test_points_are_those_of_the_parity_check(states) -> None:
    rng = np.random.default_rng(states)
    for size in (1, 2, 7, 40, 255, 256, Trellis.run):
        symbols = tuple(rng.integers(-4, 4, size).tolist())
        assert Trellis(1.0, states).dequantize(symbols).tolist() == points(symbols, states)


@pytest.mark.parametrize("states", [4, 8, 64])
def test_the_closest_path_is_found(states) -> None:
    """Against all paths of five symbols from -3 to 2, for weights that none of the others could be close to."""
    rng = np.random.default_rng(3)
    paths = np.array([points(path, states) for path in itertools.product(range(-3, 3), repeat=5)])
    for w in rng.uniform(-1.4, 1.4, (30, 5)):
        grid = Trellis(1.0, states)
        found = float(np.square(grid.dequantize(grid.quantize(w)) - w).sum())
        assert found == pytest.approx(float(np.square(paths - w).sum(axis=1).min()), abs=1e-5)  # sums in float32


@pytest.mark.parametrize("states", STATES)
def test_the_error_is_a_fifth_to_a_quarter_below_a_grid_s(states) -> None:
    w = np.random.default_rng(5).normal(size=200 * 512)
    grid = Trellis(0.125, states)
    symbols = grid.quantize(w)
    error = float(np.square(grid.dequantize(symbols) - w).mean()) / 0.125**2
    assert 0.061 < error < 0.068
    assert error == pytest.approx(SQUARED_ERROR, rel=0.08)
    _, counts = np.unique(symbols, return_counts=True)
    entropy = -float((counts / w.size) @ np.log2(counts / w.size))
    shannon = -0.5 * math.log2(error * 0.125**2)
    assert 0.02 < entropy - shannon < {4: 0.10, 8: 0.085, 16: 0.08, 32: 0.07, 64: 0.06, 128: 0.055, 256: 0.05}[states]


def test_more_states_come_closer() -> None:
    w = np.random.default_rng(6).normal(size=100 * 512)
    errors = [float(np.square(g.dequantize(g.quantize(w)) - w).mean()) for g in (Trellis(0.1, s) for s in STATES)]
    assert errors == sorted(errors, reverse=True)


@SEARCH
@given(st.integers(0, 1700), st.integers(0, 3))
def test_runs_stand_alone(size, runs) -> None:
    rng = np.random.default_rng(size)
    w, grid = rng.normal(0.0, 3.0, size), Trellis(0.5, 8)
    cut = min(runs * grid.run, size)
    symbols = grid.quantize(w)
    np.testing.assert_array_equal(symbols, np.append(grid.quantize(w[:cut]), grid.quantize(w[cut:])))
    restored = np.append(grid.dequantize(symbols[:cut]), grid.dequantize(symbols[cut:]))
    np.testing.assert_array_equal(grid.dequantize(symbols), restored)


def test_batches_are_searched_as_one(monkeypatch) -> None:
    w, grid = np.random.default_rng(7).normal(size=3000), Trellis(0.3, 16)
    whole = grid.quantize(w)
    monkeypatch.setattr("mdl.trellis._BATCH", 1)
    np.testing.assert_array_equal(grid.quantize(w), whole)


def test_so_many_runs_are_searched_at_a_time() -> None:
    sizes = [3, 700, 512, 1, 0, 3000, 511, 513, 10]
    found = list(_batches(sizes, 512, 8))
    assert len(found) == 1
    assert [piece for piece in found[0] if piece[0] == 5] == [(5, slice(0, 3000))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mdl.trellis._BATCH", 3 * 512 * 24)
        found = list(_batches(sizes, 512, 8))
    runs = [sum(-(-(piece.stop - piece.start) // 512) for _, piece in batch) for batch in found]
    assert runs == [3] * 5
    assert sum(piece.stop - piece.start for batch in found for _, piece in batch) == sum(sizes)


@pytest.mark.parametrize("batch", [1 << 25, 1, 3 * 512 * 24])
def test_tensors_searched_side_by_side_take_their_own_paths(monkeypatch, batch: int) -> None:
    rng, grid = np.random.default_rng(13), Trellis(0.3, 8)
    each = [rng.normal(0.0, 2.0, size) for size in (0, 3, 700, 512, 1, 0, 3000, 511, 513)]
    alone = [grid.quantize(w) for w in each]
    monkeypatch.setattr("mdl.trellis._BATCH", batch)
    for found, expected in zip(grid.closest([grid.points(w) for w in each]), alone, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert grid.closest([]) == []


def test_a_model_s_tensors_are_searched_together_and_named_in_errors(monkeypatch) -> None:
    rng = np.random.default_rng(14)
    tensors = {str(k): rng.normal(size=(k, 40)) for k in range(1, 9)}
    grids = dict.fromkeys(tensors, Trellis(0.2))
    whole = searched(grids, tensors, True)
    searches = []
    monkeypatch.setattr("mdl.codes.fitted.RUNS", 400)
    monkeypatch.setattr(Trellis, "closest", lambda grid, points: searches.append(len(points)) or closest(grid, points))
    few = searched(grids, tensors, True)
    assert searches == [4, 1, 1, 1, 1]
    assert list(few) == list(whole) == list(tensors)
    for name, symbols in few.items():
        np.testing.assert_array_equal(symbols, whole[name])
    with pytest.raises(QuantizationError, match="tensor '3': expected finite weights"):
        searched(grids, {**tensors, "3": np.full((3, 40), np.inf)}, True)


def test_large_weights_are_as_close_as_small_ones() -> None:
    w, grid = np.random.default_rng(8).normal(2.0**40, 2.0**20, 512 * 4), Trellis(2.0**12, 8)
    assert np.abs(grid.dequantize(grid.quantize(w)) - w).max() <= 1.25 * 2.0**12


def test_impossible_trellises_and_weights_are_refused() -> None:
    with pytest.raises(QuantizationError, match="states: expected one of 4, 8, 16, 32, 64, 128, 256, got 7"):
        Trellis(0.1, 7)
    with pytest.raises(QuantizationError, match="step: expected a positive finite number, got 0"):
        Trellis(0.0)
    with pytest.raises(QuantizationError, match=r"step 1e-08 is too small"):
        Trellis(1e-8).quantize([0.0, 100.0])
    with pytest.raises(QuantizationError, match="tensor 'w': expected finite weights, but 1 of 2 are NaN"):
        fit_scheme({"w": np.array([np.nan, 1.0])}, {"w": Trellis(0.1)}, mdl.Gaussian())


def test_weights_are_shrunk_to_their_conditional_means() -> None:
    """The slope of weights on what they are restored to is 1 where they were shrunk first, and less where not."""
    w = np.random.default_rng(9).normal(size=400 * 512)

    def slope(given: np.ndarray) -> float:
        restored = Trellis(1.25, 8).dequantize(Trellis(1.25, 8).quantize(given))
        return float(w @ restored / (restored @ restored))

    assert slope(shrunk(w, 1.25, by_line=False)) == pytest.approx(1.0, abs=0.02)
    assert slope(w) < 0.95
    assert shrunk(np.zeros((2, 3)), 1.0, by_line=True).tolist() == [[0.0] * 3] * 2


def test_lines_are_shrunk_by_their_own_variance() -> None:
    rng = np.random.default_rng(10)
    rows, columns = rng.choice([0.5, 1.0, 4.0], 900), rng.choice([1.0, 2.0], 800)
    w = rng.normal(size=(900, 800)) * np.outer(rows, columns)
    shares = shrunk(w, 1.0, by_line=True) / w
    expected = 1.0 - SQUARED_ERROR / np.square(np.outer(rows, columns))
    assert np.abs(shares - expected).max() < 0.15  # one variance for all would miss by 0.24
    np.testing.assert_allclose(shares[rows == 1.0][:, columns == 1.0].mean(), 1.0 - SQUARED_ERROR, atol=0.005)


def test_a_message_of_a_trellis_restores_the_path() -> None:
    w = np.random.default_rng(11).normal(size=(60, 70)).astype(np.float32)
    grid = Trellis(2.0**-4, 64)
    restored = mdl.decode(mdl.encode({"w": w}, step=grid))["w"]
    assert restored.dtype == np.float32
    np.testing.assert_array_equal(grid.dequantize(grid.quantize(restored)).astype(np.float32), restored)
    chosen = grid.quantize(shrunk(w, grid.step, by_line=False)).ravel()
    np.testing.assert_array_equal(restored.ravel(), grid.dequantize(chosen).astype(np.float32))


def test_what_the_dtype_cannot_hold_is_not_written() -> None:
    """65504 is the largest float16; a point of the trellis beyond it would be refused by the reader."""
    w = np.full(600, 65504.0, np.float16)
    with pytest.raises(WeightsError, match="tensor 'w': a quantised weight is beyond the largest float16"):
        mdl.encode({"w": w}, step=Trellis(100.0))


@pytest.mark.parametrize("step", [0.5, 1e200, 1e-300])
@pytest.mark.parametrize("prior", [mdl.Gaussian(), mdl.Scaled()])
def test_extreme_weights_come_back_or_are_refused(step, prior) -> None:
    small, large = np.full((3, 4), 1e-300), np.full((3, 4), 1e300)
    restored = mdl.decode(mdl.encode({"w": small}, prior, Trellis(step)))["w"]
    assert np.abs(restored - small).max() <= step
    with pytest.raises(QuantizationError, match="^tensor 'w': step " + re.escape(f"{step:g} is too small")):
        mdl.encode({"w": large}, prior, Trellis(step))


def test_symbols_that_were_chosen_are_not_searched_again(monkeypatch) -> None:
    w = np.random.default_rng(12).normal(size=(8, 8))
    chosen = Trellis(0.5).quantize(w).ravel()
    coding = Coding(Trellis(0.5), mdl.KT(-20, 20), chosen=chosen)
    monkeypatch.setattr(Trellis, "quantize", None)
    assert coding.symbols(w) is chosen
    assert coding.squared_error(w) == pytest.approx(np.square(Trellis(0.5).dequantize(chosen) - w.ravel()).sum())
