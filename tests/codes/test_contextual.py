"""Contexts from rows above, against the code spelled out symbol by symbol, and on weights that are pictures."""

from __future__ import annotations

import functools
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdl
from mdl.codes.coder import Coder, decode, encode
from mdl.codes.contextual import MAX_ROWS, Contextual, ContextualMatrix
from mdl.codes.fitted import fit_scheme
from mdl.codes.numbers import integer_bits
from mdl.errors import CodeError, MessageError
from mdl.length import LN2
from mdl.quantize import UniformGrid

GRID = UniformGrid(1.0)


def spelled_out(symbols, reach, columns, width):
    """Nats of each symbol, one at a time, by the words of the docstring."""
    nats, counts, until = [], {}, 0
    frozen = dict(counts)
    for at, symbol in enumerate(symbols):
        row, column = divmod(at, columns)
        if at == until:
            frozen, until = dict(counts), at + max(1, at // 8)
        rows = {1, 2} | ({width - 1, width, width + 1} if width else set())
        about = [symbols[(row - up) * columns + column] for up in rows if 0 < up <= row]
        level = min(sum(map(abs, about)).bit_length(), 7)
        seen = -symbol if sum(about) < 0 else symbol
        everywhere = sum(frozen.get((other, seen), 0) for other in range(8))
        p = (everywhere + 0.5) / (sum(frozen.values()) + 0.5 * (2 * reach + 1))
        here = sum(count for (other, _), count in frozen.items() if other == level)
        nats.append(-math.log((frozen.get((level, seen), 0) + 16 * p) / (here + 16)))
        counts[level, seen] = counts.get((level, seen), 0) + 1
    return nats


@pytest.mark.parametrize(("reach", "columns", "width"), [(1, 1, 0), (3, 7, 0), (2, 5, 4), (9, 3, 1), (1, 4, 30)])
@pytest.mark.parametrize("count", [0, 1, 6, 300])
def test_nats_follow_the_words(reach, columns, width, count):
    rng = np.random.default_rng(count)
    symbols = np.clip(np.rint(np.cumsum(rng.normal(size=count))), -reach, reach).astype(int)
    expected = spelled_out(symbols.tolist(), reach, columns, width)
    np.testing.assert_allclose(ContextualMatrix(reach, columns, width).nats(symbols), expected, rtol=1e-12)


@pytest.mark.parametrize("columns", [1, 2, 4])
@pytest.mark.parametrize("width", [0, 2])
@pytest.mark.parametrize("count", [1, 5, 7])
def test_kraft_with_equality_over_all_sequences(columns, width, count):
    code = ContextualMatrix(1, columns, width)
    masses = [math.exp(-code.nats(sequence).sum()) for sequence in product((-1, 0, 1), repeat=count)]
    assert math.fsum(masses) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    code=st.builds(ContextualMatrix, st.integers(0, 127), st.integers(1, 9) | st.just(2**31 - 1), st.integers(0, 12)),
    data=st.data(),
)
def test_round_trip(code, data):
    symbols = data.draw(st.lists(st.integers(code.lo, code.hi) | st.sampled_from([code.lo, code.hi]), max_size=90))
    assert decode(code, encode(code, symbols), len(symbols)).tolist() == symbols


@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
@pytest.mark.parametrize("width", [0, 11])
def test_realised_length_is_the_ideal_one(spread, width):
    rng = np.random.default_rng(0)
    symbols = np.clip(np.rint(rng.standard_t(2, 40_003) * spread), -127, 127).astype(int)
    code = ContextualMatrix(127, 100, width)
    data = encode(code, symbols)
    np.testing.assert_array_equal(decode(code, data, symbols.size), symbols)
    assert 8 * len(data) <= code.nats(symbols).sum() / math.log(2) * 1.0002 + 64


def test_zeros_alone_cost_next_to_nothing():
    symbols = np.zeros(1_000_000, int)
    data = encode(ContextualMatrix(127, 1000, 28), symbols)
    assert 8 * len(data) <= ContextualMatrix(127, 1000, 28).nats(symbols).sum() / math.log(2) * 1.0002 + 64
    assert len(data) < 200


@functools.cache
def picture(width, height=30, channels=6, seed=0):
    """Blobs of either sign, (width * height, channels): the rows are pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.divmod(np.arange(width * height), width)
    at = rng.uniform(0, [width, height, 1], (4 * channels, 3))
    blobs = np.exp(-np.hypot(x[:, None] - at[:, 0], y[:, None] - at[:, 1]) / 3.0) * rng.choice([-1, 1], 4 * channels)
    return blobs.reshape(-1, channels, 4).sum(axis=2)


@pytest.mark.parametrize("width", [9, 20, 37])
def test_finds_the_width_of_a_picture(width):
    symbols = GRID.quantize(4.0 * picture(width).ravel())
    found = Contextual().fit(GRID, symbols, 6)
    assert abs(found.width - width) <= 1
    assert found.told(symbols) - found.nats(symbols).sum() == pytest.approx(integer_bits(found.width).size * LN2)
    assert found.told(symbols) < 0.95 * Contextual(width=0).fit(GRID, symbols, 6).told(symbols)
    assert found.told(symbols) <= min(ContextualMatrix(found.reach, 6, w).told(symbols) for w in (0, width)) + 1e-9


def test_a_picture_is_coded_by_context_and_noise_by_its_prior():
    noise = np.random.default_rng(2).normal(size=(400, 6))
    w = {"picture": picture(20), "noise": noise, "bias": noise[0], "conv": noise.reshape(40, 10, 2, 3)}
    scheme = fit_scheme(w, dict.fromkeys(w, UniformGrid(0.25)), Contextual())
    names = {name: type(coding.code).__name__ for name, coding in scheme.codings.items()}
    assert names == {"picture": "ContextualMatrix"} | dict.fromkeys(["noise", "bias", "conv"], "Discretized")
    ideal, realised = scheme.length(w), mdl.encode(w, Contextual(), 0.25)
    assert mdl.measure(w, Contextual(), 0.25).comparable.bits == pytest.approx(ideal.bits)
    assert 8 * len(realised) <= mdl.measure(w, Contextual(), 0.25).bits * 1.0002 + 64
    for name, tensor in mdl.decode(realised).items():
        np.testing.assert_array_equal(tensor, UniformGrid(0.25).dequantize(UniformGrid(0.25).quantize(w[name])))


def test_one_of_the_shortest():
    w = {"picture": picture(20)}
    families = mdl.Shortest().priors
    with_contexts = mdl.measure(w, mdl.Shortest((*families, Contextual())), 0.25).bits
    assert with_contexts < 0.9 * mdl.measure(w, mdl.Shortest(), 0.25).bits


@pytest.mark.parametrize(
    "symbols",
    [np.zeros(0, np.int32), np.array([0, 128], np.int32), np.array([-128], np.int32), np.zeros(MAX_ROWS + 1, np.int32)],
)
def test_no_code_for(symbols):
    assert Contextual().fit(GRID, symbols, 1) is None


def test_bad_input():
    for reach, columns, width in [(128, 1, 0), (-1, 1, 0), (1, 0, 0), (1, 1, -1), (1, 1, MAX_ROWS + 1), (1, 2**31, 0)]:
        with pytest.raises(CodeError, match="ContextualMatrix: expected reach"):
            ContextualMatrix(reach, columns, width)
    for wide in (-1, 2.5, MAX_ROWS + 1, math.nan):
        with pytest.raises(CodeError, match=f"Contextual: expected a width of 0 to 4096 rows, or none, got {wide}"):
            Contextual(width=wide)
    with pytest.raises(CodeError, match="from -1 to 1, got -1 to 2"):
        ContextualMatrix(1, 3, 0).nats([0, -1, 2])
    with pytest.raises(CodeError, match="4096 rows, got 4097"):
        encode(ContextualMatrix(1, 1, 0), np.zeros(MAX_ROWS + 1, np.int32))
    with pytest.raises(MessageError, match="4096 rows, got 4097"):
        ContextualMatrix(1, 1, 0).pop(Coder(), MAX_ROWS + 1)
