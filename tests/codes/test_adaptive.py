"""Adaptive codes against the schedule spelled out symbol by symbol, closed forms, and enumeration."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from mdl.codes.adaptive import KT, Dirichlet, TwoLevel
from mdl.codes.coder import Coder, decode, encode
from mdl.codes.integers import EliasDelta, EliasGamma, LogStar, Signed
from mdl.errors import CodeError, MessageError

CODES = [
    KT(0, 1),
    KT(-3, 4),
    Dirichlet(-1, 1, 0.01),
    Dirichlet(-(2**31), -(2**31) + 9),
    Dirichlet(2**31 - 5, 2**31 - 1, 30.0),
    Dirichlet(7, 7),
    KT(-30_000, 30_000),
    TwoLevel(Signed(EliasDelta())),
    TwoLevel(Signed(LogStar())),
    TwoLevel(KT(-50, 49)),
    TwoLevel(TwoLevel(Signed(EliasGamma()))),
]
all_codes = pytest.mark.parametrize("code", CODES, ids=repr)


def domain(code):
    if isinstance(code, Dirichlet):
        return code.lo, code.hi
    return (-50, 50) if isinstance(code.values, Dirichlet) else (-(2**31), 2**31 - 2)


def schedule(symbols, lo, hi, alpha):
    """Nats of each symbol, one at a time."""
    nats, counts, frozen, until = [], {}, {}, 0
    for seen, symbol in enumerate(symbols):
        if seen == until:
            frozen, until = dict(counts), seen + max(1, seen // 8)
        start = sum(frozen.values())
        nats.append(-math.log((frozen.get(symbol, 0) + alpha) / (start + alpha * (hi - lo + 1))))
        counts[symbol] = counts.get(symbol, 0) + 1
    return nats


def closed_form(symbols, lo, hi, alpha):
    """Nats of the sequence under counts that are always up to date: the Dirichlet-multinomial."""
    counts = np.bincount(np.asarray(symbols) - lo, minlength=hi - lo + 1)
    total = counts.size * alpha
    return -(gammaln(total) - gammaln(total + counts.sum()) + (gammaln(counts + alpha) - gammaln(alpha)).sum())


@pytest.mark.parametrize("code", [KT(0, 1), Dirichlet(-3, 4), Dirichlet(0, 999, 0.1)], ids=repr)
@pytest.mark.parametrize("count", [0, 1, 8, 9, 17, 400])
def test_nats_follow_the_schedule(code, count):
    symbols = np.random.default_rng(count).integers(code.lo, code.hi, count, endpoint=True)
    expected = schedule(symbols.tolist(), code.lo, code.hi, code.alpha)
    np.testing.assert_allclose(code.nats(symbols), expected, rtol=1e-13)


def test_the_first_sixteen_symbols_are_coded_one_by_one():
    symbols = [0, 1, 1, 0, 2, 2, 2, 0, 1, 1, 0, 0, 2, 1, 0, 2]
    assert KT(0, 2).nats(symbols).sum() == pytest.approx(closed_form(symbols, 0, 2, 0.5), rel=1e-13)


@pytest.mark.parametrize("code", [KT(0, 2), Dirichlet(-1, 1, 2.0), TwoLevel(KT(-1, 0))], ids=repr)
@pytest.mark.parametrize("count", range(1, 7))
def test_kraft_with_equality_over_all_sequences(code, count):
    lo, hi = (-1, 1) if isinstance(code, TwoLevel) else (code.lo, code.hi)
    masses = [math.exp(-code.nats(sequence).sum()) for sequence in product(range(lo, hi + 1), repeat=count)]
    assert math.fsum(masses) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("levels", [2, 16, 256])
@pytest.mark.parametrize("count", [100, 20_000])
def test_blocks_cost_about_a_fifth_of_a_nat_a_distinct_symbol(levels, count):
    rng = np.random.default_rng(levels)
    excess = []
    for _ in range(10):
        symbols = rng.choice(levels, count, p=rng.dirichlet(np.full(levels, 0.5)))
        over = KT(0, levels - 1).nats(symbols).sum() - closed_form(symbols, 0, levels - 1, 0.5)
        excess.append(over / np.unique(symbols).size)
    assert max(excess) < 1.0
    assert np.mean(excess) < 0.35


@all_codes
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_round_trip(code, data):
    lo, hi = domain(code)
    element = st.integers(lo, hi) | st.sampled_from([lo, hi, min(max(0, lo), hi)])
    symbols = data.draw(st.lists(element, max_size=60))
    decoded = decode(code, encode(code, symbols), len(symbols))
    assert decoded.dtype == np.int32
    assert decoded.tolist() == symbols


@all_codes
@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
def test_realised_length_is_the_ideal_one(code, spread):
    lo, hi = domain(code)
    rng = np.random.default_rng(0)
    symbols = np.clip(np.rint(rng.standard_t(2, 40_000) * spread), max(lo, -(2**31)), hi).astype(np.int64)
    data = encode(code, symbols)
    np.testing.assert_array_equal(decode(code, data, symbols.size), symbols)
    assert 8 * len(data) <= code.nats(symbols).sum() / math.log(2) * 1.0002 + 64


@pytest.mark.parametrize("code", [KT(0, 1), KT(0, 65_535)], ids=repr)
def test_a_constant_sequence_costs_little_more_than_by_counts_up_to_date(code):
    symbols = np.ones(1_000_000, np.int32)
    data = encode(code, symbols)
    np.testing.assert_array_equal(decode(code, data, symbols.size), symbols)
    assert 8 * len(data) <= code.nats(symbols).sum() / math.log(2) * 1.0002 + 64
    levels = code.hi - code.lo + 1
    assert code.nats(symbols).sum() < closed_form(symbols, code.lo, code.hi, 0.5) + 0.8 * 0.5 * levels


def test_codes_share_a_message():
    first, second = np.arange(30, dtype=np.int32) % 3, np.arange(-20, 20, dtype=np.int32)
    coder = Coder()
    TwoLevel(Signed(EliasGamma())).push(coder, second)
    KT(0, 2).push(coder, first)
    read = Coder.from_bytes(coder.to_bytes())
    np.testing.assert_array_equal(KT(0, 2).pop(read, 30), first)
    np.testing.assert_array_equal(TwoLevel(Signed(EliasGamma())).pop(read, 40), second)
    assert read.finished
    assert read.fingerprint == coder.fingerprint


def test_two_level_is_map_then_values_in_the_order_of_the_symbols():
    symbols = np.array([[0, 5, -1], [0, 1, 0]])
    ones = KT(0, 1).nats([0, 1, 1, 0, 1, 0])
    values = Signed(EliasDelta()).nats([4, -1, 0])
    expected = ones + np.array([0, values[0], values[1], 0, values[2], 0])
    np.testing.assert_allclose(TwoLevel(Signed(EliasDelta())).nats(symbols), expected.reshape(2, 3), rtol=1e-14)


@all_codes
def test_shapes_and_emptiness(code):
    assert code.nats([]).shape == (0,)
    assert code.nats(np.full((2, 3), domain(code)[0])).shape == (2, 3)
    assert code.nats(domain(code)[1]).shape == ()
    assert decode(code, encode(code, []), 0).size == 0


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (lambda: Dirichlet(0, 2**16), "65536 symbols, got 0 to 65536"),
        (lambda: Dirichlet(3, 2), "3 to 2"),
        (lambda: Dirichlet(2**31, 2**31 + 1), "32 bits"),
        (lambda: Dirichlet(0, 1, 0.0), "alpha"),
        (lambda: Dirichlet(0, 1, math.nan), "alpha"),
        (lambda: KT(0, 3).nats([1, 4]), "from 0 to 3, got 4"),
        (lambda: encode(KT(-1, 3), [-2]), "from -1 to 3, got -2"),
        (lambda: TwoLevel(KT(-1, 0)).nats([0, 2]), "got 1"),
        (lambda: TwoLevel(KT(-1, 0)).nats([0.5]), "integers"),
    ],
)
def test_bad_input(act, names):
    with pytest.raises(CodeError, match=names):
        act()


def test_two_level_refuses_a_symbol_that_no_int32_holds():
    coder = Coder()
    Signed(EliasGamma()).push(coder, np.array([2**31 - 1], np.int32))
    KT(0, 1).push(coder, np.array([1], np.int32))
    with pytest.raises(MessageError, match="32 bits"):
        TwoLevel(Signed(EliasGamma())).pop(Coder.from_bytes(coder.to_bytes()), 1)
