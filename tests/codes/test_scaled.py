"""Scales of rows and columns: told, charged, found where they are, and left out where they are not worth their bits."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import mdl
from mdl.codes import coder
from mdl.codes.coder import Coder
from mdl.codes.discretized import Discretized
from mdl.codes.exponents import OCTAVE, Axis, Scales, _together
from mdl.codes.fitted import fit_scheme
from mdl.codes.numbers import integer_bits, natural_bits
from mdl.codes.scaled import MAX_REACH, Scaled, ScaledMatrix, in_density
from mdl.codes.scales import KNOWN, MAX_ENTRIES, Cells, tables
from mdl.codes.scheme import Coding
from mdl.errors import CodeError, MessageError
from mdl.lengths.checkpoint import report
from mdl.priors import Gaussian, GeneralizedGaussian, Laplace, Mixture, StudentT
from mdl.quantize import Codebook, DeadZone, UniformGrid
from mdl.trellis import Trellis

LN2 = math.log(2.0)
GRID = UniformGrid(2.0**-5)


@pytest.mark.parametrize("size", [0, 1, 3, 11, 12, 40, 999])
def test_a_total_is_the_sum_of_all_lengths(monkeypatch, size: int) -> None:
    """Of incomplete rows, of one and of several blocks."""
    code = ScaledMatrix(StudentT(0.5, df=3.0), UniformGrid(0.25), 5, 11)
    symbols = np.clip(np.random.default_rng(0).normal(0.0, np.resize([1.0, 9.0], 999)), -32, 31).astype(np.int32)[:size]
    for block in (1 << 19, 50):
        monkeypatch.setattr("mdl.codes.scaled._BLOCK", block)
        assert code.total(symbols) == pytest.approx(code.nats(symbols).sum(), rel=1e-12)


@pytest.mark.parametrize("grid", [UniformGrid(0.25), Trellis(0.25, 8), DeadZone(0.25, 0.3)], ids=str)
@pytest.mark.parametrize(
    "prior", [Gaussian(0.25), StudentT(0.25, df=1.2), GeneralizedGaussian(0.25, shape=0.4)], ids=str
)
def test_mean_squares_are_about_those_of_the_masses(prior: Any, grid: Any) -> None:
    """To a quarter of a pitch: exponents are told an eighth of an octave apart at the finest."""
    cells = Cells(prior, grid, 7)
    every = [np.exp(table.log_mass(np.arange(-128, 128))) for table in tables(cells, KNOWN.tolist())]
    with np.errstate(divide="ignore"):
        exact = np.log([mass @ np.square(cells.centres) / mass.sum() for mass in every])
    usual = exact > math.log(1e-3 * grid.step**2)  # below, all symbols of a line are zero
    np.testing.assert_allclose(cells.expected[usual], exact[usual], atol=0.25 * 2.0 * LN2 / OCTAVE)


def product(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights with a scale of their own for each row times each column, and these scales."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(0.0, 0.5, (rows, 1)) + rng.normal(0.0, 0.4, (1, columns)))
    return scale * rng.normal(size=scale.shape), scale


def fit(w: np.ndarray, prior: Any = Scaled(), grid: Any = GRID) -> Coding:  # noqa: B008
    (coding,) = fit_scheme({"w": w}, {"w": grid}, prior).codings.values()
    return coding


def name(w: np.ndarray, prior: Any = Scaled(), grid: Any = GRID) -> str:  # noqa: B008
    return type(fit(w, prior, grid).code).__name__


@pytest.mark.parametrize("grid", [GRID, Trellis(2.0**-5, 8), UniformGrid(1.5), Trellis(1.5, 8)])
def test_lengths_come_near_those_of_the_true_scales(grid) -> None:
    w, scale = product(400, 300)
    symbols = grid.quantize(w).ravel()
    code = Scaled().fit(grid, symbols, 300)
    lower, upper = grid.cell(symbols)
    true = scale.ravel()
    oracle = -Gaussian(1.0).log_mass(lower / true, upper / true).sum() / LN2
    told = sum(axis.nats for axis in code._axes(symbols)) / LN2
    assert told < 6.0 * (400 + 300)
    assert code.nats(symbols).sum() / LN2 < oracle + told + 0.01 * w.size
    shared = min(
        Discretized(Gaussian(s), grid, code.lo, code.hi).nats(symbols).sum() / LN2 for s in (1.0, 1.3, 1.6, 2.0)
    )
    assert code.nats(symbols).sum() / LN2 < shared - 0.05 * w.size


def test_scales_are_those_of_the_rows_and_columns() -> None:
    w, scale = product(500, 500)
    code = Scaled().fit(GRID, GRID.quantize(w).ravel(), 500)
    rows, columns = (axis.exponents for axis in code._axes(GRID.quantize(w).ravel()))
    told = code.prior.scale * 2.0 ** (np.add.outer(rows, columns) / OCTAVE)
    assert np.abs(np.log2(told / scale)).mean() < 0.09  # of an octave: a pitch of an eighth or a quarter, and estimates


@pytest.mark.parametrize("prior", [Gaussian(2.0), StudentT(0.5, df=1.2), GeneralizedGaussian(1.0, shape=0.4)], ids=str)
@pytest.mark.parametrize("grid", [UniformGrid(0.25), Trellis(0.25, 8), DeadZone(0.25, 0.3)], ids=str)
def test_tables_have_the_masses_of_all_symbols(prior: Any, grid: Any) -> None:
    """Near and far, whichever scales they are made together with; and what lies far out is a level each."""
    symbols, half = np.arange(-1024, 1024), 1024
    cells, asked = Cells(prior, grid, 10), [-31, -8, 0, 3, 40]
    lower, upper = grid.cell(symbols)
    nears = set()
    for exponent, table in zip(asked, tables(cells, asked), strict=True):
        scaled = dataclasses.replace(prior, scale=prior.scale * 2.0 ** (exponent / OCTAVE))
        exact = scaled.log_mass(lower, upper)
        np.testing.assert_allclose(table.log_mass(symbols), exact, rtol=1e-11)
        (alone,) = tables(cells, [exponent])
        np.testing.assert_allclose(alone.near, table.near, rtol=1e-14)
        n = table.near.size // 2
        nears.add(n)
        assert n == half or (n + 0.5) * grid.step >= 16.0 * scaled.scale
        if n < half:
            assert table.tails is not None
            assert table.tails.size == half - n
            whole = [np.logaddexp.reduce(exact[: half - n]), np.logaddexp.reduce(exact[half + n :])]
            np.testing.assert_allclose(table.far, whole, rtol=1e-9)
            np.testing.assert_allclose(table.tails.inside(0), exact[: half - n], rtol=1e-11)
            np.testing.assert_allclose(table.tails.inside(1), exact[half + n :], rtol=1e-11)
    assert len(nears) > 1


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([5000], [(0, 1)]),
        ([5000, 5000, 1], [(0, 1), (1, 2), (2, 3)]),
        ([1, 1, 1, 1, 1, 1], [(0, 4), (4, 6)]),
        ([1, 0, 0, 0, 0, 1, 0, 1], [(0, 5), (5, 8)]),
        ([511, 1, 1], [(0, 2), (2, 3)]),
        ([1, 0, 511, 1], [(0, 3), (3, 4)]),
    ],
)
def test_sums_that_few_entries_have_are_taken_together(entries: list[int], found: list[tuple[int, int]]) -> None:
    assert [(group.start, group.stop) for group in _together(entries)] == found


def test_every_entry_has_an_exponent_near_its_own() -> None:
    rng = np.random.default_rng(12)
    rows, columns = (Axis(rng.integers(-20, 20, n) * 2, 2, 3) for n in (50, 400))
    scales = Scales.of(rows, columns)
    own = np.add.outer(rows.exponents, columns.exponents)
    found = np.array(scales.exponents)[scales.numbers(slice(0, own.size))].reshape(own.shape)
    assert scales.exponents == sorted(set(scales.exponents))
    assert np.abs(found - own).max() <= 3
    counts = dict(zip(*np.unique(own, return_counts=True), strict=True))
    for exponent in scales.exponents:
        sums = own[found == exponent]
        assert exponent == math.floor(sums.mean() + 0.5)
        assert len(set(sums.tolist())) == 1 or counts[sums.min()] < 512
    half = scales.numbers(slice(7 * 400, 9 * 400 + 13))
    np.testing.assert_array_equal(half, scales.numbers(slice(0, own.size))[7 * 400 : 9 * 400 + 13])


def test_blocks_are_those_of_the_document() -> None:
    blocks = ScaledMatrix(Gaussian(1.0), GRID, 5, 300)._blocks(3 << 20)
    assert [block.start for block in blocks] == [k * (2**20 // 300) * 300 for k in range(4)]
    assert blocks[-1].stop == 3 << 20


def test_what_is_told_is_charged_and_written() -> None:
    w, _ = product(30, 40)
    symbols = GRID.quantize(w).ravel()
    code = Scaled().fit(GRID, symbols, 40)
    axes = code._axes(symbols)
    entries = code.nats(symbols)
    alone = [axis.nats for axis in axes]
    assert entries[0] > sum(alone)
    written = Coder()
    for axis in reversed(axes):
        axis.write(written)
    assert written.size_bits == pytest.approx(sum(alone) / LN2, abs=40.0)
    data = coder.encode(code, symbols)
    np.testing.assert_array_equal(coder.decode(code, data, symbols.size), symbols)
    assert 8 * len(data) == pytest.approx(entries.sum() / LN2, abs=64.0, rel=2e-4)


def test_equal_scales_are_left_out() -> None:
    w = np.random.default_rng(1).normal(size=(200, 200))
    assert name(w) == "Discretized"
    assert name(w * np.geomspace(0.2, 1.0, 200)) == "ScaledMatrix"
    rows, columns = Scaled().fit(GRID, GRID.quantize(w).ravel(), 200)._axes(GRID.quantize(w).ravel())
    assert {rows.bits.size <= 12, columns.bits.size <= 12} == {True}


def test_a_tensor_has_its_first_dimension_for_rows() -> None:
    w = np.random.default_rng(2).normal(size=(64, 8, 3, 3)) * np.geomspace(0.1, 1.0, 64)[:, None, None, None]
    code: Any = fit(w).code
    assert (type(code), code.columns) == (ScaledMatrix, 72)


@pytest.mark.parametrize("w", [np.zeros((3, 4)), np.ones((5, 1)), np.zeros((0, 4)), np.zeros((4, 0)), np.float64(2.0)])
def test_small_and_constant_tensors_come_back(w) -> None:
    for grid in (GRID, Trellis(2.0**-5)):
        restored = mdl.decode(mdl.encode({"w": w}, Scaled(), grid))["w"]
        assert restored.shape == np.shape(w)
        assert np.abs(restored - w).max(initial=0.0) <= 2.0**-5


def test_a_row_of_zeros_costs_next_to_nothing() -> None:
    w = np.random.default_rng(3).normal(size=(100, 500))
    dead = w.copy()
    dead[::4] = 0.0
    nats = Scaled().fit(GRID, GRID.quantize(dead).ravel(), 500).nats(GRID.quantize(dead).ravel())
    assert nats.reshape(100, 500)[::4].sum() - nats[0] < 0.001 * 25 * 500
    assert name(dead) == "ScaledMatrix"


def test_shapes_are_fitted_to_standardised_weights() -> None:
    _, scale = product(200, 200)
    w = scale * np.random.default_rng(4).standard_t(4.0, scale.shape)
    code = Scaled(StudentT()).fit(GRID, GRID.quantize(w).ravel(), 200)
    assert 3.0 <= code.prior.df <= 5.5
    lengths = [mdl.measure({"w": w}, prior, GRID).bits for prior in (Scaled(StudentT()), Scaled(), StudentT())]
    assert lengths[0] < lengths[1] < lengths[2]
    given = Scaled(Laplace(0.25)).fit(GRID, GRID.quantize(w).ravel(), 200)
    assert given.prior == Laplace(0.25)


@pytest.mark.parametrize("step", [0.5, 2.0**-9], ids=["wide cells", "narrow cells"])
def test_what_a_shape_is_fitted_to_is_every_weight_in_units_of_its_scale(step) -> None:
    w, _ = product(60, 50)
    grid = UniformGrid(step)
    symbols = grid.quantize(w).ravel()
    code = Scaled().fit(grid, symbols, 50)
    down, across = (axis.exponents for axis in code._axes(symbols))
    each = grid.dequantize(symbols) / 2.0 ** (np.add.outer(down, across).ravel() / 8.0)
    values, counts, widths = code.standardised(symbols)
    assert widths.any() == (step == 0.5)
    np.testing.assert_allclose(np.sort(np.repeat(values, counts)), np.sort(each), rtol=1e-12)


def test_a_density_stands_for_narrow_cells_but_not_for_many_zeros() -> None:
    """Of zeros a density may be endlessly large: a fit to it would be a spike."""
    rng = np.random.default_rng(13)
    w = np.rint(64.0 * rng.normal(size=4000))
    values, counts = np.unique(w, return_counts=True)
    width = np.ones(values.size)
    assert not in_density(values, counts, width)[2].any()
    np.testing.assert_array_equal(in_density(values, counts, 64.0 * width)[2], 64.0 * width)
    sparse, counts = np.unique(np.where(rng.random(4000) < 0.4, 0.0, w), return_counts=True)
    np.testing.assert_array_equal(in_density(sparse, counts, width[: sparse.size])[2], width[: sparse.size])
    symbols = np.where(rng.random(4000) < 0.4, 0.0, w).astype(np.int32)
    code = Scaled(StudentT()).fit(UniformGrid(1.0), symbols, 80)
    lengths = [one.total(symbols) for one in (code, *(
        dataclasses.replace(code, prior=dataclasses.replace(code.prior, df=df)) for df in (0.5, 1.0, 2.0, 4.0)
    ))]  # fmt: skip
    assert lengths[0] <= 1.01 * min(lengths)


def test_priors_without_a_scale_and_unbounded_cells_keep_one_code() -> None:
    w = np.random.default_rng(5).normal(size=(60, 50)) * np.geomspace(0.1, 1.0, 50)
    assert name(w, Scaled(Mixture(2))) == "Discretized"
    assert name(w, Scaled(), Codebook.fit(w, 8)) == "Discretized"
    assert name(w, Scaled(), UniformGrid(2.0**-20)) == "Discretized"  # more levels than its tables may have


@pytest.mark.parametrize("step", [2.0**-7, Trellis(2.0**-3, 8)])
def test_bytes_are_as_many_as_said(step) -> None:
    w, _ = product(300, 200)
    ideal, real = (report(mdl.load({"w": w}), Scaled(StudentT()), step, realise=real) for real in (False, True))
    assert real.length.bits <= ideal.length.bits * 1.0002 + 64.0
    assert real.mse == pytest.approx(ideal.mse)
    assert np.square(mdl.decode(real.data)["w"] - w).mean() == pytest.approx(real.mse)


@pytest.mark.parametrize("zeros", [slice(None, None, 7), slice(1, None)])
@pytest.mark.parametrize("size", [1.0, 30.0, 1000.0])
def test_weights_of_many_steps_beside_none_come_back(zeros, size) -> None:
    w = np.random.default_rng(6).normal(0.0, size, (64, 500))
    w[:, zeros] = 0.0
    assert np.abs(mdl.decode(mdl.encode({"w": w}, Scaled(), 1.0))["w"] - w).max() <= 0.5
    code = Scaled().fit(UniformGrid(1.0), np.rint(w).astype(np.int32).ravel(), 500)
    nats = code.nats(np.rint(w).astype(np.int32).ravel()).reshape(w.shape)
    assert nats[1:, zeros].max() < 0.01


def test_scales_are_told_at_fine_steps_too() -> None:
    """Root mean squares of hundreds of steps: the exponents go on from a unit of several."""
    scale = np.geomspace(0.5, 2.0, 300)[:, None] * np.ones(200)
    w, grid = np.random.default_rng(8).normal(size=scale.shape) * scale, UniformGrid(1.0 / 400.0)
    coding = fit(w, grid=grid)
    assert isinstance(coding.code, ScaledMatrix)
    bits = coding.nats(w) / LN2 / w.size
    ideal = float(np.log2(scale * math.sqrt(2.0 * math.pi * math.e) / grid.step).mean())
    assert ideal - 0.01 < bits < ideal + 0.04


def test_more_tables_than_a_reader_makes_are_not_written() -> None:
    w = np.random.default_rng(7).normal(size=(300, 300)) * np.geomspace(1e-3, 1.0, 300)[:, None]
    symbols = UniformGrid(2.0**-11).quantize(w).ravel()
    code = ScaledMatrix(Gaussian(2.0**-7), UniformGrid(2.0**-11), MAX_REACH, 300)
    assert code.entries(code.scales(symbols)) > MAX_ENTRIES
    with pytest.raises(CodeError, match=r"expected tables of at most 524288 entries, got \d+"):
        coder.encode(code, symbols)
    assert Scaled().fit(UniformGrid(2.0**-11), symbols, 300) is None


def test_blocks_of_rows_are_written_one_after_another(monkeypatch) -> None:
    w, _ = product(37, 11)
    symbols = GRID.quantize(w).ravel()[:-4]
    code = Scaled().fit(GRID, symbols, 11)
    whole = code.nats(symbols)
    monkeypatch.setattr("mdl.codes.scaled._BLOCK", 50)
    np.testing.assert_array_equal(code.nats(symbols), whole)
    np.testing.assert_array_equal(coder.decode(code, coder.encode(code, symbols), symbols.size), symbols)


@pytest.mark.parametrize(
    ("reach", "columns", "prior"), [(MAX_REACH + 1, 4, Gaussian(1.0)), (3, 0, Gaussian(1.0)), (3, 4, Gaussian())]
)
def test_impossible_codes_are_refused(reach, columns, prior) -> None:
    with pytest.raises(CodeError, match="ScaledMatrix: expected"):
        ScaledMatrix(prior, GRID, reach, columns)


@pytest.mark.parametrize(
    "told",
    [
        [integer_bits(500), natural_bits(0)],
        [integer_bits(-100), natural_bits(10**9), natural_bits(0), natural_bits(3), natural_bits(4)],
        [integer_bits(0), natural_bits(9), natural_bits(7), natural_bits(3), natural_bits(4)],
        [integer_bits(0), natural_bits(9), natural_bits(0), natural_bits(99), natural_bits(4)],
        [integer_bits(0), natural_bits(9), natural_bits(0), natural_bits(3), natural_bits(10)],
    ],
)
def test_hostile_exponents_are_refused(told) -> None:
    writer = Coder()
    writer.push_bits(np.concatenate([*told, np.ones(40, np.uint8)]))
    with pytest.raises(MessageError, match="exponents of scales"):
        ScaledMatrix(Gaussian(1.0), GRID, 5, 4).pop(Coder.from_bytes(writer.to_bytes()), 12)
